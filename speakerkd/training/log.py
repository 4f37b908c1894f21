"""The log of a run: log.jsonl and TensorBoard, and the mean terms between two lines without waiting for the device."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from speakerkd.errors import InputError
from speakerkd.work.files import naming, whole_file
from speakerkd.work.reading import open_file
from speakerkd.work.records import parse_json


class Means:
    """Running means of named scalar tensors that stay on their device until they are read."""

    def __init__(self) -> None:
        self._sum: dict[str, Tensor] = {}
        self._count: dict[str, int] = {}

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            there = self._sum.get(name)
            self._sum[name] = value.detach() if there is None else there + value.detach()
            self._count[name] = self._count.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """The means since the last reading; a GPU is waited for once."""
        names = list(self._sum)
        values = torch.stack([self._sum[name].float() for name in names]).tolist() if names else []
        means = {name: value / self._count[name] for name, value in zip(names, values, strict=True)}
        self._sum, self._count = {}, {}
        return means


class LogRow(BaseModel):
    """What every row of the log has."""

    step: int = 0


class Log:
    """Appends rows to `log.jsonl` and to TensorBoard; an earlier run's rows after `step` are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "log.jsonl"
        _keep_until(self.path, step)
        with naming(self.path):
            self._stream = self.path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: dict[str, Any]) -> None:
        with naming(self.path):
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._stream.flush()
        for name, value in _numbers(row):
            if name != "step":
                self._board.add_scalar(name, value, row["step"])

    def pictures(self, name: str, pictures: Tensor, step: int) -> None:
        """Show pictures (N, C, H, W) in 0 to 1 in TensorBoard."""
        self._board.add_images(name, pictures, step)

    def close(self) -> None:
        self._stream.close()
        self._board.close()


def _keep_until(path: Path, step: int) -> None:
    """Drop a log's rows after a step, and what a killed run cut or a disk damaged; the old log stays until then."""
    if not path.exists():
        return
    with open_file(path, "log", "remove it, then --resume") as stream:
        lines = stream.readlines()
    kept = [line for line in lines if line.endswith(b"\n") and _step(line, path) <= step]
    if kept != lines:
        with whole_file(path, "wb") as stream:
            stream.writelines(kept)


def _step(line: bytes, path: Path) -> float:
    """The step of a row; infinite for what is no row."""
    try:
        return parse_json(line.decode("utf-8"), LogRow, path, "").step
    except (InputError, UnicodeDecodeError):
        return math.inf


def _numbers(row: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    numbers = []
    for name, value in row.items():
        if isinstance(value, dict):
            numbers += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers.append((prefix + name, float(value)))
    return numbers
