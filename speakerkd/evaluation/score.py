"""Scores of trials as matrix products over unique recordings.

Embeddings stand in one table for each side, trials name rows of it. Long lists over few recordings (CN-Celeb: 196
models against 17,777 recordings) are scored block by block; lists that touch few of the possible pairs (VoxCeleb1)
gather what each enrolment meets. Nothing is copied whole: vectors are divided by their length after the product.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GATHERED = 1 << 19  # values of a table fetched at a time: 2 MiB in float32, so that they stay in the cache
COSINES = 1 << 20  # cosines whose distances are averaged at a time
PART = 1 << 18  # trials looked up at a time
DENSE = 0.25  # of all pairs in a list, from which whole blocks of the table are multiplied (crops)
DENSE_COSINE = 0.02  # one product a pair costs far less than fetching two vectors
NEAR = 1e-3  # squared distances below this are recomputed from differences: 2 - 2 cos has lost their digits


@dataclass(frozen=True, slots=True)
class _Table:
    """One side's embeddings, and one over their lengths (0 for a zero vector, whose cosine is then 0)."""

    values: Tensor
    scale: Tensor

    @classmethod
    def of(cls, embeddings: NDArray) -> _Table:
        values = torch.from_numpy(np.ascontiguousarray(embeddings))
        length = torch.linalg.vector_norm(values, dim=-1)
        return cls(values, torch.where(length > 0, 1 / length, torch.zeros_like(length)))


@dataclass(frozen=True, slots=True)
class _Trials:
    """Trials by enrolment: `order` puts equal rows together (None: they are), row r's trials start at starts[r]."""

    rows: NDArray
    columns: NDArray
    order: NDArray | None
    starts: NDArray

    @classmethod
    def of(cls, rows: NDArray, columns: NDArray, count: int) -> _Trials:
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
        grouped = bool((rows[1:] >= rows[:-1]).all())
        return cls(rows, columns, None if grouped else np.argsort(rows, kind="stable"), starts)

    def of_rows(self, first: int, last: int) -> Iterator[slice | NDArray]:
        """The trials of rows first..last-1, a part at a time, so that temporary arrays stay small."""
        for start in range(self.starts[first], self.starts[last], PART):
            yield self.at(slice(start, min(start + PART, self.starts[last])))

    def at(self, rows: slice) -> slice | NDArray:
        """The trials at these places of the grouped order."""
        return rows if self.order is None else self.order[rows]

    def numbers_at(self, positions: NDArray) -> NDArray:
        """The same for any places, as trial numbers."""
        return positions if self.order is None else self.order[positions]

    @property
    def share(self) -> float:
        """Trials over the pairs that their recordings could form; above 1 where trials are repeated."""
        used = [int(np.count_nonzero(np.bincount(side))) for side in (self.rows, self.columns)]
        return len(self.rows) / max(1, used[0] * used[1])


def score_cosine(enrol: NDArray, test: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Cosine of each trial: protocols `whole` and `mean`.

    Parameters
    ----------
    enrol, test: (E, D), (T, D) embeddings of either side's recordings, float32 or float64, of any length.
    rows, columns: (n,) each trial's row in the two tables.

    Returns
    -------
    (n,) in [-1, 1], higher is more alike; 0 where an embedding is zero.

    >>> import numpy as np
    >>> table = np.array([[3.0, 4.0], [0.0, 2.0]])
    >>> score_cosine(table, table, np.array([0, 0]), np.array([0, 1])).round(6).tolist()
    [1.0, 0.8]
    """
    a, b = _Table.of(enrol), _Table.of(test)
    trials = _Trials.of(rows, columns, len(enrol))
    result = np.empty(len(rows), enrol.dtype)
    for part, products in (_cosine_by_block if trials.share >= DENSE_COSINE else _cosine_by_trial)(a, b, trials):
        result[part] = products * (a.scale.numpy()[rows[part]] * b.scale.numpy()[columns[part]])
    return np.clip(result, -1, 1, out=result)


def _cosine_by_block(a: _Table, b: _Table, trials: _Trials) -> Iterator[tuple[slice | NDArray, NDArray]]:
    block = max(1, COSINES // max(1, len(b.values)))
    for first in range(0, len(a.values), block):
        last = min(first + block, len(a.values))
        if trials.starts[first] < trials.starts[last]:
            products = (a.values[first:last] @ b.values.T).numpy()
            for part in trials.of_rows(first, last):
                yield part, products[trials.rows[part] - first, trials.columns[part]]


def _cosine_by_trial(a: _Table, b: _Table, trials: _Trials) -> Iterator[tuple[slice | NDArray, NDArray]]:
    step = max(1, GATHERED // a.values.shape[1])
    for first in range(0, len(trials.rows), step):
        part = slice(first, first + step)
        left, right = a.values[_long(trials.rows[part])], b.values[_long(trials.columns[part])]
        yield part, torch.einsum("nd,nd->n", left, right).numpy()


def score_crops(enrol: NDArray, test: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Minus the mean Euclidean distance between all pairs of L2-normalised crop embeddings: protocol `crops`.

    The published protocol of voxceleb_trainer (Chung et al. 2020, In defence of metric learning).

    Parameters
    ----------
    enrol, test: (E, C, D), (T, C', D) crop embeddings of either side's recordings, float32 or float64.
    rows, columns: (n,) each trial's row in the two tables.

    Returns
    -------
    (n,) in [-2, 0], higher is more alike.

    >>> import numpy as np
    >>> one, other = np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([[[1.0, 0.0]]])
    >>> score_crops(one, other, np.array([0]), np.array([0])).round(4).tolist()  # distances 0 and 1.4142
    [-0.7071]
    """
    a, b = _Table.of(enrol), _Table.of(test)
    trials = _Trials.of(rows, columns, len(enrol))
    result = np.empty(len(rows), enrol.dtype)
    near = []
    for part, mean, least in (_crops_by_block if trials.share >= DENSE else _crops_by_group)(a, b, trials):
        result[part] = mean
        if (least < NEAR).any():
            near.append(np.arange(len(rows))[part][least < NEAR])
    for trial in itertools.chain.from_iterable(near):
        sides = a.values[rows[trial]], b.values[columns[trial]]
        x, y = (torch.nn.functional.normalize(side.double(), dim=-1) for side in sides)
        result[trial] = -torch.linalg.vector_norm(x[:, None] - y[None], dim=-1).mean().item()
    return result


def _crops_by_block(a: _Table, b: _Table, trials: _Trials) -> Iterator[tuple[slice | NDArray, NDArray, NDArray]]:
    """Every enrolment of a block against every recording of the table; then the trials are picked out."""
    E, C, D = a.values.shape
    T, K, _ = b.values.shape
    high, wide = max(1, 160 // C), max(1, 2560 // K)
    for first in range(0, E, high):
        last = min(first + high, E)
        if trials.starts[first] == trials.starts[last]:
            continue
        means, closest = torch.empty(last - first, T, dtype=a.values.dtype), torch.empty(last - first, T)
        left = a.values[first:last].reshape(-1, D)
        for t in range(0, T, wide):
            cosines = left @ b.values[t : t + wide].reshape(-1, D).T
            cosines *= a.scale[first:last].reshape(-1, 1)
            cosines *= b.scale[t : t + wide].reshape(1, -1)
            means[:, t : t + wide], closest[:, t : t + wide] = _distances(cosines.view(last - first, C, -1, K))
        for part in trials.of_rows(first, last):
            pair = trials.rows[part] - first, trials.columns[part]
            yield part, means.numpy()[pair], closest.numpy()[pair]


def _crops_by_group(a: _Table, b: _Table, trials: _Trials) -> Iterator[tuple[slice | NDArray, NDArray, NDArray]]:
    """Each enrolment against the recordings it meets, as batches of equal products: 11 trials are 8 + 2 + 1."""
    C, (K, D) = a.values.shape[1], b.values.shape[1:]
    for size, firsts in _pieces(np.diff(trials.starts), trials.starts):
        step, inner = max(1, COSINES // (size * C * K)), max(1, GATHERED // (size * K * D))
        cosines = torch.empty(min(step, len(firsts)), C, size * K, dtype=a.values.dtype)
        fetched = torch.empty(min(inner, len(firsts)) * size, K, D, dtype=b.values.dtype)
        for i in range(0, len(firsts), step):
            trial = trials.numbers_at(firsts[i : i + step, None] + np.arange(size))
            left, right = _long(trials.rows[trial[:, 0]]), _long(trials.columns[trial].ravel())
            count = len(trial)
            for j in range(0, count, inner):  # what is fetched is multiplied while it is still in the cache
                n = min(inner, count - j)
                torch.index_select(b.values, 0, right[j * size : (j + n) * size], out=fetched[: n * size])
                met = fetched[: n * size].view(n, size * K, D).transpose(1, 2)
                torch.bmm(a.values.index_select(0, left[j : j + n]), met, out=cosines[j : j + n])
            part = cosines[:count]
            part *= a.scale[left].unsqueeze(2)
            part *= b.scale[right].view(count, 1, size * K)
            mean, least = _distances(part.view(count, C, size, K))
            yield trial, mean.numpy(), least.numpy()


def _distances(cosines: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines (n, C, m, K) of unit vectors -> minus the mean distance, and the least squared one, (n, m); in place."""
    squared = cosines.mul_(-2).add_(2).clamp_(min=0)
    least = squared.amin((1, 3)) if squared.min() < NEAR else torch.full_like(squared[:, 0, :, 0], 4)
    return squared.sqrt_().mean((1, 3)).neg_(), least


def mean_crops(crops: NDArray) -> NDArray:
    """Mean of a recording's L2-normalised crop embeddings: (U, C, D) -> (U, D), the vectors of protocol `mean`."""
    result = np.empty((crops.shape[0], crops.shape[2]), crops.dtype)
    step = max(1, GATHERED // max(1, crops.shape[1] * crops.shape[2]))
    for first in range(0, len(crops), step):
        part = torch.from_numpy(np.ascontiguousarray(crops[first : first + step]))
        result[first : first + step] = torch.nn.functional.normalize(part, dim=-1).mean(1).numpy()
    return result


def _long(index: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(index, np.int64))


def _pieces(counts: NDArray, starts: NDArray, largest: int = 64) -> Iterator[tuple[int, NDArray]]:
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
