"""Scores of trials as matrix products over unique recordings.

Embeddings stand in one table for each side, trials name rows of it. Long lists over few recordings (CN-Celeb: 196
models against 17,777 recordings) are scored block by block; lists that touch few of the possible pairs (VoxCeleb1)
gather what each enrolment meets. Nothing is copied whole: vectors are divided by their length after the product.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GATHERED = 1 << 19  # values of a table fetched at a time: 2 MiB in float32, so that they stay in the cache
COSINES = 1 << 20  # cosines whose distances are averaged at a time
DENSE = 0.25  # of all pairs in a list, from which whole blocks of the table are multiplied (crops)
DENSE_COSINE = 0.02  # one product a pair costs far less than fetching two vectors
NEAR = 1e-3  # squared distances below this are recomputed from differences: 2 - 2 cos has lost their digits


def score_cosine(enrol: NDArray, test: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Cosine of each trial: protocols `whole` and `mean`.

    enrol (E, D), test (T, D) float32 or float64; rows, columns (n,) the trial's row in each table.
    Returns (n,) in [-1, 1].
    """
    a, b = torch.from_numpy(np.ascontiguousarray(enrol)), torch.from_numpy(np.ascontiguousarray(test))
    scale_a, scale_b = _inverse_length(a), _inverse_length(b)
    result = np.empty(len(rows), enrol.dtype)
    if len(rows) >= DENSE_COSINE * _pairs(rows, columns):
        order, starts = _grouped(rows, len(a))
        block = max(1, COSINES // max(1, len(b)))
        for first in range(0, len(a), block):
            picked = _span(order, starts[first], starts[min(first + block, len(a))])
            if not len(rows[picked]):
                continue
            products = (a[first : first + block] @ b.T).numpy()
            for part in _parts(picked, len(rows), 1 << 18):
                result[part] = products[rows[part] - first, columns[part]]
    else:
        step = max(1, GATHERED // a.shape[1])
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            result[part] = torch.einsum("nd,nd->n", a[_long(rows[part])], b[_long(columns[part])]).numpy()
    for part in _parts(None, len(rows), 1 << 18):
        result[part] *= scale_a[rows[part]] * scale_b[columns[part]]
    return np.clip(result, -1, 1, out=result)


def score_crops(enrol: NDArray, test: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Minus the mean Euclidean distance between all pairs of L2-normalised crop embeddings: protocol `crops`.

    enrol (E, C, D), test (T, C', D) float32 or float64; rows, columns (n,) the trial's row in each table.
    Returns (n,) in [-2, 0], higher is more alike (Chung et al. 2020, In defence of metric learning).
    """
    a, b = torch.from_numpy(np.ascontiguousarray(enrol)), torch.from_numpy(np.ascontiguousarray(test))
    scale_a, scale_b = (torch.from_numpy(_inverse_length(t)) for t in (a, b))
    result = np.empty(len(rows), enrol.dtype)
    near = np.zeros(len(rows), bool)
    order, starts = _grouped(rows, len(a))
    if len(rows) >= DENSE * _pairs(rows, columns):
        _crops_by_block(a, b, scale_a, scale_b, rows, columns, order, starts, result, near)
    else:
        _crops_by_group(a, b, scale_a, scale_b, rows, columns, order, starts, result, near)
    for trial in np.flatnonzero(near):
        x, y = (torch.nn.functional.normalize(t.double(), dim=-1) for t in (a[rows[trial]], b[columns[trial]]))
        result[trial] = -torch.linalg.vector_norm(x[:, None] - y[None], dim=-1).mean().item()
    return result


def _crops_by_block(a, b, scale_a, scale_b, rows, columns, order, starts, result, near) -> None:
    """Every enrolment of a block against every recording of the table, then the trials are picked out."""
    E, C, D = a.shape
    T, K, _ = b.shape
    high = max(1, 160 // C)
    wide = max(1, 2560 // K)
    for first in range(0, E, high):
        last = min(first + high, E)
        picked = _span(order, starts[first], starts[last])
        if not len(rows[picked]):
            continue
        means, closest = np.empty((last - first, T), result.dtype), np.empty((last - first, T), result.dtype)
        left = a[first:last].reshape(-1, D)
        for t in range(0, T, wide):
            cosines = left @ b[t : t + wide].reshape(-1, D).T
            cosines *= scale_a[first:last].reshape(-1, 1)
            cosines *= scale_b[t : t + wide].reshape(1, -1)
            mean, least = _distances(cosines.view(last - first, C, -1, K), (1, 3))
            means[:, t : t + wide], closest[:, t : t + wide] = mean.numpy(), least.numpy()
        for part in _parts(picked, len(rows), 1 << 18):
            result[part] = means[rows[part] - first, columns[part]]
            near[part] = closest[rows[part] - first, columns[part]] < NEAR


def _crops_by_group(a, b, scale_a, scale_b, rows, columns, order, starts, result, near) -> None:
    """Each enrolment against the recordings it meets, as batches of equal products: 11 trials are 8 + 2 + 1."""
    _, C, D = a.shape
    K = b.shape[1]
    for size, firsts in _pieces(np.diff(starts), starts):
        step = max(1, COSINES // (size * C * K))
        inner = max(1, GATHERED // (size * K * D))
        cosines = torch.empty(min(step, len(firsts)), C, size * K, dtype=a.dtype)
        fetched = torch.empty(min(inner, len(firsts)) * size, K, D, dtype=b.dtype)
        for i in range(0, len(firsts), step):
            place = firsts[i : i + step, None] + np.arange(size)  # positions in the grouped order
            trial = place if order is None else order[place]
            left, right = _long(rows[trial[:, 0]]), _long(columns[trial].ravel())
            count = len(trial)
            for j in range(0, count, inner):  # what is fetched is multiplied while it is still in the cache
                n = min(inner, count - j)
                torch.index_select(b, 0, right[j * size : (j + n) * size], out=fetched[: n * size])
                met = fetched[: n * size].view(n, size * K, D).transpose(1, 2)
                torch.bmm(a.index_select(0, left[j : j + n]), met, out=cosines[j : j + n])
            found = cosines[:count]
            found *= scale_a[left].unsqueeze(2)
            found *= scale_b[right].view(count, 1, size * K)
            mean, least = _distances(found.view(count, C, size, K), (1, 3))
            result[trial] = mean.numpy()
            near[trial] = least.numpy() < NEAR


def _distances(cosines: Tensor, over: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Minus the mean distance of unit vectors with these cosines, and the least squared distance; in place."""
    squared = cosines.mul_(-2).add_(2).clamp_(min=0)
    least = squared.amin(over) if squared.min() < NEAR else torch.full_like(squared[:, 0, :, 0], 4)
    return squared.sqrt_().mean(over).neg_(), least


def mean_crops(crops: NDArray) -> NDArray:
    """Mean of a recording's L2-normalised crop embeddings: (U, C, D) -> (U, D), the vectors of protocol `mean`."""
    result = np.empty((crops.shape[0], crops.shape[2]), crops.dtype)
    step = max(1, GATHERED // max(1, crops.shape[1] * crops.shape[2]))
    for first in range(0, len(crops), step):
        part = torch.from_numpy(np.ascontiguousarray(crops[first : first + step]))
        result[first : first + step] = torch.nn.functional.normalize(part, dim=-1).mean(1).numpy()
    return result


def _inverse_length(t: Tensor) -> NDArray:
    """1 / L2 norm over the last axis, without a copy of the table; 0 for a zero vector, whose cosine is then 0."""
    length = torch.linalg.vector_norm(t, dim=-1)
    return torch.where(length > 0, 1 / length, torch.zeros_like(length)).numpy()


def _long(index: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(index, np.int64))


def _pairs(rows: NDArray, columns: NDArray) -> int:
    return max(1, len(np.unique(rows)) * len(np.unique(columns)))


def _grouped(rows: NDArray, count: int) -> tuple[NDArray | None, NDArray]:
    """The order that puts equal rows together (None where they are), and where each row's trials start in it."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    in_order = bool((rows[1:] >= rows[:-1]).all())
    return None if in_order else np.argsort(rows, kind="stable"), starts


def _span(order: NDArray | None, start: int, stop: int) -> slice | NDArray:
    return slice(start, stop) if order is None else order[start:stop]


def _parts(picked: slice | NDArray | None, total: int, step: int):
    """A selection of trials in pieces of at most `step`, so that temporary arrays stay small."""
    if picked is None:
        picked = slice(0, total)
    if isinstance(picked, slice):
        for first in range(picked.start, picked.stop, step):
            yield slice(first, min(first + step, picked.stop))
    else:
        for first in range(0, len(picked), step):
            yield picked[first : first + step]


def _pieces(counts: NDArray, starts: NDArray, largest: int = 64):
    """Cut groups of trials into pieces of 64, 32, ..., 1 trials: (size, positions of the pieces' first trials)."""
    left, at = counts.copy(), starts[:-1].copy()
    size = largest
    while size:
        many = left // size
        if many.any():
            groups = np.repeat(np.arange(len(counts)), many)
            nth = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
            yield size, at[groups] + nth * size
        left -= many * size
        at += many * size
        size //= 2
