"""How the scores of target and non-target trials lie, and where a threshold cuts them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.report.pictures.canvas import INK, SERIES, Picture, draw, save


def score_histogram(
    edges: NDArray, target: NDArray, nontarget: NDArray, thresholds: Mapping[str, float], path: Path, caption: str
) -> Picture:
    """Shares of either class a bin (edges (n + 1,), counts (n,)), each class summing to 100 %; named thresholds."""
    figure, (axes,) = draw(5.4, 3.6)
    for name, counts, colour in (("non-target", nontarget, SERIES[1]), ("target", target, SERIES[0])):
        share = 100 * counts / max(counts.sum(), 1)
        axes.stairs(share, edges, fill=True, alpha=0.35, color=colour, linewidth=0)
        axes.stairs(share, edges, color=colour, linewidth=1.5, label=f"{name} trials")
    axes.set_ylim(top=1.6 * axes.get_ylim()[1])  # room for the names of thresholds and the legend
    top = axes.get_ylim()[1]
    for value, name in _labels(thresholds, edges):
        beside: dict[str, Any] = {
            "xytext": (2, 0),
            "textcoords": "offset points",
            "rotation": 90,
            "va": "top",
            "fontsize": 8,
        }
        axes.annotate(name, (value, top), color=INK, **beside)
        axes.axvline(value, color=INK, linewidth=1, linestyle=":")
    axes.set_xlabel("score (higher is more alike)")
    axes.set_ylabel("share of the class, %")
    axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    axes.set_xlim(float(np.min(edges)), float(np.max(edges)))
    return save(figure, path, caption)


def _labels(thresholds: Mapping[str, float], edges: NDArray) -> list[tuple[float, str]]:
    """Where a line stands and what it is called; names of thresholds too near to be told apart share a line."""
    near = 0.03 * (edges[-1] - edges[0])
    labels: list[tuple[float, str]] = []
    for name, value in sorted(thresholds.items(), key=lambda item: item[1]):
        if not edges[0] <= value <= edges[-1]:
            continue
        if labels and value - labels[-1][0] < near:
            labels[-1] = (labels[-1][0], f"{labels[-1][1]}; {name}")
        else:
            labels.append((value, name))
    return labels
