"""`results.json` of an experiment directory: the figures of every list that was scored, matched or classified."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from speakerkd.work.records import read_json

AGAIN = "move it away, then run `speakerkd score`, `match-test` or `classify` again"


class Interval(BaseModel):
    """Ends of the 95 % intervals of an entry's figures."""

    model_config = ConfigDict(extra="allow")

    eer_percent: tuple[float, float] = (math.nan, math.nan)
    min_dcf: dict[str, tuple[float, float]] = {}


class Entry(BaseModel):
    """What readers rely on in an entry, whatever else stands there."""

    model_config = ConfigDict(extra="allow")

    trials: int = 0
    eer_percent: float | None = None
    eer_threshold: float | None = None
    min_dcf: dict[str, float | None] | None = None
    interval: Interval = Interval()
    accuracy_percent: float | None = None
    left_out: str | None = None
    figures: dict[str, float | None] | None = None
    made: dict[str, str | int | float | None] = {}


class ResultsFile(BaseModel):
    """The sections, each {name: entry}."""

    model_config = ConfigDict(extra="allow")

    scores: dict[str, Entry] = {}
    match: dict[str, Entry] = {}
    classify: dict[str, Entry] = {}


def read_results_file(path: Path | str) -> dict[str, Any]:
    """The file's content, its sections and entries checked. Raises InputError where it is damaged."""
    return read_json(path, ResultsFile, AGAIN).model_dump(exclude_unset=True)
