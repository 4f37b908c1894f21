"""Matching of voices and faces: accuracy with its interval, beside chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from speakerkd.report.pictures.canvas import INK, Picture, draw, mark, name_curves, save, style_of

Bar = tuple[float, tuple[float, float] | None]  # accuracy and its interval, in percent


def matching_bars(
    groups: Mapping[str, Mapping[str, Bar]],
    chance: float,
    path: Path,
    caption: str,
    systems: Sequence[str] | None = None,
) -> Picture:
    """A dot with its interval a system and question. groups: {system: {question: bar}}. systems: all of a page, whose
    order decides on colours."""
    questions = list(dict.fromkeys(question for bars in groups.values() for question in bars))
    figure, (axes,) = draw(max(5.4, 1.6 + 1.1 * len(questions)), 3.8)
    width = 0.7 / max(len(groups), 1)
    order = systems or list(groups)
    for place, (name, bars) in enumerate(groups.items()):
        position = order.index(name)
        style = style_of(position)
        for number, question in enumerate(questions):
            if question not in bars:
                continue
            value, interval = bars[question]
            x = number + (place - (len(groups) - 1) / 2) * width
            label = name if question == next(iter(bars)) else None
            if interval is not None:
                axes.plot([x, x], interval, color=style["color"], linewidth=2, gid=mark(position))
            axes.plot([x], [value], "o", color=style["color"], markersize=7, label=label, gid=mark(position))
    axes.axhline(chance, color=INK, linewidth=1, linestyle=":")
    axes.annotate(
        f"chance, {chance:g} %",
        (len(questions) - 0.5, chance),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=INK,
    )
    axes.set_xticks(np.arange(len(questions)), [question.replace(", ", ",\n") for question in questions])
    axes.set_xlim(-0.6, len(questions) - 0.4)
    axes.set_ylabel("right answers, %")
    name_curves(figure, axes, len(groups))
    return save(figure, path, caption)
