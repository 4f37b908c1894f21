"""Scores of several systems, or of voice and face, as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError


def distance_scores(cosines: NDArray) -> NDArray[np.float64]:
    """Minus the Euclidean distance of unit vectors with these cosines, in [-2, 0]."""
    return -np.sqrt(np.clip(2 - 2 * np.asarray(cosines, np.float64), 0, None))


def mean_scores(scores: Sequence[NDArray], kinds: Sequence[str]) -> tuple[NDArray[np.float64], str]:
    """Mean score (n,) of systems and its kind (first paper, Fig. 1: the mean of the voice's and the face's distance).

    scores: (n,) each. kinds: `distance` (minus a distance), `cosine` (put on the scale of distances), `normalised` or
    `llr`. Raises InputError where kinds do not share a scale.
    """
    on_distances = {"distance", "cosine"}
    if len(set(kinds)) > 1 and not set(kinds) <= on_distances:
        fix = "normalise or calibrate all of them, or none; or fuse by --calibrate, which finds each one's weight"
        raise InputError(f"scores of different kinds ({', '.join(kinds)}) have no common mean", "fusion", fix)
    if set(kinds) <= on_distances:
        parts = [distance_scores(s) if kind == "cosine" else s for s, kind in zip(scores, kinds, strict=True)]
        return np.mean(parts, axis=0, dtype=np.float64), "distance"
    return np.mean(scores, axis=0, dtype=np.float64), kinds[0]
