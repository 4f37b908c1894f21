"""The aligned face crops of a data directory, decoded once into one array that is read as a memory map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.datadir import read_table
from speakerkd.data.paired import TeacherInput
from speakerkd.errors import InputError
from speakerkd.files import Stamp, whole_file

SIDE = 112


def crop_map(directory: Path | str) -> tuple[dict[str, int], np.ndarray]:
    """The crops that aligned.scp names, each path once: {utterance: position}, and a memory map.

    The map (N, 112, 112, 3) uint8 RGB is made as `aligned.npy` in the directory where it is missing or stale.
    Raises InputError for a table or picture that is missing, not a picture, or of another size.
    """
    directory = Path(directory)
    table = read_table(directory / "aligned.scp")
    paths = list(dict.fromkeys(table.values()))
    place = {path: position for position, path in enumerate(paths)}
    output = directory / "aligned.npy"
    stamp = Stamp(output, [directory / "aligned.scp", directory / "aligned.scp.made.json"], side=SIDE)
    if not stamp.is_current():
        _write(output, paths)
        stamp.write()
    return {key: place[path] for key, path in table.items()}, np.load(output, mmap_mode="r", allow_pickle=False)


def _write(output: Path, paths: Sequence[str]) -> None:
    with whole_file(output, "wb") as stream, ThreadPoolExecutor() as pool:
        shape = (len(paths), SIDE, SIDE, 3)
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for start in range(0, len(paths), 256):  # in blocks, so that memory stays flat; PIL decodes outside the lock
            for crop in pool.map(_read, paths[start : start + 256]):
                stream.write(crop.tobytes())


def _read(path: str) -> np.ndarray:
    from PIL import Image

    fix = "run `speakerkd faces` again"
    try:
        with Image.open(path) as image:
            crop = np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise InputError("no such face crop", path, fix) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"a face crop that cannot be read ({error})", path, fix) from error
    if crop.shape != (SIDE, SIDE, 3):
        raise InputError(f"a face crop of {crop.shape[1]} x {crop.shape[0]}, not {SIDE} x {SIDE}", path, fix)
    return crop


@dataclass(slots=True)
class OnlineFaces:
    """The aligned faces of N samples, for a teacher that runs in every step; the counterpart of CachedTeacher.

    maps: crop maps uint8 (M, 112, 112, 3). which, row: (N,) int64 map and row of a sample, -1 without a face.
    """

    maps: list[np.ndarray]
    which: np.ndarray
    row: np.ndarray

    @classmethod
    def read(cls, directories: Sequence[Path | str], keys: Sequence[Sequence[str]]) -> OnlineFaces:
        """The faces of directories' samples; a directory without aligned.scp gives unpaired ones."""
        maps, which, rows = [], [], []
        for directory, mine in zip(map(Path, directories), keys, strict=True):
            row = np.full(len(mine), -1, np.int64)
            if (directory / "aligned.scp").is_file():
                place, crops = crop_map(directory)
                row = np.fromiter((place.get(key, -1) for key in mine), np.int64, len(mine))
                maps.append(crops)
            which.append(np.full(len(mine), len(maps) - 1))
            rows.append(row)
        if not maps or not (np.concatenate(rows) >= 0).any():
            raise InputError("no training sample has a face", directories[0], "run `speakerkd faces`")
        return cls(maps, np.concatenate(which), np.concatenate(rows))

    @property
    def paired(self) -> np.ndarray | None:
        has = self.row >= 0
        return None if has.all() else has

    def keep(self, chosen: np.ndarray) -> OnlineFaces:
        return OnlineFaces(self.maps, self.which[chosen], self.row[chosen])

    def take(self, indices: np.ndarray) -> Tensor:
        """Pictures (B, 112, 112, 3) uint8, black where there is none."""
        row, which = self.row[indices], self.which[indices]
        out = np.zeros((len(indices), *self.maps[0].shape[1:]), np.uint8)
        for number in np.unique(which[row >= 0]):
            mine = (which == number) & (row >= 0)
            out[mine] = self.maps[number][row[mine]]
        return torch.from_numpy(out)


class CropSource:
    """Aligned faces as a face network's input, one sample a picture.

    preprocess: uint8 (B, 112, 112, 3) to the network's input. shift: a view moves by up to this many pixels; flip: it
    is mirrored with probability 1/2.
    """

    device = "cpu"
    chances = 4

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

    def student(self, indices: np.ndarray, chance: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._crops[indices]))

    def teacher(self, indices: np.ndarray, chance: np.ndarray) -> Tensor | None:
        return None if self._teacher is None else self._teacher.take(indices)

    def view(self, raw: Tensor, chance: Tensor) -> tuple[Tensor, Tensor | None]:
        plain = shift_and_flip(raw, chance, self._shift, self._flip)
        strong = self._preprocess(_relight(plain, chance[:, 3])) if self._strong else None
        return self._preprocess(plain), strong


def shift_and_flip(images: Tensor, chance: Tensor, shift: int, flip: bool = True) -> Tensor:
    """Images (B, H, W, C) moved by up to `shift` pixels each way, edges repeated, half of them mirrored (`flip`).

    chance: (B, >= 3) uniform in [0, 1): mirror, rows, columns. One gather, without a loop over images.
    """
    count, height, width = images.shape[:3]
    rows = torch.arange(height, device=images.device)[None] + _offset(chance[:, 1:2], shift)
    columns = torch.arange(width, device=images.device)[None] + _offset(chance[:, 2:3], shift)
    if flip:
        columns = torch.where(chance[:, 0:1] < 0.5, width - 1 - columns, columns)
    picture = torch.arange(count, device=images.device)[:, None, None]
    return images[picture, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]


def _offset(chance: Tensor, shift: int) -> Tensor:
    return torch.floor(chance * (2 * shift + 1)).to(torch.int64) - shift


def _relight(images: Tensor, chance: Tensor) -> Tensor:
    """Brightness scaled by 0.6 to 1.4, the strong view of a face."""
    return (images.float() * (0.6 + 0.8 * chance[:, None, None, None])).clamp(0, 255).to(torch.uint8)
