"""The HTML page of a set of experiments: one file with its pictures inside, readable without a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from speakerkd.report.pictures.canvas import SERIES, Picture
from speakerkd.work.files import whole_file

FIGURE = re.compile(r"-|[-+]?[\d.,]+( (±|to) [-+]?[\d.,]+)?")  # of a cell: none, 1,200, 7.15 ± 0.47, 6.9 to 8.1


@dataclass(slots=True)
class Table:
    """cells: rows of text, heading first. systems: for each row the position of its system, None where it has none.
    marks: {(row, column): word} of cells that differ significantly from the baseline, `better` or `worse`."""

    cells: list[list[str]]
    systems: list[int | None] = field(default_factory=list)
    marks: dict[tuple[int, int], str] = field(default_factory=dict)
    caption: str = ""

    @property
    def text_columns(self) -> set[int]:
        """Columns of words, which stand at the left; figures stand at the right, digit below digit."""
        return {
            number
            for number in range(1, len(self.cells[0]))
            if any(not FIGURE.fullmatch(row[number]) for row in self.cells[1:])
        }


@dataclass(slots=True)
class Section:
    """A heading with sentences, tables and pictures."""

    heading: str
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return self.heading.lower().replace(" ", "-")


def write_page(
    path: Path, title: str, answer: Sequence[str], sections: Sequence[Section], systems: Sequence[str]
) -> Path:
    """Write the page, whole or not at all. answer: its first sentences. systems: those that the page's switches show
    and hide."""
    from jinja2 import Environment
    from markupsafe import Markup

    templates = resources.files("speakerkd.report").joinpath("templates")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(templates.joinpath("page.html.j2").read_text("utf-8"))
    page = template.render(
        title=title,
        answer=answer,
        sections=[section for section in sections if section.tables or section.pictures or section.notes],
        systems=[{"name": name, "colour": SERIES[i % len(SERIES)]} for i, name in enumerate(systems)],
        style=Markup(templates.joinpath("page.css").read_text("utf-8")),
        script=Markup(templates.joinpath("page.js").read_text("utf-8")),
        svg=lambda picture: Markup(picture.svg),
    )
    with whole_file(path) as stream:
        stream.write(page)
    return path
