"""The figures that the papers print, to stand beside ours."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

# our config's name -> the row's name in the first paper's tables
PAPER_NAMES = {
    "baseline": "ResNet34 (w/o dist.)",
    "kd": "KD",
    "fitnet": "FitNet",
    "pkt": "PKD",
    "sp": "SP",
    "ickd": "ICKD",
    "ccl": "CCL",
    "margin": "Ours (feature)",
    "classifier": "Ours (classifier)",
    "margin_quality": "Ours (feature+quality)",
}


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with resources.files("speakerkd.report").joinpath("published.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def published(paper: str, tables: tuple[str, ...], setting: str | None = None) -> dict[str, dict[str, float]]:
    """{row name: {metric: value}} of some tables of one paper.

    paper: `widely_differing_modalities`, `dimensional_structure` or `discom_kd`. tables: their numbers, as text.
    setting: keep the rows whose setting contains this text. Percentages are in percent; values that a paper
    prints as text are left out.
    """
    result: dict[str, dict[str, float]] = {}
    for row in _rows():
        if row["paper"] != paper or row["table"] not in tables or (setting and setting not in row["setting"]):
            continue
        try:
            value = float(row["value"])
        except ValueError:
            continue
        result.setdefault(row["method"], {})[row["metric"]] = value
    return result


def published_for(config_name: str) -> dict[str, float]:
    """The first paper's figures (Tables 1, 3 and 4) for the method that one of our configs trains; {} if it has none."""
    row = PAPER_NAMES.get(config_name)
    return {} if row is None else published("widely_differing_modalities", ("1", "3", "4")).get(row, {})
