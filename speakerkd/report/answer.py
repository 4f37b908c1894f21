"""The answer of a set of experiments in sentences: what teaching changed, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speakerkd.report.results import NOISY, Result, noise_of, question_name, short_list, split_name
from speakerkd.report.results_file import Difference
from speakerkd.report.tables import IMAGE_COLUMNS, SPEAKER_COLUMNS, Column

COLUMNS = {column.key: column for column in (*SPEAKER_COLUMNS, *IMAGE_COLUMNS)}
ORDER = {key: number for number, key in enumerate(COLUMNS)}
NO_DIFFERENCE = "no difference"


def heading(key: str) -> str:
    """A figure's name in words: `EER (O)`, `A-F (O)`; a key that no table has stays as it is."""
    column = COLUMNS.get(key)
    return question_name(key) or key if column is None else column.heading.removesuffix(" %")


def figure_key(path: str) -> str:
    """A difference's key as the tables name the figure: `scores/trials_original.crops/eer_percent` is `eer_vox1_o`,
    `match/acc_match_audio_to_face_o_fit/accuracy_percent` is `acc_match_audio_to_face_o_fit`; others stay."""
    section, _, rest = path.partition("/")
    name, _, part = rest.partition("/")
    if section == "match":
        return name
    listed, _, condition = split_name(name)
    kind = {"eer_percent": "eer", "min_dcf/0.01": "mindcf"}.get(part)
    if section != "scores" or kind is None:
        return path
    noise = noise_of(name)
    short = short_list(listed)
    if not condition:
        return f"{kind}_{short}"
    return f"{NOISY[short]}_{noise[1]:g}db" if kind == "eer" and noise and short in NOISY else path


def answers(groups: Mapping[str, Sequence[Result]]) -> list[str]:
    """One sentence a system that was compared with a baseline; else what would have to be run."""
    sentences = []
    names = {run.path.resolve().name: system for system, runs in groups.items() for run in runs}
    compared: set[str] = set()
    for system, runs in groups.items():
        for name, figures in _differences(runs).items():
            baseline = names.get(name, name)
            compared |= {system, baseline}
            sentences.append(f"{system} against {baseline}{_scope(figures, runs)}: {_judged(figures)}.")
    if not sentences and len(groups) > 1:
        return ["No paired comparison has been made, so no difference in the table is known to be more than chance."]
    if sentences and (rest := [system for system in groups if system not in compared]):
        few = ", ".join(rest[:5]) + (f" and {len(rest) - 5} more" if len(rest) > 5 else "")
        sentences.append(f"Not compared yet: {few}; speakerkd compare does it.")
    return sentences


def _judged(figures: Mapping[str, Difference]) -> str:
    """The figures that differ first, each with its size, then all that do not; in the order of the table's columns."""
    known = {key: one for key, one in figures.items() if key in COLUMNS or question_name(key)} or dict(figures)
    ordered = sorted(known.items(), key=lambda item: ORDER.get(item[0], len(ORDER)))
    parts = [f"{difference(key, one)}, {one.verdict}" for key, one in ordered if one.verdict != NO_DIFFERENCE]
    same = [f"{heading(key)} {_interval(key, one)}" for key, one in ordered if one.verdict == NO_DIFFERENCE]
    return "; ".join([*parts, *(["no difference in " + ", ".join(same)] if same else [])])


def _scope(figures: Mapping[str, Difference], runs: Sequence[Result]) -> str:
    """Of how many seeds a comparison is."""
    if len(runs) < 2:
        return ""
    pooled = any("seeds" in one.unit for one in figures.values())
    return f" ({'over' if pooled else 'the first of'} {len(runs)} seeds)"


def difference(key: str, one: Difference) -> str:
    """`A-F (O) +24.1 points [+18.0, +30.2]`."""
    column = _column(key)
    unit = " points" if column.heading.endswith("%") else ""
    return f"{heading(key)} {one.value:+.{_digits(column)}f}{unit} {_interval(key, one)}"


def _interval(key: str, one: Difference) -> str:
    low, high = one.interval
    digits = _digits(_column(key))
    return f"[{low:+.{digits}f}, {high:+.{digits}f}]"


def _column(key: str) -> Column:
    unit = " %" if key.startswith(("eer_", "acc_")) else ""
    return COLUMNS.get(key, Column(key, heading(key) + unit, 1 if key.startswith("acc_") else 2))


def _digits(column: Column) -> int:
    return min(column.decimals, 3)


def verdicts(groups: Mapping[str, Sequence[Result]]) -> dict[str, dict[str, str]]:
    """{system: {figure: better, worse or no difference}} against the baseline that it was compared with."""
    return {
        system: {key: one.verdict for figures in _differences(runs).values() for key, one in figures.items()}
        for system, runs in groups.items()
    }


def _differences(runs: Sequence[Result]) -> dict[str, dict[str, Difference]]:
    """{baseline: {figure: difference}} of the first of a system's seeds that was compared, by the tables' keys."""
    stored = next((run.raw.differences for run in runs if run.raw.differences), {})
    return {
        baseline: {figure_key(path): difference for path, difference in figures.items()}
        for baseline, figures in stored.items()
    }
