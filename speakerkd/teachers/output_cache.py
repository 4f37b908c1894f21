"""A frozen teacher's Outputs of every picture, computed once and kept, for runs whose views are not augmented."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.models.network import Network
from speakerkd.tensors import Output
from speakerkd.work.arrays import RowWriter, read_array
from speakerkd.work.files import whole_dir, write_json
from speakerkd.work.records import read_json

BLOCK = 128  # pictures at once
HALF_OF_FREE = 0.5
RECORD = "made.json"


class OutputCache:
    """Outputs of N pictures as memory maps: embedding (N, D) and logits (N, K) float32, maps (N, C, H, W) float16.

    `pack` flattens those of some pictures into one tensor, which `unpack` turns into an Output again.
    """

    def __init__(self, folder: Path, maps: bool) -> None:
        fix = "remove the folder, which is made anew"
        names = read_json(folder / RECORD, dict[str, Any], fix)["arrays"]
        kept = names if maps else names[:2]
        self.arrays = [read_array(folder / f"{name}.npy", fix, "f", memory_map=True) for name in kept]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of a picture's embedding, logits and maps."""
        return [array.shape[1:] for array in self.arrays]

    def pack(self, indices: np.ndarray) -> Tensor:
        """Everything of the pictures (B,) in a row each, (B, W) float32."""
        rows = [np.asarray(array[indices], np.float32).reshape(len(indices), -1) for array in self.arrays]
        return torch.from_numpy(np.concatenate(rows, 1))


class Unpacked(Network):
    """The teacher network of cached Outputs: rows (B, W) of `OutputCache.pack` to an Output."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.shapes = list(shapes)
        self.dim = self.shapes[0][0]

    def forward(self, packed: Tensor, maps: bool = False) -> Output:
        parts = packed.split([int(np.prod(shape)) for shape in self.shapes], 1)
        embedding, logits, *layers = (
            part.view(len(packed), *shape) for part, shape in zip(parts, self.shapes, strict=True)
        )
        return Output(embedding, logits, layers if maps else [])


def cached_outputs(
    parent: Path | str,
    network: nn.Module,
    see: Callable[[np.ndarray], Tensor],
    keys: Sequence[str],
    *,
    maps: bool,
    device: str = "cpu",
    **origin: object,
) -> OutputCache:
    """The Outputs of pictures, read below `parent` where they are there, else computed and written whole.

    network: the teacher. see: positions (B,) to its input (B, C, S, S). keys: the N pictures' names. maps: its maps
    too. made_from: what else they follow from, such as the weights' digest and the view.
    Raises InputError where the maps would fill more than half of the free disk space.
    """
    record = {"keys": hashlib.sha256("\n".join(keys).encode("utf-8", "surrogateescape")).hexdigest()[:16], **origin}
    name = hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = Path(parent) / f"teacher_{name}{'_maps' if maps else ''}"
    if not (folder / RECORD).is_file():
        _write(folder, network.to(device).eval(), see, len(keys), maps, device, record)
    return OutputCache(folder, maps)


@torch.no_grad()
def _write(
    folder: Path,
    network: nn.Module,
    see: Callable[[np.ndarray], Tensor],
    count: int,
    maps: bool,
    device: str,
    record: dict[str, object],
) -> None:
    def outputs(rows: np.ndarray) -> list[Tensor]:
        output = network(see(rows).to(device), maps=maps)
        return [output.embedding.float(), output.logits.float(), *(m.half() for m in output.maps)]

    first = outputs(np.arange(min(2, count)))
    need = count * sum(part[0].numel() * part.element_size() for part in first)
    free = shutil.disk_usage(next(path for path in folder.absolute().parents if path.is_dir())).free
    if need > HALF_OF_FREE * free:
        raise InputError(
            f"the teacher's outputs fill {need / 1e9:.0f} GB, {free / 1e9:.0f} GB are free",
            folder,
            "set teacher.online: true, or take a method that needs no maps",
        )
    names = ["embedding", "logits", *(f"map{number}" for number in range(len(first) - 2))]
    with whole_dir(folder) as part, contextlib.ExitStack() as stack:
        writers = []
        for name, x in zip(names, first, strict=True):
            stream = stack.enter_context(open(part / f"{name}.npy", "wb"))
            writers.append(RowWriter(stream, tuple(x.shape[1:]), x.cpu().numpy().dtype))
        for start in range(0, count, BLOCK):
            for writer, block in zip(writers, outputs(np.arange(start, min(start + BLOCK, count))), strict=True):
                for row in block.cpu().numpy():
                    writer.add(row)
        for writer in writers:
            writer.close()
        write_json(part / RECORD, {**json.loads(json.dumps(record, default=str)), "arrays": names})
