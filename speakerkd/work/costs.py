"""What each stage cost: `costs.json` of a folder sums the seconds of the verbs that ended well in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field

from speakerkd.errors import InputError
from speakerkd.work.files import write_json
from speakerkd.work.lock import WAIT, locked
from speakerkd.work.records import read_json

FILE = "costs.json"


class Cost(BaseModel):
    """Seconds by the clock that a verb took in a folder, and in how many runs."""

    seconds: float = Field(0.0, ge=0)
    runs: int = Field(0, ge=0)


def read_costs(folder: Path | str) -> dict[str, Cost]:
    """{verb: cost} of a folder, by name; {} where nothing was recorded, or the record is damaged."""
    path = Path(folder) / FILE
    try:
        return read_json(path, dict[str, Cost], "remove it") if path.is_file() else {}
    except InputError:  # it says nothing about the folder's content
        return {}


@contextlib.contextmanager
def spending(folder: Path | str | None, verb: str) -> Iterator[None]:
    """Add the time of what runs inside to a folder's costs, if it ends well; None: to nobody's.

    A folder that cannot be written to gets no record: the work is what counts.
    """
    began = time.monotonic()
    yield
    if folder is not None and Path(folder).is_dir():
        with contextlib.suppress(InputError, OSError):
            _add(Path(folder), verb, time.monotonic() - began)


def _add(folder: Path, verb: str, seconds: float) -> None:
    with locked(folder / f".{FILE}.lock", verb, wait=WAIT):
        costs = read_costs(folder)
        there = costs.get(verb, Cost())
        costs[verb] = Cost(seconds=round(there.seconds + seconds, 2), runs=there.runs + 1)
        write_json(folder / FILE, {name: cost.model_dump() for name, cost in costs.items()})
