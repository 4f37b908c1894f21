"""`results.json` of an experiment directory: the figures of every list that was scored, matched or classified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from speakerkd.work.records import read_json

AGAIN = "move it away, then run `speakerkd score`, `match-test` or `classify` again"


class Record(BaseModel):
    """A part of the file: what readers rely on is checked, what else stands there is kept."""

    model_config = ConfigDict(extra="allow")


class Interval(Record):
    eer_percent: tuple[float, float] | None = None
    min_dcf: dict[str, tuple[float, float]] = {}


class Threshold(Record):
    threshold: float | None = None


class Histogram(Record):
    low: float
    high: float
    target: list[int] = Field(min_length=1)
    nontarget: list[int] = Field(min_length=1)


class DetBand(Record):
    false_accept: list[float]
    low: list[float]
    high: list[float]


class GroupFigures(Record):
    """Figures over the trials of one group of test recordings, such as a genre."""

    trials: int = 0
    eer_percent: float | None = None


class ScoredList(Record):
    """Figures of one scored list."""

    trials: int = 0
    eer_percent: float | None = None
    eer_threshold: float | None = None
    min_dcf: dict[str, float | None] | None = None
    thresholds: dict[str, Threshold] = {}
    interval: Interval = Interval()
    histogram: Histogram | None = None
    det_band: DetBand | None = None
    groups: dict[str, GroupFigures] = {}
    undefined: str | None = None  # why there are no figures
    made: dict[str, str | int | float | None] = {}


class Matching(Record):
    """Accuracy of one kind of matching, or why it was left out."""

    accuracy_percent: float | None = None
    interval_percent: tuple[float, float] | None = None
    chance_percent: float | None = None
    people: int | None = None
    made: dict[str, Any] = {}
    left_out: str | None = None


class Difference(Record):
    """A figure less a baseline's, by a paired test."""

    value: float
    interval: tuple[float, float]
    verdict: str = "not judged"
    unit: str = "people"  # over whom the interval is, `people` or `people and seeds`


class Classified(Record):
    figures: dict[str, float | None] | None = None


class Results(Record):
    """results.json of an experiment."""

    scores: dict[str, ScoredList] = {}
    match: dict[str, Matching] = {}
    classify: dict[str, Classified] = {}
    differences: dict[str, dict[str, Difference]] = {}


def read_results(path: Path | str) -> Results:
    """The file, its sections and entries checked. Raises InputError where it is damaged."""
    return read_json(path, Results, AGAIN)


def read_results_file(path: Path | str) -> dict[str, Any]:
    """The same as plain values, to change and write again."""
    return read_results(path).model_dump(exclude_unset=True)
