"""Voices with the teacher's view of the same people: random crops of Fbank archives, and cached teacher embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.archive import FeatureArchive, read_shared_vectors
from speakerkd.data.datadir import read_table
from speakerkd.data.resident import ResidentFeatures
from speakerkd.errors import InputError


@dataclass(slots=True)
class Utterances:
    """N utterances of one or several data directories; speakers of different directories are different people.

    archives, first: archive a covers positions first[a] to first[a + 1] of all rows together; position: (N,) int64.
    """

    keys: list[str]
    labels: np.ndarray
    names: list[str]
    archives: list[FeatureArchive]
    first: np.ndarray
    position: np.ndarray

    @property
    def frames(self) -> np.ndarray:
        """(N,) int64."""
        return np.concatenate([a.frames for a in self.archives])[self.position]

    def keep(self, chosen: np.ndarray) -> Utterances:
        """The utterances at ascending positions `chosen`, speakers numbered anew."""
        old, labels = np.unique(self.labels[chosen], return_inverse=True)
        names = [self.names[i] for i in old]
        keys = [self.keys[i] for i in chosen]
        return Utterances(keys, labels.astype(np.int64), names, self.archives, self.first, self.position[chosen])

    def crops(self, indices: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        """Crops (B, length, F) float32 of utterances (B,) from frame `starts` (B,); short utterances wrap."""
        position = self.position[indices]
        if len(self.archives) == 1:
            return self.archives[0].crops(position, starts, length)
        owner = np.searchsorted(self.first, position, side="right") - 1
        out = np.empty((len(indices), length, self.archives[0].dim), np.float32)
        for number in np.unique(owner):
            mine = owner == number
            out[mine] = self.archives[number].crops(position[mine] - self.first[number], starts[mine], length)
        return out


def read_utterances(directories: Sequence[Path | str]) -> Utterances:
    """Open the features and speakers of training directories.

    Raises InputError where a directory lacks feats.scp or utt2spk, an utterance has no speaker, or bands differ.
    """
    keys: list[str] = []
    names: list[str] = []
    labels: list[np.ndarray] = []
    archives: list[FeatureArchive] = []
    for directory in map(Path, directories):
        _require(directory, "feats.scp", "speakerkd fbank")
        _require(directory, "utt2spk", "speakerkd prepare")
        archive = FeatureArchive(directory / "feats.scp")
        if archives and archive.dim != archives[0].dim:
            raise InputError(
                f"{archive.dim} bands beside {archives[0].dim}",
                directory / "feats.scp",
                "make both with the same settings",
            )
        speaker = read_table(directory / "utt2spk")
        missing = next((key for key in archive.keys if key not in speaker), None)
        if missing is not None:
            raise InputError(f"no speaker for '{missing}'", directory / "utt2spk", "run `speakerkd validate` on it")
        local, label = np.unique([speaker[key] for key in archive.keys], return_inverse=True)
        labels.append(label.astype(np.int64) + len(names))
        names += local.tolist()
        keys += archive.keys
        archives.append(archive)
    first = np.cumsum([0, *(len(a) for a in archives)])
    return Utterances(keys, np.concatenate(labels), names, archives, first, np.arange(len(keys)))


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

    def keep(self, chosen: np.ndarray) -> CachedTeacher:
        """That of the samples at positions `chosen`."""
        return CachedTeacher(self.vectors, self.row[chosen])

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
            known, values, place = read_shared_vectors(directory / name)
            if vectors and values.shape[1] != vectors[0].shape[1]:
                raise InputError(
                    f"embeddings of {values.shape[1]} numbers beside {vectors[0].shape[1]}",
                    directory / name,
                    "cache both with the same teacher",
                )
            at = dict(zip(known, place.tolist(), strict=True))
            row = np.fromiter((at.get(key, -1) for key in mine), np.int64, len(mine))
            row[row >= 0] += stored
            vectors.append(values)
            stored += len(values)
        rows.append(row)
    row = np.concatenate(rows)
    if not (row >= 0).any():
        where = Path(directories[0]) / name
        raise InputError(
            "no training sample has a teacher embedding", where, "run `speakerkd teach`, or set `distill: []`"
        )
    return CachedTeacher(np.concatenate(vectors), row)


def fraction_of(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Ascending positions of a share of every class's samples, at least two; smaller shares lie within larger ones."""
    order = np.random.default_rng([seed, 0xF7AC]).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[by_class]
    first = np.flatnonzero(np.r_[True, sorted_labels[1:] != sorted_labels[:-1]])
    count = np.diff(np.r_[first, len(labels)])
    rank = np.arange(len(labels)) - np.repeat(first, count)
    return np.sort(by_class[rank < np.repeat(np.maximum(np.round(count * fraction), 2), count)])


class FbankSource:
    """Random crops of `length` frames of every utterance, as a speech network's input.

    device: keep the features in this device's memory and crop there; "cpu" crops the memory map.
    time_mask, band_mask: the widest strip of frames and bands set to the crop's mean (SpecAugment, Park et al. 2019).
    strong: also give a second view with strips of up to a quarter of the frames and bands masked.
    """

    def __init__(
        self,
        utterances: Utterances,
        length: int,
        teacher: TeacherInput | None = None,
        *,
        device: str = "cpu",
        time_mask: int = 0,
        band_mask: int = 0,
        strong: bool = False,
    ) -> None:
        self.keys, self.labels, self.names = utterances.keys, utterances.labels, utterances.names
        self.paired = None if teacher is None else teacher.paired
        self.chances = 9
        self.device = device
        self.length = length
        self._room = np.maximum(utterances.frames - length, 0) + 1
        self._teacher = teacher
        self._masks = (time_mask, band_mask)
        self._strong = strong
        self._resident = ResidentFeatures(utterances, device) if device != "cpu" else None
        self._utterances = utterances

    def student(self, indices: np.ndarray, chance: np.ndarray) -> Tensor:
        starts = (chance[:, 0] * self._room[indices]).astype(np.int64)
        if self._resident is not None:
            return self._resident.crops(indices, starts, self.length)
        return torch.from_numpy(self._utterances.crops(indices, starts, self.length))

    def teacher(self, indices: np.ndarray, chance: np.ndarray) -> Tensor | None:
        return None if self._teacher is None else self._teacher.take(indices)

    def view(self, raw: Tensor, chance: Tensor) -> tuple[Tensor, Tensor | None]:
        time, band = self._masks
        plain = mask_strips(raw, chance[:, 1:5], time, band) if time or band else raw
        if not self._strong:
            return plain, None
        return plain, mask_strips(raw, chance[:, 5:9], self.length // 4, raw.shape[2] // 4)


def mask_strips(x: Tensor, chance: Tensor, time: int, band: int) -> Tensor:
    """Fbank (B, T, F) with one strip of 0 to `time` frames and one of 0 to `band` bands set to each band's mean.

    chance: (B, 4) uniform numbers in [0, 1): width and place of the time strip, then of the band strip.
    """
    mean = x.mean(1, keepdim=True)
    hidden = _strip(x.shape[1], time, chance[:, 0:1], chance[:, 1:2])[:, :, None]
    hidden = hidden | _strip(x.shape[2], band, chance[:, 2:3], chance[:, 3:4])[:, None, :]
    return torch.where(hidden, mean, x)


def _strip(size: int, widest: int, wide: Tensor, place: Tensor) -> Tensor:
    """(B, size) bool, True inside the strip; wide, place: (B, 1) in [0, 1)."""
    width = torch.floor(wide * (min(widest, size) + 1))
    start = torch.floor(place * (size - width + 1))
    at = torch.arange(size, device=wide.device)[None]
    return (at >= start) & (at < start + width)


def _require(directory: Path, name: str, verb: str) -> None:
    if not directory.is_dir():
        raise InputError(
            "no such data directory", directory, "give the path of a directory made by `speakerkd prepare`"
        )
    if not (directory / name).is_file():
        raise InputError(f"the data directory has no {name}", directory, f"run `{verb}` first")
