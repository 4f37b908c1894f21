"""Figures over something: loss terms and EER over training, EER over noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speakerkd.report.pictures.canvas import INK, SERIES, Picture, dot_of, draw, mark, name_curves, save, style_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]


def curves_over(
    curves: Mapping[str, Points],
    path: Path,
    caption: str,
    *,
    x: str,
    y: str,
    systems: Sequence[str] | None = None,
    accuracy: Mapping[str, Points] | None = None,
) -> Picture:
    """One line a system (the first paper's Fig. 6).

    curves: {system: [(x, y), ...]}. x, y: what the axes say, units named. systems: all of a page, whose order decides
    on colours. accuracy: likewise, in percent over the training samples, dashed on an axis of its own.
    """
    figure, (axes,) = draw(5.4, 3.6)
    order = systems or list(curves)
    for name, points in curves.items():
        _draw_system(axes, name, points, order.index(name), 3.5)
    if accuracy:
        right = axes.twinx()
        for name, points in accuracy.items():
            xs, ys = zip(*points, strict=True)
            number = order.index(name)
            right.plot(xs, ys, ":.", linewidth=1.3, color=style_of(number)["color"], gid=mark(number))
        right.set_ylabel("training accuracy, % (dotted)", color=INK)
        right.set_ylim(0, 100)
    axes.set_xlabel(x)
    axes.locator_params(axis="x", integer=True)  # whole epochs
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    name_curves(figure, axes, len(curves))
    return save(figure, path, caption)


def terms_over_epochs(terms: Mapping[str, Points], path: Path, caption: str) -> Picture:
    """The loss terms of one training, each a line; logarithmic, since terms differ by orders of magnitude."""
    figure, (axes,) = draw(5.4, 3.6)
    for position, (name, points) in enumerate(terms.items()):
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, label=name, linewidth=1.5, **style_of(position))
    _logarithmic(axes, [value for points in terms.values() for _, value in points])
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss term (no unit)")
    name_curves(figure, axes, len(terms))
    return save(figure, path, caption)


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis through zero, named in plain numbers; 2 and 5 too where there are few decades."""
    from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

    near = 1e-3  # linear below
    decades = math.log10(max(map(abs, values)) / max(min(map(abs, values)), near)) if any(values) else 0
    axes.set_yscale("symlog", linthresh=near)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=near, subs=[1, 2, 5] if decades < 3 else [1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def weights_over_epochs(quantiles: Mapping[str, Points], path: Path, caption: str) -> Picture:
    """Sample weights over training. quantiles: {low, median, high: [(epoch, weight), ...]}."""
    figure, (axes,) = draw(5.4, 3.6)
    epochs, low = zip(*quantiles["low"], strict=True)
    high = [weight for _, weight in quantiles["high"]]
    axes.fill_between(epochs, low, high, alpha=0.25, linewidth=0, color=SERIES[0], label="5 to 95 %")
    axes.plot(*zip(*quantiles["median"], strict=True), linewidth=1.8, color=SERIES[0], label="median")
    axes.set_xlabel("epoch")
    axes.set_ylabel("sample weight")
    axes.set_ylim(bottom=0)
    name_curves(figure, axes, 2)
    return save(figure, path, caption)


def noise_levels(
    curves: Mapping[str, Mapping[float | None, float]], path: Path, caption: str, systems: Sequence[str] | None = None
) -> Picture:
    """EER over noise, clean at the left. curves: {system: {level in dB, None for clean: EER in percent}}."""
    levels = sorted({level for values in curves.values() for level in values if level is not None}, reverse=True)
    names = ["clean", *(f"{level:g}" for level in levels)]
    position_of: dict[float | None, int] = {None: 0, **{level: number for number, level in enumerate(levels, 1)}}
    figure, (axes,) = draw(5.4, 3.6)
    order = systems or list(curves)
    for name, values in curves.items():
        points = sorted((position_of[level], eer) for level, eer in values.items())
        _draw_system(axes, name, points, order.index(name), 4)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("speech over noise, dB")
    axes.set_ylabel("EER, %")
    axes.set_ylim(bottom=0)
    name_curves(figure, axes, len(curves))
    return save(figure, path, caption)


def _draw_system(axes: Axes, name: str, points: Points, position: int, dots: float) -> None:
    """A system's line with a dot of this size at every point."""
    style = style_of(position) | {"marker": dot_of(position), "markersize": dots}
    axes.plot(*zip(*points, strict=True), label=name, linewidth=1.8, gid=mark(position), **style)
