"""What a set of scores is worth: EER, detection costs, Cllr, thresholds and the DET curve, exact under ties.

Scores are sorted once, targets and non-targets apart (`sort_scores`); everything else reads the sorted arrays.
A trial is accepted when its score is at or above the threshold, so equal scores are always decided together and no
figure depends on the order of the trials. With one class only every figure is undefined: nan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakerkd.errors import InputError

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class SortedScores:
    """Scores in ascending order: target (T,), nontarget (N,)."""

    target: Floats
    nontarget: Floats

    @property
    def defined(self) -> bool:
        """True when both classes are there, so that error rates mean something."""
        return self.target.size > 0 and self.nontarget.size > 0


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Accepting scores >= threshold falsely accepts and falsely rejects these fractions, in [0, 1]."""

    threshold: float
    false_accept: float
    false_reject: float


def sort_scores(scores: ArrayLike, labels: ArrayLike) -> SortedScores:
    """Sort the scores of trials by class, once for all figures.

    Parameters
    ----------
    scores: (n,), higher is more alike.
    labels: (n,), 1 for a target trial, 0 for a non-target one; trials with a negative label are left out.

    Raises
    ------
    InputError where the lengths differ or a score is nan.

    >>> s = sort_scores([0.9, 0.8, 0.3, 0.7, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
    >>> s.target.tolist(), s.nontarget.tolist()
    ([0.3, 0.8, 0.9], [0.1, 0.2, 0.7])
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise InputError(
            f"scores {scores.shape} and labels {labels.shape} differ in shape", "metrics", "give one label a score"
        )
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    target, nontarget = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    for part in (target, nontarget):
        if part.size and np.isnan(part[-1]):  # numpy sorts nan last
            raise InputError(
                "a score is not a number (nan)", "metrics", "find the recording whose embedding is not finite"
            )
    return SortedScores(target, nontarget)


def _point(s: SortedScores, threshold: float) -> OperatingPoint:
    misses = int(np.searchsorted(s.target, threshold, "left"))
    accepts = s.nontarget.size - int(np.searchsorted(s.nontarget, threshold, "left"))
    return OperatingPoint(float(threshold), accepts / s.nontarget.size, misses / s.target.size)


def _next_score(s: SortedScores, value: float) -> float:
    """The smallest score above `value`, or infinity."""
    above = [a[i] for a in (s.target, s.nontarget) if (i := np.searchsorted(a, value, "right")) < a.size]
    return float(min(above, default=math.inf))


def _crossing(s: SortedScores) -> float:
    """The largest score at which accepting it and all above still has more false accepts than false rejects."""
    T, N = s.target.size, s.nontarget.size

    def balance(value: float) -> int:  # in whole trials, so that no rounding moves the crossing
        misses = int(np.searchsorted(s.target, value, "left"))
        accepts = N - int(np.searchsorted(s.nontarget, value, "left"))
        return misses * N - accepts * T

    below = []
    for part in (s.target, s.nontarget):
        low, high = -1, part.size  # part[low] is below the crossing, part[high] at or above it
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if balance(part[middle]) < 0 else (low, middle)
        if low >= 0:
            below.append(part[low])
    return max(below)


def eer(s: SortedScores) -> float:
    """Equal error rate in [0, 1]: where the line between neighbouring operating points has FNR = FPR.

    Equal scores move from accepted to rejected together, along one line; so ties give the same value in any order,
    and scores that are all equal give 0.5. nan where a class is empty.

    >>> round(eer(sort_scores([0.9, 0.8, 0.3, 0.7, 0.2, 0.1], [1, 1, 1, 0, 0, 0])), 4)  # one of three each way
    0.3333
    """
    if not s.defined:
        return math.nan
    T, N = s.target.size, s.nontarget.size
    value = _crossing(s)
    miss_below, miss_above = (int(np.searchsorted(s.target, value, side)) for side in ("left", "right"))
    accept_below, accept_above = (N - int(np.searchsorted(s.nontarget, value, side)) for side in ("left", "right"))
    # FNR = m/T, FPR = a/N; the crossing of both lines, as one fraction of whole numbers
    down, up = accept_below - accept_above, miss_above - miss_below
    return (miss_below * down + up * accept_below) / (down * T + up * N)


def eer_threshold(s: SortedScores) -> float:
    """The threshold at a score whose FPR and FNR are nearest to each other (the lower one of two)."""
    if not s.defined:
        return math.nan
    below = float(_crossing(s))
    points = [_point(s, below), _point(s, _next_score(s, below))]
    return min(points, key=lambda p: abs(p.false_accept - p.false_reject)).threshold


def _unit_cost(prior: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    """Weights of FNR and FPR, over the cost of the better of accepting all and rejecting all."""
    if not (0 < prior < 1 and c_miss > 0 and c_fa > 0):
        raise InputError(
            f"prior {prior}, costs {c_miss} and {c_fa}", "detection cost", "give a prior in (0, 1) and positive costs"
        )
    best = min(c_miss * prior, c_fa * (1 - prior))
    return c_miss * prior / best, c_fa * (1 - prior) / best


def min_dcf(s: SortedScores, prior: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Least normalised detection cost over all thresholds between distinct scores, all and none accepted included.

    NIST SRE: (c_miss p FNR + c_fa (1-p) FPR) / min(c_miss p, c_fa (1-p)).

    Parameters
    ----------
    prior: p of a target trial, in (0, 1). VoxCeleb's lists are reported at 0.01 and 0.05.
    c_miss, c_fa: costs of a miss and of a false accept, above 0.

    Returns
    -------
    In [0, 1]; nan where a class is empty.

    >>> s = sort_scores([0.9, 0.8, 0.3, 0.7, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
    >>> round(min_dcf(s, 0.01), 4)  # at 0.8: one of three missed, nothing falsely accepted
    0.3333
    """
    return _least_cost(s, prior, c_miss, c_fa)[0]


def min_dcf_threshold(s: SortedScores, prior: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """A threshold at which `min_dcf` is reached.

    Parameters
    ----------
    prior: p of a target trial, in (0, 1).
    c_miss, c_fa: costs of a miss and of a false accept, above 0.

    Returns
    -------
    In the scores' unit; infinity where rejecting all is best.
    """
    return _least_cost(s, prior, c_miss, c_fa)[1]


def _least_cost(s: SortedScores, prior: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    w_miss, w_fa = _unit_cost(prior, c_miss, c_fa)
    if not s.defined:
        return math.nan, math.nan
    T, N = s.target.size, s.nontarget.size
    if T <= N:
        # lowering the threshold to anything but a target's score only adds false accepts
        cuts = s.target
        misses = np.arange(T)
        accepts = N - np.searchsorted(s.nontarget, cuts, "left")
        first = np.concatenate([[True], cuts[1:] != cuts[:-1]])
        misses, accepts, cuts = misses[first], accepts[first], cuts[first]
        reject = True
    else:
        # raising it past anything but a non-target's score only adds misses
        cuts = s.nontarget
        accepts = N - 1 - np.arange(N)
        misses = np.searchsorted(s.target, cuts, "right")
        last = np.concatenate([cuts[1:] != cuts[:-1], [True]])
        misses, accepts, cuts = misses[last], accepts[last], cuts[last]
        reject = False
    cost = w_miss * (misses / T) + w_fa * (accepts / N)
    best = int(np.argmin(cost))
    end = (w_miss, math.inf) if reject else (w_fa, -math.inf)
    if end[0] <= cost[best]:
        return end
    cut = float(cuts[best])
    return float(cost[best]), cut if reject else _next_score(s, cut)


def act_dcf(s: SortedScores, prior: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Normalised detection cost at Bayes' threshold log(c_fa (1-p) / (c_miss p)), for natural log likelihood ratios.

    Parameters
    ----------
    prior: p of a target trial, in (0, 1).
    c_miss, c_fa: costs of a miss and of a false accept, above 0.

    Returns
    -------
    From 0; above 1 where always rejecting, or always accepting, would cost less. nan where a class is empty.
    """
    w_miss, w_fa = _unit_cost(prior, c_miss, c_fa)
    if not s.defined:
        return math.nan
    point = _point(s, math.log(c_fa * (1 - prior) / (c_miss * prior)))
    return w_miss * point.false_reject + w_fa * point.false_accept


def threshold_at_false_accept(s: SortedScores, rate: float) -> OperatingPoint:
    """The lowest threshold at a score whose false-accept rate is at most `rate`.

    Parameters
    ----------
    rate: in [0, 1].

    Returns
    -------
    Threshold and both error rates there; infinity where only rejecting everything will do.
    """
    if not s.defined:
        return OperatingPoint(math.nan, math.nan, math.nan)
    N = s.nontarget.size
    allowed = math.floor(rate * N * (1 + 1e-12))
    if allowed >= N:
        return _point(s, float(min(s.target[0], s.nontarget[0])))
    return _point(s, _next_score(s, s.nontarget[N - 1 - allowed]))


def det_points(s: SortedScores) -> tuple[Floats, Floats, Floats]:
    """Every operating point, threshold ascending: (thresholds, FPR, FNR), each (distinct scores + 1,).

    The last one, at infinity, accepts nothing.
    """
    merged = np.concatenate([s.target, s.nontarget])
    merged.sort(kind="stable")  # merges two sorted runs in linear time
    return _points(s, merged)


def det_curve(s: SortedScores, points: int = 400) -> tuple[Floats, Floats, Floats]:
    """About so many operating points as `det_points` gives them, spread over all decades of both error rates."""
    levels = np.geomspace(1e-6, 0.5, max(2, points // 4))
    levels = np.concatenate([levels, 1 - levels[::-1]])
    return _points(s, np.sort(np.concatenate([_at_levels(side, levels) for side in (s.target, s.nontarget)])))


def _at_levels(ordered: Floats, levels: Floats) -> Floats:
    places = (levels * len(ordered)).astype(np.int64)
    return ordered[places.clip(0, len(ordered) - 1)] if len(ordered) else ordered


def _points(s: SortedScores, ordered: Floats) -> tuple[Floats, Floats, Floats]:
    if not s.defined:
        empty = np.empty(0)
        return empty, empty, empty
    cuts = np.append(ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])], np.inf)
    accepts = s.nontarget.size - np.searchsorted(s.nontarget, cuts, "left")
    return cuts, accepts / s.nontarget.size, np.searchsorted(s.target, cuts, "left") / s.target.size


def cllr(s: SortedScores) -> float:
    """Cost of natural log likelihood ratios in bits: 0 is perfect, 1 says nothing (Brümmer and du Preez 2006)."""
    if not s.defined:
        return math.nan
    return float(np.mean(np.logaddexp(0, -s.target)) + np.mean(np.logaddexp(0, s.nontarget))) / (2 * math.log(2))


def min_cllr(s: SortedScores) -> float:
    """Least `cllr` that any non-decreasing map of the scores reaches (pool adjacent violators), in bits, in [0, 1]."""
    if not s.defined:
        return math.nan
    from sklearn.isotonic import isotonic_regression

    targets, nontargets = _runs(s)
    count = targets + nontargets
    p = isotonic_regression(targets / count, sample_weight=count.astype(np.float64), y_min=0, y_max=1)
    T, N = s.target.size, s.nontarget.size
    with np.errstate(divide="ignore"):
        ratio = np.log(p) - np.log1p(-p) - math.log(T / N)  # posterior odds over the trials' own prior odds
    held, free = targets > 0, nontargets > 0  # a ratio of -inf has no targets, one of +inf no non-targets
    cost = targets[held] @ np.logaddexp(0, -ratio[held]) / T + nontargets[free] @ np.logaddexp(0, ratio[free]) / N
    return float(cost) / (2 * math.log(2))


def _runs(s: SortedScores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Targets and non-targets in score order, counted by groups that isotonic regression keeps together.

    Such are equal scores, and neighbours of one class: at most twice as many as the smaller class has scores.
    """
    few, many = (s.target, s.nontarget) if s.target.size <= s.nontarget.size else (s.nontarget, s.target)
    starts = np.flatnonzero(np.concatenate([[True], few[1:] != few[:-1]]))
    counts = np.zeros((2, 2 * len(starts) + 1), np.int64)  # between, at, between, ..., at, between
    counts[0, 1::2] = np.diff(np.append(starts, len(few)))
    edges = np.empty(2 * len(starts), np.int64)
    edges[::2], edges[1::2] = (np.searchsorted(many, few[starts], side) for side in ("left", "right"))
    counts[1] = np.diff(np.concatenate([[0], edges, [len(many)]]))
    counts = counts[:, counts.any(0)]
    return (counts[0], counts[1]) if few is s.target else (counts[1], counts[0])


def auc(s: SortedScores) -> float:
    """Area under the ROC curve in [0, 1]: the share of (target, non-target) pairs in the right order, a tie is half."""
    if not s.defined:
        return math.nan
    below = np.searchsorted(s.nontarget, s.target, "left").sum(dtype=np.int64)
    equal = np.searchsorted(s.nontarget, s.target, "right").sum(dtype=np.int64) - below
    return float((below + 0.5 * equal) / (s.target.size * s.nontarget.size))
