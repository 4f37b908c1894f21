"""A corpus divided anew into training, validation and test pictures, class by class, by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from speakerkd.corpora.image_corpus import ImageCorpus, Split, rows_of
from speakerkd.errors import InputError

NAMES = ("train", "val", "test")


def divide(
    corpus: ImageCorpus, shares: Sequence[float], seed: int, absent: Literal["refuse", "redraw"] = "refuse"
) -> ImageCorpus:
    """All pictures of a corpus in three splits of these shares (their sum is 1), the splits it came with forgotten.

    Of a class's n pictures in an order drawn by the seed, the first int(n a) are for training, up to int(n (a + b)) to
    validate, the rest to test, as the third paper's authors divide. absent: what becomes of a class that a split would
    lack: an error, or every split has one of its pictures at least, which takes three. Raises InputError.
    """
    if len(shares) != 3 or min(shares, default=0) <= 0 or abs(sum(shares) - 1) > 1e-6:
        fix = "give training, validation and test as three percentages, such as '70 10 20'"
        raise InputError(f"shares of {' '.join(f'{100 * share:g}' for share in shares)} %", "--shares", fix)
    whole = _together(list(corpus.splits.values()))
    labels = np.array(whole.labels)
    rows: list[list[int]] = [[], [], []]
    for label, name in enumerate(corpus.classes):
        own = np.random.default_rng([seed, label, 0x5317]).permutation(np.flatnonzero(labels == label))
        ends = [int(len(own) * shares[0] + 1e-9), int(len(own) * (shares[0] + shares[1]) + 1e-9)]
        if min(ends[0], ends[1] - ends[0], len(own) - ends[1]) == 0:
            if absent == "refuse" or len(own) < 3:
                fix = "add pictures, or leave the class out with --classes"
                more = "" if len(own) < 3 else "; or allow other shares of it with --absent redraw"
                where = f"class '{name}'"
                raise InputError(f"{len(own)} pictures are too few for three splits", where, fix + more)
            first = min(max(ends[0], 1), len(own) - 2)
            ends = [first, min(max(ends[1], first + 1), len(own) - 1)]
        for split, part in zip(rows, np.split(own, ends), strict=True):
            split += part.tolist()
    splits = {name: rows_of(whole, np.sort(np.array(part, np.int64))) for name, part in zip(NAMES, rows, strict=True)}
    return replace(corpus, splits=splits)


def _together(splits: Sequence[Split]) -> Split:
    """The pictures of all splits in one."""

    def pixels(arrays: list[np.ndarray | None]) -> np.ndarray | None:
        there = [one for one in arrays if one is not None]
        return np.concatenate(there) if there else None

    return Split(
        [key for split in splits for key in split.keys],
        [label for split in splits for label in split.labels],
        [file for split in splits for file in split.files],
        pixels([split.pixels for split in splits]),
        [file for split in splits for file in split.paired_files],
        pixels([split.paired_pixels for split in splits]),
    )
