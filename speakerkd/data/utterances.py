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
        require_file(directory, "feats.scp", "speakerkd fbank")
        require_file(directory, "utt2spk", "speakerkd prepare")
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
