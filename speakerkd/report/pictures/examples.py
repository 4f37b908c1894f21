"""Faces that voices were matched with (the first paper's Fig. 7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.report.pictures.canvas import FAINT, INK, SERIES, Picture, draw_grid, save


@dataclass(frozen=True, slots=True)
class Example:
    """A voice's name and the faces it chose from: (picture uint8 (H, W, 3), cosine) each, the right one first."""

    voice: str
    faces: Sequence[tuple[NDArray[np.uint8], float]]


def match_examples(
    examples: Sequence[Example], path: Path, caption: str = "Voices and the faces they chose from."
) -> Picture:
    """The faces of a voice side by side, two voices a row where each has two: the right face framed green, a wrong one
    that was chosen orange, cosines below.

    The right face stands left and right in turn.
    """
    many = max(len(example.faces) for example in examples)
    across = max(1, min(4 // many, len(examples)))  # voices a row
    figure, grid = draw_grid(math.ceil(len(examples) / across), across * many, 1.7, 2.0, many)
    cells = [axes for line in grid for axes in line]
    for axes in cells:
        axes.set_axis_off()
    for number, example in enumerate(examples):
        row = cells[number * many : (number + 1) * many]
        best = int(np.argmax([cosine for _, cosine in example.faces]))
        order = list(range(len(example.faces)))
        order = order[number % many :] + order[: number % many]
        for face, axes in zip(order, row, strict=False):
            picture, cosine = example.faces[face]
            axes.imshow(picture)
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            word = "right" if face == 0 else "chosen" if face == best else ""
            axes.set_xlabel(f"{cosine:+.2f} {word}".strip(), color=INK)
            colour = SERIES[2] if face == 0 else SERIES[1] if face == best else FAINT
            for spine in axes.spines.values():
                spine.set(edgecolor=colour, linewidth=4)
        row[0].set_title(example.voice, fontsize="small", loc="left", color=INK)
    return save(figure, path, caption)
