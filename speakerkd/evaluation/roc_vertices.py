"""Figures as a widely used trainer prints them, from the vertices of an ROC curve: to compare with its numbers.

Not to report: its EER is the larger of FPR and FNR at one vertex and so lies at or above the exact one
(1.1135 against 1.1029 % on 37,720 trials).
"""

from __future__ import annotations

import numpy as np

from speakerkd.evaluation.metrics import Floats, OperatingPoint, SortedScores, det_points


def roc_vertices(s: SortedScores) -> tuple[Floats, Floats, Floats]:
    """ROC points without those on a straight line between their neighbours, threshold descending from infinity.

    Returns (thresholds, FPR, FNR), equal to scikit-learn's `roc_curve(drop_intermediate=True)`.
    """
    thresholds, fpr, fnr = (a[::-1] for a in det_points(s))
    accepts, hits = np.rint(fpr * s.nontarget.size), np.rint((1 - fnr) * s.target.size)
    keep = np.ones(thresholds.size, bool)
    if thresholds.size > 3:
        # second differences are taken over the scores' own points; the point at infinity is put before them
        keep[2:-1] = (np.diff(accepts[1:], 2) != 0) | (np.diff(hits[1:], 2) != 0)
    return thresholds[keep], fpr[keep], fnr[keep]


def eer_at_vertex(s: SortedScores) -> float:
    """The larger of FPR and FNR at the vertex where they are nearest, in [0, 1]."""
    _, fpr, fnr = roc_vertices(s)
    best = np.argmin(np.abs(fnr - fpr))
    return float(max(fpr[best], fnr[best]))


def vertex_near_false_accept(s: SortedScores, rate: float) -> OperatingPoint:
    """The vertex whose false-accept rate is nearest to `rate`, above or below it."""
    return _nearest(s, rate, 1)


def vertex_near_false_reject(s: SortedScores, rate: float) -> OperatingPoint:
    """The vertex whose false-reject rate is nearest to `rate`, above or below it."""
    return _nearest(s, rate, 2)


def _nearest(s: SortedScores, rate: float, column: int) -> OperatingPoint:
    points = roc_vertices(s)
    best = np.argmin(np.abs(points[column] - rate))
    return OperatingPoint(*(float(a[best]) for a in points))
