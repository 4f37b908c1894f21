"""Boxes around candidate faces: moved, made square, and of those that overlap the best kept."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

COMPARED = 256  # boxes that are compared with each other at a time


def keep_best(
    box: NDArray[np.float32],
    score: NDArray[np.float32],
    picture: NDArray[np.int64],
    most: float,
    of_smaller: bool = False,
) -> NDArray[np.int64]:
    """Rows that stay, by falling score: of boxes (n, 4) of one picture that overlap by more than `most` the best.

    The overlap is a share of both boxes' union; `of_smaller`: of the smaller box, last pixels counted.
    """
    order = np.argsort(-score, kind="stable")
    order = order[np.argsort(picture[order], kind="stable")]
    ends = [*(np.flatnonzero(np.diff(picture[order])) + 1), len(order)]
    groups = [0]  # of pictures that together have few enough boxes to be compared at once, or of one picture
    for end, next_end in itertools.pairwise(ends):
        if next_end - groups[-1] > COMPARED:
            groups.append(end)
    kept = [rows[_best(box[rows], picture[rows], most, of_smaller)] for rows in np.split(order, groups[1:])]
    rows = np.concatenate(kept)
    return rows[np.argsort(-score[rows], kind="stable")]


def _best(box: NDArray[np.float32], picture: NDArray[np.int64], most: float, of_smaller: bool) -> NDArray[np.bool_]:
    """Of boxes (n, 4), by falling score within a picture, those that no better one of it that stays overlaps."""

    def overlap(ones: NDArray, others: slice) -> NDArray[np.bool_]:
        same = picture[ones][:, None] == picture[others][None]
        return same & _overlap(box[ones], box[others], most, of_smaller)

    stays = np.ones(len(box), bool)
    for start in range(0, len(box), COMPARED):
        some = slice(start, start + COMPARED)
        if start:
            stays[some] = ~overlap(np.flatnonzero(stays[:start]), some).any(0)
        hidden = np.triu(overlap(np.arange(len(box))[some], some), 1)
        free, known = stays[some].copy(), ~stays[some]
        while not np.array_equal(stays[some], known):  # each turn settles at least one more box
            known = stays[some].copy()
            stays[some] = free & ~(hidden & known[:, None]).any(0)
    return stays


def _overlap(
    ones: NDArray[np.float32], others: NDArray[np.float32], most: float, of_smaller: bool
) -> NDArray[np.bool_]:
    """(n, m): whether two boxes share more than `most`."""
    extra = np.float32(of_smaller)
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low + extra, 0).prod(2)
    areas = [(box[:, 2] - box[:, 0] + extra) * (box[:, 3] - box[:, 1] + extra) for box in (ones, others)]
    one, other = areas[0][:, None], areas[1][None]
    whole = np.minimum(one, other) if of_smaller else one + other - shared
    return shared > most * whole


def moved(boxes: NDArray[np.float32], corrections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes (n, 4) with each edge moved by a share (n, 4) of the box's size, its last pixel counted."""
    return boxes + corrections * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def squared(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The squares around the boxes' middles, of their longer sides."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(1, keepdims=True)
    corner = boxes[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([corner, corner + side], 1)
