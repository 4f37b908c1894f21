"""Detection error trade-off: false rejects against false accepts on normal-deviate axes (Martin et al. 1997)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from speakerkd.report.pictures.canvas import FAINT, INK, Picture, draw, mark, name_curves, percent_ticks, save, style_of

TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
HIGHEST = 0.5
FIRST_TICKS = (0.0001, 0.001, 0.005)  # the axis begins at one of these


@dataclass(frozen=True, slots=True)
class Curve:
    """One system on one list. accept, reject: rates in [0, 1] of its operating points. eer: in [0, 1], or None.
    least_cost: (false-accept, false-reject) rates at minDCF, or None. band: (rates of false accepts, low and high
    rates of false rejects), the 95 % interval over speakers, or None."""

    name: str
    accept: NDArray
    reject: NDArray
    eer: float | None = None
    least_cost: tuple[float, float] | None = None
    band: tuple[NDArray, NDArray, NDArray] | None = None


def det_curves(curves: Sequence[Curve], path: Path, caption: str, systems: Sequence[str] | None = None) -> Picture:
    """Curves with their EER (a dot), the point of least detection cost (a cross) and their bands.

    systems: all of a page, whose order decides on colours; None: the curves' own order.
    """
    figure, (axes,) = draw(6.2 if len(curves) <= 8 else 8.0, 5.2)
    seen = [curve.reject[(curve.accept > 0) & (curve.reject > 0)].min(initial=1.0) for curve in curves]
    lowest = next((tick for tick in reversed(FIRST_TICKS) if tick <= max(min(seen), FIRST_TICKS[0])), FIRST_TICKS[0])
    low, high = ndtri(lowest), ndtri(HIGHEST)
    order = systems or [curve.name for curve in curves]
    for curve in curves:
        position = order.index(curve.name)
        style = style_of(position)
        inside = (curve.accept > 0) & (curve.accept < 1) & (curve.reject > 0) & (curve.reject < 1)
        x, y = ndtri(curve.accept[inside]), ndtri(curve.reject[inside])
        axes.plot(x, y, label=curve.name, linewidth=1.8, gid=mark(position), **style)
        if curve.band is not None:
            rates, lower, upper = (ndtri(np.clip(part, 1e-6, 1 - 1e-6)) for part in curve.band)
            axes.fill_between(rates, lower, upper, color=style["color"], alpha=0.13, linewidth=0, gid=mark(position))
        if curve.eer:
            at = ndtri(curve.eer)
            axes.plot([at], [at], "o", color=style["color"], markersize=6, gid=mark(position))
        if curve.least_cost is not None and min(curve.least_cost) > 0:
            accept, reject = ndtri(curve.least_cost)
            axes.plot([accept], [reject], "x", color=style["color"], markersize=7, gid=mark(position))
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1)
    ticks = [tick for tick in TICKS if tick >= lowest]
    axes.set_xticks(ndtri(ticks), percent_ticks(ticks))
    axes.set_yticks(ndtri(ticks), percent_ticks(ticks))
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("false accepts, % of non-target trials", color=INK)
    axes.set_ylabel("false rejects, % of target trials", color=INK)
    name_curves(figure, axes, len(curves))
    return save(figure, path, caption)
