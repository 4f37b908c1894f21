"""Matching of voices and faces: accuracy with its interval, beside chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from speakerkd.report.pictures.canvas import INK, Picture, dot_of, draw, mark, save, style_of

Bar = tuple[float, tuple[float, float] | None]  # accuracy and its interval, in percent


def matching_bars(
    groups: Mapping[str, Mapping[str, Bar]],
    questions: Sequence[str],
    chance: float,
    path: Path,
    caption: str,
    systems: Sequence[str] | None = None,
    axis: str = "right answers, %",
) -> Picture:
    """A dot with its interval a system and question, a row each, so that it reads on a phone too.

    groups: {system: {question: bar}}. questions: from top to bottom. systems: all of a page, whose order decides on
    colours.
    """
    figure, (axes,) = draw(5.4, 1.2 + len(questions) * max(0.45, 0.13 * len(groups)))
    width = 0.7 / max(len(groups), 1)
    order = systems or list(groups)
    for row, (name, bars) in enumerate(groups.items()):
        position = order.index(name)
        style = style_of(position)
        for number, question in enumerate(questions):
            if question not in bars:
                continue
            value, interval = bars[question]
            y = number + (row - (len(groups) - 1) / 2) * width
            label = name if question == next(iter(bars)) else None
            if interval is not None:
                axes.plot(interval, [y, y], color=style["color"], linewidth=2, gid=mark(position))
            axes.plot(
                [value], [y], dot_of(position), color=style["color"], markersize=6, label=label, gid=mark(position)
            )
    axes.axvline(chance, color=INK, linewidth=1, linestyle=":")
    low, high = axes.get_xlim()
    left = chance < (low + high) / 2  # then its name goes to the right, within the picture
    axes.annotate(
        f"chance, {chance:g} %",
        (chance, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3 if left else -3, 2),
        textcoords="offset points",
        ha="left" if left else "right",
        fontsize=8,
        color=INK,
    )
    axes.set_yticks(np.arange(len(questions)), questions)
    axes.set_ylim(len(questions) - 0.4, -0.6)
    axes.set_xlabel(axis)
    figure.legend(frameon=False, labelcolor=INK, loc="outside lower center", ncols=3, fontsize="small")
    return save(figure, path, caption)
