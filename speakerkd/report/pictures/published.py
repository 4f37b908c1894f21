"""What a paper printed, method by method, with ours beside it where it was run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from speakerkd.report.pictures.canvas import INK, SERIES, Picture, draw, save
from speakerkd.report.published import Published


def published_dots(
    rows: Sequence[Published], ours: Mapping[str, Sequence[float]], path: Path, title: str, unit: str
) -> Picture:
    """A line a method: the printed figure, and the mean of our runs with their sample deviation.

    rows: the printed figures of one table and setting, in its order; what the paper calls "Ours" is "its own" here.
    ours: {name of the row: a figure a seed}. title: the test. unit: what the axis says.
    """
    printed = [row for row in rows if row.number is not None]
    figure, (axes,) = draw(5.6, 1.2 + 0.3 * len(printed))
    places = range(len(printed), 0, -1)
    numbers = [row.number for row in printed if row.number is not None]
    axes.plot(numbers, places, "D", color=SERIES[1], markersize=6, label="the paper")
    mine = [(height, ours[row.name]) for height, row in zip(places, printed, strict=True) if ours.get(row.name)]
    if mine:
        means = [statistics.fmean(values) for _, values in mine]
        spread = [statistics.stdev(values) if len(values) > 1 else 0.0 for _, values in mine]
        at = [height for height, _ in mine]
        axes.errorbar(means, at, xerr=spread, fmt="o", color=SERIES[0], markersize=6, linewidth=2, label="run here")
    plain = next((row.number for row in printed if row.name.endswith("baseline")), None)
    if plain is not None:
        axes.axvline(plain, color=INK, linewidth=1, linestyle=":")
    axes.set_yticks(list(places), [row.method.replace("Ours", "its own") for row in printed])
    axes.set_ylim(0.4, len(printed) + 0.6)
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    figure.legend(frameon=False, labelcolor=INK, loc="outside lower center", ncols=2)
    return save(figure, path, f"{title}: {unit}, by method")
