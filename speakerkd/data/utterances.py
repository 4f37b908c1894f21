"""Voices with the teacher's view of the same people: random crops of Fbank archives, and cached teacher embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speakerkd.data.archive import FeatureArchive
from speakerkd.data.datadir import read_table, require_file
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

    def keep(self, rows: np.ndarray) -> Utterances:
        """The utterances at ascending positions `rows`, speakers numbered anew."""
        old, labels = np.unique(self.labels[rows], return_inverse=True)
        names = [self.names[i] for i in old]
        keys = [self.keys[i] for i in rows]
        return Utterances(keys, labels.astype(np.int64), names, self.archives, self.first, self.position[rows])

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

    Parameters
    ----------
    directories: one or more; speakers of different directories count as different people.

    Raises
    ------
    InputError: where a directory lacks feats.scp or utt2spk, an utterance has no speaker, bands differ, or two
        directories hold the same features.
    """
    keys: list[str] = []
    names: list[str] = []
    labels: list[np.ndarray] = []
    archives: list[FeatureArchive] = []
    for directory in map(Path, directories):
        require_file(directory, "feats.scp")
        require_file(directory, "utt2spk")
        archive = FeatureArchive(directory / "feats.scp")
        if archives and archive.dim != archives[0].dim:
            raise InputError(
                f"{archive.dim} bands beside {archives[0].dim}",
                directory / "feats.scp",
                "make both with the same settings",
            )
        for before in archives:  # parts of one directory share archives, but no keys
            if archive.files & before.files and (again := set(archive.keys) & set(before.keys)):
                what = f"'{min(again)}' and its features are in {before.scp} too, so one person would count as two"
                raise InputError(what, archive.scp, "name every recording once in data.train")
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


@dataclass(slots=True)
class Copies:
    """Augmented copies of N utterances, as long as those: archives, and row (C, N) of each utterance, -1 for none."""

    archives: list[FeatureArchive]
    row: np.ndarray

    def keep(self, rows: np.ndarray) -> Copies:
        return Copies(self.archives, self.row[:, rows])

    def choose(self, indices: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """(B,) the copy of each utterance (B,), -1 for the clean one, all alike by draws (B,) in [0, 1)."""
        there = self.row[:, indices] >= 0
        turn = (draws * (1 + there.sum(0))).astype(np.int64)  # 0: clean; n: the n-th copy that there is
        rank = np.cumsum(there, 0)
        copy = np.argmax(there & (rank == turn), 0)
        return np.where(turn == 0, -1, copy)

    def replace(self, out: np.ndarray, copy: np.ndarray, indices: np.ndarray, starts: np.ndarray) -> None:
        """Put the crops of the chosen copies (B,) in place of the clean ones in out (B, T, F)."""
        for number, archive in enumerate(self.archives):
            mine = np.flatnonzero(copy == number)
            if len(mine):
                out[mine] = archive.crops(self.row[number, indices[mine]], starts[mine], out.shape[1])


def read_copies(directories: Sequence[Path | str], utterances: Utterances) -> Copies:
    """Open the copies of training utterances that `speakerkd augment` made; their keys are the originals'.

    Raises InputError where a directory has no features, none of the utterances, other bands or another length.
    """
    fix = "make them again with `speakerkd augment`"
    row_of = {key: n for n, key in enumerate(utterances.keys)}
    if len(row_of) < len(utterances.keys):
        raise InputError("copies of directories that share keys", directories[0], "give data.train one directory")
    archives, rows = [], np.full((len(directories), len(row_of)), -1, np.int64)
    frames = utterances.frames
    for number, directory in enumerate(map(Path, directories)):
        require_file(directory, "feats.scp", "`speakerkd augment`")
        archive = FeatureArchive(directory / "feats.scp")
        if archive.dim != utterances.archives[0].dim:
            raise InputError(f"copies of {archive.dim} bands", directory / "feats.scp", fix)
        at = np.array([row_of.get(key, -1) for key in archive.keys], np.int64)
        mine = np.flatnonzero(at >= 0)
        if len(mine) == 0:
            raise InputError("copies of none of the training utterances", directory, "give copies of data.train")
        other = mine[archive.frames[mine] != frames[at[mine]]]
        if len(other):
            what = f"a copy of another length than its utterance ('{archive.keys[other[0]]}')"
            raise InputError(what, directory, "list directories of another speed in data.train, not in data.copies")
        rows[number, at[mine]] = mine
        archives.append(archive)
    return Copies(archives, rows)
