"""The answer of a set of experiments in sentences: what teaching changed, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speakerkd.report.results import Result
from speakerkd.report.results_file import Difference
from speakerkd.report.tables import IMAGE_COLUMNS, SPEAKER_COLUMNS, Column

COLUMNS = {column.key: column for column in (*SPEAKER_COLUMNS, *IMAGE_COLUMNS)}


def heading(key: str) -> str:
    """A figure's name in words: `EER (O)`, `A-F (O)`; a key that no table has stays as it is."""
    column = COLUMNS.get(key)
    return key if column is None else column.heading.removesuffix(" %")


def answers(groups: Mapping[str, Sequence[Result]]) -> list[str]:
    """One sentence a system that was compared with a baseline; else what would have to be run."""
    sentences = []
    shown = {run.path.resolve().name: system for system, runs in groups.items() for run in runs}
    for system, runs in groups.items():
        for name, figures in _differences(runs).items():
            baseline = shown.get(name, name)
            told = ", ".join(difference(key, found) for key, found in figures.items())
            of = f"the first of {len(runs)} seeds" if len(runs) > 1 else ""
            note = f" ({of})" if of else ""
            sentences.append(f"{system} against {baseline}{note}: {told}.")
    if not sentences and len(groups) > 1:
        return ["No paired comparison has been made, so no difference in the table is known to be more than chance."]
    return sentences


def difference(key: str, found: Difference) -> str:
    """`A-F (O) +24.1 points [18.0, 30.2], better`, or `EER (O) no difference [-0.9, +1.2]`."""
    column = COLUMNS.get(key, Column(key, key))
    low, high = found.interval
    digits = min(column.decimals, 3 if column.decimals > 2 else 2)
    between = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
    if found.verdict == "no difference":
        return f"{heading(key)} no difference {between}"
    unit = " points" if column.heading.endswith("%") else ""
    return f"{heading(key)} {found.value:+.{digits}f}{unit} {between}, {found.verdict}"


def verdicts(groups: Mapping[str, Sequence[Result]]) -> dict[str, dict[str, str]]:
    """{system: {figure: better, worse or no difference}} against the baseline that it was compared with."""
    return {
        system: {key: found.verdict for figures in _differences(runs).values() for key, found in figures.items()}
        for system, runs in groups.items()
    }


def _differences(runs: Sequence[Result]) -> dict[str, dict[str, Difference]]:
    """Of a system's seeds, the comparison that the first compared one has."""
    return next((run.raw.differences for run in runs if run.raw.differences), {})
