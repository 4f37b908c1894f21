"""A face network over the aligned crops of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data.datadir import read_table, require_file
from speakerkd.errors import InputError
from speakerkd.frontend.crop_map import SIDE, crop_map
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.network import Network
from speakerkd.tasks.base import DataSettings, Embed, Task
from speakerkd.tasks.dev_eer import EarlyTrials
from speakerkd.tasks.source import PlainSource, Source
from speakerkd.teachers.inputs import TeacherInput, read_teacher
from speakerkd.teachers.module import Teacher, build_teacher

NO_MAPS = "set it to false and take objectives on embeddings, such as margin, fitnet, pkt or crd"


class FaceTask(Task[DataSettings, FaceSettings]):
    """A face network over the aligned crops of the corpus, one sample a picture, its speaker as the class."""

    Data, Student = DataSettings, FaceSettings
    metric, lower_is_better, latest = "eer", True, False

    def open(self) -> None:
        self._network: FaceNetwork | None = None
        self._dev: tuple[np.ndarray, EarlyTrials] | None = None
        if self.teacher.online and self.taught:
            raise InputError("a face student has no online teacher", "teacher.online", NO_MAPS)
        for directory in [*self.data.directories, *([self.data.dev] if self.data.dev else [])]:
            require_file(directory, "aligned.scp")

    def student(self) -> Network:
        self._network = build_face(self.settings)
        return self._network.train()

    def _preprocess(self, crops: Tensor) -> Tensor:
        if self._network is None:
            self._network = build_face(self.settings)
        return self._network.preprocess(crops)

    def example(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return self._preprocess(torch.randint(256, (2, SIDE, SIDE, 3), generator=generator).to(torch.uint8))

    def source(self, device: str, strong: bool) -> Source:
        keys: list[list[str]] = []
        labels: list[np.ndarray] = []
        names: list[str] = []
        maps: list[np.ndarray] = []
        for directory in self.data.directories:
            position_of, crops = crop_map(directory)
            speaker = read_table(Path(directory) / "utt2spk")
            first: dict[int, str] = {}
            for key, position in position_of.items():
                if key not in speaker:
                    raise InputError(f"no speaker for '{key}'", Path(directory) / "utt2spk", "run `speakerkd validate`")
                other = speaker[first.setdefault(position, key)]
                if other != speaker[key]:
                    raise InputError(f"one face of both {other} and {speaker[key]}", key, "correct aligned.scp")
            keys.append([first[position] for position in range(len(crops))])
            local, label = np.unique([speaker[key] for key in keys[-1]], return_inverse=True)
            labels.append(label.astype(np.int64) + len(names))
            names += local.tolist()
            maps.append(crops)
        teacher = None
        if self.taught:
            name = self.teacher.archive or "teacher.scp"
            teacher = read_teacher(self.data.directories, name, keys)
        flat, label = [key for part in keys for key in part], np.concatenate(labels)
        pictures = maps[0] if len(maps) == 1 else np.concatenate(maps)
        if self.data.fraction < 1:
            kept = self.data.rows_used(label, self.seed)
            people, label = np.unique(label[kept], return_inverse=True)
            names = [names[i] for i in people]
            flat, pictures = [flat[i] for i in kept], pictures[kept]
            teacher = None if teacher is None else teacher.keep(kept)
        return CropSource(
            pictures,
            flat,
            label,
            names,
            preprocess=self._preprocess,
            teacher=teacher,
            shift=self.data.shift,
            flip=self.data.flip,
            strong=strong,
        )

    def frozen_teacher(self, inputs: Tensor, names: Sequence[str]) -> Teacher:
        return build_teacher(self.teacher, inputs, names, self.data.directories[0])

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        if self.data.dev is None:
            return {}
        if self._dev is None:
            position_of, crops = crop_map(self.data.dev)
            self._dev = crops, EarlyTrials(self.data.dev, position_of)
        crops, trials = self._dev
        parts = []
        for start in range(0, len(trials.recordings), 256):
            pictures = torch.from_numpy(crops[trials.recordings[start : start + 256]])
            parts.append(embed(self._preprocess(pictures)))
        return trials.figures(torch.cat(parts))

    def metadata(self) -> dict[str, Any]:
        return {}

    def deployed(self, student: Network, classifier: nn.Linear | None) -> tuple[Network, Settings]:
        return student, self.settings


class CropSource(PlainSource):
    """Aligned faces as a face network's input, one sample a picture.

    preprocess: uint8 (B, 112, 112, 3) to the network's input. shift: a view moves by up to this many pixels; flip: it
    is mirrored with probability 1/2.
    """

    device = "cpu"
    draws = 4

    def __init__(
        self,
        crops: np.ndarray,
        keys: Sequence[str],
        labels: np.ndarray,
        names: Sequence[str],
        *,
        preprocess: Callable[[Tensor], Tensor],
        teacher: TeacherInput | None = None,
        shift: int = 4,
        flip: bool = True,
        strong: bool = False,
    ) -> None:
        self.keys, self.labels, self.names = keys, labels, names
        self.paired = None if teacher is None else teacher.paired
        self._crops, self._preprocess, self._teacher = crops, preprocess, teacher
        self._shift, self._flip, self._strong = shift, flip, strong

    def student(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._crops[indices]))

    def teacher(self, indices: np.ndarray, draws: np.ndarray) -> Tensor | None:
        return None if self._teacher is None else self._teacher.take(indices)

    def view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        plain = shift_and_flip(raw, draws, self._shift, self._flip)
        strong = self._preprocess(_relight(plain, draws[:, 3])) if self._strong else None
        return self._preprocess(plain), strong


def shift_and_flip(images: Tensor, draws: Tensor, shift: int, flip: bool = True) -> Tensor:
    """Images (B, H, W, C) moved by up to `shift` pixels each way, edges repeated, half of them mirrored (`flip`).

    draws: (B, >= 3) uniform in [0, 1): mirror, rows, columns. One gather, without a loop over images.
    """
    count, height, width = images.shape[:3]
    rows = torch.arange(height, device=images.device)[None] + _offset(draws[:, 1:2], shift)
    columns = torch.arange(width, device=images.device)[None] + _offset(draws[:, 2:3], shift)
    if flip:
        columns = torch.where(draws[:, 0:1] < 0.5, width - 1 - columns, columns)
    picture = torch.arange(count, device=images.device)[:, None, None]
    return images[picture, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]


def _offset(draws: Tensor, shift: int) -> Tensor:
    return torch.floor(draws * (2 * shift + 1)).to(torch.int64) - shift


def _relight(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness scaled by 0.6 to 1.4, the strong view of a face."""
    return (images.float() * (0.6 + 0.8 * draws[:, None, None, None])).clamp(0, 255).to(torch.uint8)
