"""The teacher's input of every training sample: cached embeddings, or pictures for a teacher that runs along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.archive import read_shared_vectors
from speakerkd.data.tables import read_table
from speakerkd.data.text import real_number
from speakerkd.errors import InputError
from speakerkd.frontend.crop_map import crop_map


class TeacherInput(Protocol):
    """The teacher's input of N samples. paired: (N,) bool, or None where every sample has one."""

    @property
    def paired(self) -> np.ndarray | None: ...

    def take(self, indices: np.ndarray) -> Tensor:
        """That of samples (B,), zero where there is none."""
        ...


@dataclass(slots=True)
class CachedTeacher:
    """Teacher embeddings of N samples, shared ones stored once.

    vectors: (M, D) float32. row: (N,) int64 into them, -1 for a sample without one.
    """

    vectors: np.ndarray
    row: np.ndarray

    @property
    def paired(self) -> np.ndarray | None:
        """(N,) bool, or None where every sample has an embedding."""
        has = self.row >= 0
        return None if has.all() else has

    def keep(self, positions: np.ndarray) -> CachedTeacher:
        """That of the samples at `positions`."""
        return CachedTeacher(self.vectors, self.row[positions])

    def take(self, indices: np.ndarray) -> Tensor:
        """Embeddings (B, D), zero where there is none."""
        row = self.row[indices]
        return torch.from_numpy(np.where((row >= 0)[:, None], self.vectors[row], np.float32(0)))


def read_teacher(directories: Sequence[Path | str], name: str, keys: Sequence[Sequence[str]]) -> CachedTeacher:
    """Read the cached embeddings `name` (teacher.scp) of directories; keys: those of each directory's samples.

    A directory without the file gives unpaired samples. Raises InputError where no sample at all has an embedding.
    """
    vectors: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    stored = 0
    for directory, mine in zip(map(Path, directories), keys, strict=True):
        row = np.full(len(mine), -1, np.int64)
        if (directory / name).is_file():
            known, values, rows_of_keys = read_shared_vectors(directory / name)
            if vectors and values.shape[1] != vectors[0].shape[1]:
                raise InputError(
                    f"embeddings of {values.shape[1]} numbers beside {vectors[0].shape[1]}",
                    directory / name,
                    "cache both with the same teacher",
                )
            at = dict(zip(known, rows_of_keys.tolist(), strict=True))
            row = np.fromiter((at.get(key, -1) for key in mine), np.int64, len(mine))
            row[row >= 0] += stored
            vectors.append(values)
            stored += len(values)
        rows.append(row)
    row = np.concatenate(rows)
    if not (row >= 0).any():
        where = Path(directories[0]) / name
        raise InputError(
            "no training sample has a teacher embedding", where, "run `speakerkd embed-teacher`, or set `distill: []`"
        )
    return CachedTeacher(np.concatenate(vectors), row)


def read_face_quality(directories: Sequence[Path | str], keys: Sequence[str]) -> np.ndarray | None:
    """(N, 3) float32: the detector's score, size and sharpness of the samples' faces, NaN without; None without any.

    From the `face_quality` that `speakerkd faces` wrote. Raises InputError for a line of another form.
    """
    qualities: dict[str, list[float]] = {}
    for path in (Path(directory) / "face_quality" for directory in directories):
        for key, value in (read_table(path) if path.is_file() else {}).items():
            numbers = [real_number(word) for word in value.split()]
            if len(numbers) != 3 or None in numbers:
                raise InputError(f"'{key} {value[:40]}' is no quality", path, "run `speakerkd faces` again")
            qualities[key] = [float(number or 0) for number in numbers]
    if not qualities:
        return None
    none = [float("nan")] * 3
    return np.array([qualities.get(key, none) for key in keys], np.float32)


@dataclass(slots=True)
class JoinedTeachers:
    """The cached embeddings of several teachers, side by side; zero where one has none of a sample."""

    teachers: list[CachedTeacher]

    @property
    def paired(self) -> np.ndarray | None:
        """(N,) bool, False where no teacher has an embedding; None where every sample has one."""
        has = np.any([teacher.row >= 0 for teacher in self.teachers], axis=0)
        return None if has.all() else has

    def keep(self, positions: np.ndarray) -> JoinedTeachers:
        """That of the samples at `positions`."""
        return JoinedTeachers([teacher.keep(positions) for teacher in self.teachers])

    def take(self, indices: np.ndarray) -> Tensor:
        """Embeddings (B, sum of D)."""
        return torch.cat([teacher.take(indices) for teacher in self.teachers], 1)


class SameCrop:
    """A speech teacher that runs along sees the crop that the student sees; every sample has one."""

    paired = None

    def keep(self, positions: np.ndarray) -> SameCrop:
        return self


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
                position_of, crops = crop_map(directory)
                row = np.fromiter((position_of.get(key, -1) for key in mine), np.int64, len(mine))
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

    def keep(self, positions: np.ndarray) -> OnlineFaces:
        return OnlineFaces(self.maps, self.which[positions], self.row[positions])

    def take(self, indices: np.ndarray) -> Tensor:
        """Pictures (B, 112, 112, 3) uint8, black where there is none."""
        row, which = self.row[indices], self.which[indices]
        out = np.zeros((len(indices), *self.maps[0].shape[1:]), np.uint8)
        for number in np.unique(which[row >= 0]):
            mine = (which == number) & (row >= 0)
            out[mine] = self.maps[number][row[mine]]
        return torch.from_numpy(out)
