"""The HTML page of a set of experiments: one file, pictures inside, readable without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speakerkd.work.files import whole_file

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; border-bottom: 2px solid #888; }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: 100%; }
figure img { max-width: 100%; }
figcaption { max-width: 34rem; color: #555; }
code { background: #f3f3f3; padding: .1rem .3rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ lead }}</p>
{% for section in sections %}
<h2>{{ section.heading }}</h2>
{% for note in section.notes %}<p>{{ note }}</p>
{% endfor %}
{% for cells in section.tables %}
<table>
<tr>{% for cell in cells[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in cells[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
{% for picture in section.pictures %}
<figure>
<img alt="{{ picture.caption }}" src="data:image/png;base64,{{ picture.data }}">
<figcaption>{{ picture.caption }}</figcaption>
</figure>
{% endfor %}
{% endfor %}
</body>
</html>
"""


@dataclass(slots=True)
class Section:
    """A heading with paragraphs, tables (cells, heading first) and pictures (path, caption)."""

    heading: str
    notes: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    pictures: list[tuple[Path, str]] = field(default_factory=list)


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the page, whole or not at all."""
    from jinja2 import Environment

    shown = [
        {
            "heading": s.heading,
            "notes": s.notes,
            "tables": s.tables,
            "pictures": [
                {"caption": caption, "data": base64.b64encode(picture.read_bytes()).decode()}
                for picture, caption in s.pictures
            ],
        }
        for s in sections
    ]
    page = Environment(autoescape=True).from_string(TEMPLATE).render(title=title, lead=lead, sections=shown)
    with whole_file(path) as stream:
        stream.write(page)
    return path
