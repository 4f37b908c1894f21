"""Back-ends on cosine scores: mean subtraction, S-norm, adaptive S-norm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from speakerkd.errors import InputError

ROWS, COHORT = 512, 8192  # recordings and cohort embeddings multiplied at a time: 16 MiB of scores


@dataclass(frozen=True, slots=True)
class CohortStatistics:
    """Mean and standard deviation (U,) of each recording's cosines to the cohort, or to the nearest of it."""

    mean: NDArray
    std: NDArray


def mean_embedding(values: NDArray) -> NDArray:
    """Mean over all vectors of a table (..., D), as (D,) float64, without a copy of the table."""
    return values.reshape(-1, values.shape[-1]).mean(0, dtype=np.float64)


def cohort_statistics(values: NDArray, cohort: NDArray, top: int | None = None) -> CohortStatistics:
    """Mean and deviation of each recording's cosines to a cohort. It is read in blocks: about 60 MB beside the tables.

    Parameters
    ----------
    values: (U, D) embeddings of recordings, of any length.
    cohort: (K, D) embeddings of the cohort.
    top: how many of a recording's highest cosines count; None for all K. At least 2.

    Returns
    -------
    Mean and standard deviation, (U,) each; the deviation divides by the count.

    Raises
    ------
    InputError for a cohort smaller than `top` or than two, or one whose cosines to a recording are all equal.
    """
    if cohort.ndim != 2 or cohort.shape[1] != values.shape[1]:
        what = f"cohort embeddings of shape {cohort.shape}, recordings of size {values.shape[1]}"
        raise InputError(what, "score normalisation", "give vectors of the same model")
    if len(cohort) < max(2, top or 0) or (top is not None and top < 2):
        what = f"a cohort of {len(cohort)}, of which the {top or 'whole'} nearest are wanted"
        raise InputError(what, "score normalisation", "give a larger cohort or a smaller --top (2 at least)")
    mean, std = np.empty(len(values)), np.empty(len(values))
    for first in range(0, len(values), ROWS):
        rows = normalize(torch.from_numpy(np.ascontiguousarray(values[first : first + ROWS])), dim=-1)
        part = slice(first, first + len(rows))
        mean[part], std[part] = _all(rows, cohort) if top is None else _nearest(rows, cohort, top)
    if not (std > 0).all():
        raise InputError("all cohort scores of a recording are equal", "score normalisation", "give another cohort")
    return CohortStatistics(mean, std)


def _cosines(rows: torch.Tensor, cohort: NDArray) -> Iterator[torch.Tensor]:
    for first in range(0, len(cohort), COHORT):
        block = torch.from_numpy(np.ascontiguousarray(cohort[first : first + COHORT]))
        yield rows @ normalize(block, dim=-1).to(rows.dtype).T


def _all(rows: torch.Tensor, cohort: NDArray) -> tuple[NDArray, NDArray]:
    total, squares = torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.float64)
    for cosines in _cosines(rows, cohort):
        total += cosines.sum(1, dtype=torch.float64)
        squares += cosines.double().square_().sum(1)
    mean = total / len(cohort)
    return mean.numpy(), (squares / len(cohort) - mean.square()).clamp_(min=0).sqrt_().numpy()


def _nearest(rows: torch.Tensor, cohort: NDArray, top: int) -> tuple[NDArray, NDArray]:
    best: torch.Tensor | None = None
    for cosines in _cosines(rows, cohort):
        many = min(top, cosines.shape[1])
        if best is not None and best.shape[1] == top:  # fewer and fewer of a block are still among the nearest
            many = min(many, int((cosines > best.amin(1, keepdim=True)).sum(1).max()))
        if many:
            nearest = cosines.topk(many, dim=1, sorted=False).values
            best = nearest if best is None else torch.cat([best, nearest], 1)
            best = best.topk(min(top, best.shape[1]), dim=1, sorted=False).values
    assert best is not None  # a cohort is never empty
    best = best.double()
    return best.mean(1).numpy(), best.std(1, correction=0).numpy()


def s_norm(
    scores: NDArray, rows: NDArray, columns: NDArray, enrol: CohortStatistics, test: CohortStatistics
) -> NDArray[np.float64]:
    """Symmetric normalisation: the mean of (s - mean_e) / std_e and (s - mean_t) / std_t (Kenny 2010).

    With statistics over the nearest of the cohort it is adaptive S-norm (Cumani 2011; Matejka 2017, AS-norm1).

    Parameters
    ----------
    scores: (n,) cosines of the trials.
    rows, columns: (n,) each trial's row in the enrolment side's and the test side's statistics.
    enrol, test: the statistics of both sides' recordings.

    Returns
    -------
    (n,) float64, without bounds.
    """
    left = (scores - enrol.mean[rows]) / enrol.std[rows]
    right = (scores - test.mean[columns]) / test.std[columns]
    return 0.5 * (left + right)
