"""A table of image experiments: seeds drawn together, published figures beside ours."""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from speakerkd.errors import InputError

COLUMNS = {
    "top1": "top-1 %",
    "top5": "top-5 %",
    "f1_weighted": "F1 %",
    "ece": "ECE %",
    "image_to_text_top1": "image to text %",
    "text_to_image_map": "retrieval mAP %",
    "corrupted_top1": "corrupted top-1 %",
}
SEED = re.compile(r"-seed\d+$")


def read_published(path: Path | str) -> dict[tuple[str, str], float]:
    """{(experiment, figure): value} of a CSV with the columns experiment, figure, value."""
    path = Path(path)
    if not path.is_file():
        raise InputError("no table of published figures", path, "give a CSV with experiment, figure, value")
    published = {}
    with open(path, encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            try:
                published[row["experiment"], row["figure"]] = float(row["value"])
            except (KeyError, TypeError, ValueError) as error:
                raise InputError("not a row of published figures", f"{path}:{number}", "mend the line") from error
    return published


def classification_table(
    figures: Iterable[tuple[str, Mapping[str, float]]], published: Mapping[tuple[str, str], float] | None = None
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of experiments' figures; runs named `x-seed1`, `x-seed2` share the row `x`: mean and deviation.

    figures: (experiment's name, {figure: percent}). published: beside our figure, in brackets. Columns that no
    experiment has are left out; rows come in the order of their first run.
    """
    groups: dict[str, list[Mapping[str, float]]] = {}
    for name, found in figures:
        groups.setdefault(SEED.sub("", name), []).append(found)
    columns = [column for column in COLUMNS if any(column in run for runs in groups.values() for run in runs)]
    several = any(len(runs) > 1 for runs in groups.values())
    header = ["experiment", *(["runs"] if several else []), *(COLUMNS[column] for column in columns)]
    rows = []
    for name, runs in groups.items():
        cells = [_cell([run[c] for run in runs if c in run], (published or {}).get((name, c))) for c in columns]
        rows.append([name, *([str(len(runs))] if several else []), *cells])
    return header, rows


def _cell(values: list[float], published: float | None) -> str:
    beside = "" if published is None else f" ({published:.2f})"
    if not values:
        return "-" + beside
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}{beside}"
