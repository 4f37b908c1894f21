"""What all pictures share: size, colours that the colour-blind can tell apart, and how a figure becomes a file."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speakerkd.work.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette without yellow, which white paper swallows; then the same with another dash
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ("-", "--", ":")
DOTS = "oDs^"
INK, FAINT, PAPER = "#1b1f24", "#c9ced6", "#ffffff"  # on the page they follow its light or dark scheme
FEW = 8  # curves whose names fit into a picture; those of more stand beside it
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)", PAPER: "var(--paper)"}


@dataclass(frozen=True, slots=True)
class Picture:
    """svg: for the page, its colours following the scheme. png: the file beside it. caption: what it shows, in words
    that stand for it where it cannot be seen."""

    svg: str
    png: Path
    caption: str


def draw(width: float = 5.4, height: float = 4.2, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `columns` axes side by side, sizes in inches, without a window behind it."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": FAINT,
        "axes.facecolor": "none",
    }
    with rc_context(style):  # type: ignore[arg-type]  # its stubs list every key by name
        figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
        FigureCanvasAgg(figure)
        axes = [figure.add_subplot(1, columns, position + 1) for position in range(columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(True, linewidth=0.6)
        one.set_axisbelow(True)
    return figure, axes


def draw_grid(
    rows: int, columns: int, width: float, height: float, of: int | None = None
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows of axes for pictures; width and height of each in inches. of: a gap after so many columns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    of = of or columns
    gap = 0.15  # of a picture's width
    places = [number + number // of for number in range(columns)]  # of the pictures among the gaps
    shares = [1.0 if number in places else gap for number in range(places[-1] + 1)]
    figure = Figure(figsize=(width * sum(shares), height * rows), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, len(shares), width_ratios=shares)
    return figure, [[figure.add_subplot(grid[row, column]) for column in places] for row in range(rows)]


def style_of(position: int) -> dict[str, Any]:
    """Colour and dash of the system at this position."""
    return {"color": SERIES[position % len(SERIES)], "linestyle": DASHES[position // len(SERIES) % len(DASHES)]}


def dot_of(position: int) -> str:
    """Marker of the system at this position: where colours begin again, the next one."""
    return DOTS[position // len(SERIES) % len(DOTS)]


def mark(position: int) -> str:
    """The name under which a system's lines can be shown and hidden on the page."""
    return f"system-{position}"


def name_curves(figure: Figure, axes: Axes, count: int) -> None:
    """Put the legend into the picture, or beside it where names are many."""
    if count <= FEW:
        axes.legend(frameon=False, labelcolor=INK)
    else:
        figure.legend(frameon=False, labelcolor=INK, loc="outside right upper", fontsize="small")


def save(figure: Figure, path: Path, caption: str) -> Picture:
    """Write `path` (PNG) and give the picture; the same figure always gives the same bytes."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, "wb") as stream:
        figure.savefig(stream, format="png", dpi=144)
    figure.set_layout_engine("none")  # it has done its work, which takes as long as the drawing
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Picture(_for_page(text.getvalue(), path.stem), path, caption)


def raster(path: Path, caption: str) -> Picture:
    """A picture of photographs that lies there as PNG, to stand inside the page."""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(f'<img alt="" src="data:image/png;base64,{content}">', path, caption)


def _for_page(svg: str, name: str) -> str:
    """An SVG element to stand inside a page: names of its own, colours of the scheme, no size but its proportions."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px '[^']*'(, [^;\"]*)?", r"font: \1px var(--sans)", svg)
    svg = re.sub(r'id="system-(\d+)"', r'class="system" data-system="\1"', svg)
    for reference in ('id="', "url(#", 'href="#'):
        svg = svg.replace(reference, f"{reference}{name}-")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.strip()


def percent_ticks(values: Sequence[float]) -> list[str]:
    """Fractions as percent, for the ends of an axis."""
    return [f"{100 * value:g}" for value in values]
