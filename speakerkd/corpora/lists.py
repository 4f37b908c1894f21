"""Lists and tables that corpora bring along: what they name, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from speakerkd.data.names import NameIndex
from speakerkd.data.text import numbered_lines
from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError


def names_of_list(path: Path, names: Callable[[str], tuple[str, ...] | None]) -> dict[str, int]:
    """{name: first line} of what a list names; `names` gives a line's names, or None where the line is broken.

    Raises InputError with file and line for a broken line, and for an empty list.
    """
    first_lines: dict[str, int] = {}
    for number, line in numbered_lines(path):
        on_line = names(line)
        if on_line is None:
            raise InputError(f"broken line {line[:60]!r}", f"{path}:{number}", "correct the list")
        for name in on_line:
            first_lines.setdefault(name, number)
    if not first_lines:
        raise InputError("an empty list", path, "fetch it again")
    return first_lines


def names_of_trials(path: Path) -> dict[str, int]:
    """{name: first line} of the recordings and models that a trial list names; raises InputError as `read_trials`."""
    trials = read_trials(path)
    first_lines: dict[str, int] = {}
    for names, index in ((trials.enrol_names, trials.enrol), (trials.test_names, trials.test)):
        first = np.unique(index, return_index=True)[1]
        for name, trial in zip(names, first.tolist(), strict=True):
            line = trials.line(trial)
            first_lines[name] = min(first_lines.get(name, line), line)
    return first_lines


def check_named(
    names: Mapping[str, int], there: Collection[str], where: Path, what: str = "recording"
) -> dict[str, str]:
    """{name: the key of `there` that it means} of what a list names, by the rules of `NameIndex`.

    names: {name: line}. Raises InputError, with file, line and count, for names that mean none.
    """
    index = NameIndex(list(there))
    positions = dict(zip(names, index.locate(list(names)).tolist(), strict=True))
    missing = [name for name, position in positions.items() if position < 0]
    if missing:
        first = min(missing, key=names.__getitem__)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        why = index.explain(first) or f"{what} '{first}' is not there"
        fix = "unpack all of the corpus, or correct the list"
        raise InputError(f"{why}{more}", f"{where}:{names[first]}", fix)
    return {name: index.keys[position] for name, position in positions.items()}


def read_gender(path: Path) -> dict[str, str]:
    """{speaker: m|f} of `vox1_meta.csv` (tabs) or `vox2_meta.csv` (commas), by the column whose header says Gender.

    Raises InputError with file and line for a table without that column, a short line, or another value.
    """
    gender: dict[str, str] = {}
    column = None
    for number, line in numbered_lines(path):
        fields = [field.strip() for field in re.split(r"[\t,]", line)]
        if column is None:
            column = next((n for n, name in enumerate(fields) if name.lower() == "gender"), None)
            if column is None:
                raise InputError("no column Gender", f"{path}:{number}", "fetch the meta table of VoxCeleb again")
            continue
        value = fields[column].lower()[:1] if len(fields) > column else ""
        if value not in ("m", "f"):
            raise InputError("a line without a gender m or f", f"{path}:{number}", "correct the table")
        gender[fields[0]] = value
    return gender
