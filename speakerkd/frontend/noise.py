"""Noise at a given level below speech, the same in every run and on every machine."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from speakerkd.errors import InputError, nearest
from speakerkd.frontend.audio import RATE, read_audio
from speakerkd.media.folders import media_below
from speakerkd.media.formats import AUDIO

log = logging.getLogger(__name__)

CATEGORIES = ("noise", "music", "speech")  # MUSAN's
Level = Literal["exact", "voxceleb_trainer"]
FLOORS: dict[Level, float] = {"exact": 0.0, "voxceleb_trainer": 1e-4}  # added to the mean square of samples in [-1, 1]
DRAWS = 16  # places tried in a file before it is taken to be silent
CACHED = 64  # files kept in memory


def mix_noise(audio: np.ndarray, noise: np.ndarray, snr_db: float, floor: float = 0.0) -> np.ndarray:
    """audio + noise (..., N), the noise scaled so that its level lies `snr_db` dB below the audio's.

    That is the first paper's Eq. 13. A level is 10 log10(mean square + floor), samples in [-1, 1]; the floor of 1e-4 is
    voxceleb_trainer's and makes the noise weaker than asked for where it is itself below some -30 dBFS. Silent audio,
    or silent noise, leaves the audio as it is.
    """
    ours, theirs = (np.square(part, dtype=np.float64).mean(-1, keepdims=True) for part in (audio, noise))
    ratio = np.divide(
        ours + floor, theirs + floor, out=np.zeros(np.broadcast_shapes(ours.shape, theirs.shape)), where=theirs > 0
    )
    scale = np.where(ours > 0, np.sqrt(ratio * 10 ** (-snr_db / 10)), 0.0)
    return (audio + scale * noise).astype(np.result_type(audio, noise), copy=False)


def drawn(seed: int, key: str, what: str, count: int) -> int:
    """A number below `count` that is a function of seed, key and what it is for, on every machine."""
    text = f"{seed}\0{key}\0{what}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") % count


def readable(
    files: Sequence[str], draw: Callable[[str, int], int], read: Callable[[str], np.ndarray]
) -> tuple[str, np.ndarray]:
    """A file that is drawn, and its samples; another one in place of each that cannot be read, which is said once.

    draw: called with "", " 1", " 2" ... and a count, gives a number below it. Raises the last file's InputError where
    all are damaged that were drawn.
    """
    for turn in range(DRAWS):
        file = files[draw(f" {turn}" if turn else "", len(files))]
        try:
            return file, read(file)
        except InputError as error:
            last = error
            if str(error) not in _said:
                _said.add(str(error))
                log.warning("left out: %s", error)
    raise last


_said: set[str] = set()


@dataclass(frozen=True, slots=True)
class Segment:
    """Noise drawn for an utterance: samples (N,) float32, from a file of a category, from a sample of it on."""

    samples: np.ndarray
    category: str
    file: str
    offset: int


class NoiseBank:
    """Noise recordings in MUSAN's layout, `<category>/<source>/<file>` in any depth, and what each utterance gets.

    Category, file and offset follow from (seed, key) by a hash of their text, so every run and machine that holds the
    same files mixes the same. Raises InputError for a folder without recordings in the categories asked for.
    """

    def __init__(
        self, directory: Path | str, seed: int = 0, categories: Sequence[str] | None = None, rate: int = RATE
    ) -> None:
        self.directory, self.seed, self.rate = Path(directory), seed, rate
        for name in categories or ():
            if name not in CATEGORIES:
                raise InputError(f"unknown noise category '{name}'", "categories", nearest(name, CATEGORIES))
        by_category = {name: self._list(name) for name in categories or CATEGORIES}
        missing = [name for name, files in by_category.items() if not files]
        if missing and (categories or len(missing) == len(CATEGORIES)):
            raise InputError(
                f"no recordings of {' or '.join(missing)}",
                directory,
                "give MUSAN's folder, the one with noise, music and speech in it",
            )
        self.files = {name: files for name, files in by_category.items() if files}
        self._read = functools.lru_cache(CACHED)(self._read_file)

    @property
    def categories(self) -> list[str]:
        return list(self.files)

    def _list(self, category: str) -> list[str]:
        """Paths relative to the category, sorted by their bytes: the order does not depend on the file system."""
        root = self.directory / category
        return sorted(media_below(root, AUDIO), key=os.fsencode) if root.is_dir() else []

    def _read_file(self, category: str, file: str) -> np.ndarray:
        return read_audio(self.directory / category / file, self.rate)

    def _draw(self, key: str, what: str, count: int) -> int:
        return drawn(self.seed, key, what, count)

    def segment(self, key: str, length: int, category: str | None = None) -> Segment:
        """`length` samples of noise for an utterance, of one category or of one that is drawn.

        A file shorter than that is repeated from its beginning. The level at which it will be mixed plays no part, so
        one utterance hears the same noise at every level. In place of a file that cannot be read another is drawn, and
        that is said. Raises InputError where none can be.
        """
        category = category or self.categories[self._draw(key, "category", len(self.files))]
        if category not in self.files:
            raise InputError(f"no noise of category '{category}'", self.directory, nearest(category, self.files))
        file, samples = readable(
            self.files[category],
            lambda turn, count: self._draw(key, f"{category} file{turn}", count),
            lambda file: self._read(category, file),
        )
        for turn in range(DRAWS):  # a silent stretch would leave the utterance clean
            offset = self._draw(key, f"{category} offset {turn}", max(1, len(samples) - length + 1))
            if len(samples) >= length:
                part = samples[offset : offset + length]
            else:
                offset = self._draw(key, f"{category} offset {turn}", len(samples))
                part = np.take(samples, np.arange(offset, offset + length), mode="wrap")
            if np.ptp(part) > 0:
                return Segment(part, category, file, offset)
        raise InputError("noise that is silent for too long", self.directory / category / file, "remove the file")

    def mix(
        self, key: str, audio: np.ndarray, snr_db: float, category: str | None = None, floor: float = 0.0
    ) -> np.ndarray:
        """The utterance's samples (N,) with the noise that (seed, key) gives it, `snr_db` dB below it (`mix_noise`)."""
        return mix_noise(audio, self.segment(key, len(audio), category).samples, snr_db, floor)
