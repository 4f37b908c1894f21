"""The answer of a set of experiments in sentences: what teaching changed, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speakerkd.report.results import NOISY, Result, noise_of, question_name, short_list, split_name
from speakerkd.report.results_file import Difference
from speakerkd.report.tables import IMAGE_COLUMNS, SPEAKER_COLUMNS, Column

COLUMNS = {column.key: column for column in (*SPEAKER_COLUMNS, *IMAGE_COLUMNS)}


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
    shown = {run.path.resolve().name: system for system, runs in groups.items() for run in runs}
    for system, runs in groups.items():
        for name, figures in _differences(runs).items():
            baseline = shown.get(name, name)
            known = {key: found for key, found in figures.items() if key in COLUMNS or question_name(key)}
            told = ", ".join(difference(key, found) for key, found in (known or figures).items())
            of = f"the first of {len(runs)} seeds" if len(runs) > 1 else ""
            note = f" ({of})" if of else ""
            sentences.append(f"{system} against {baseline}{note}: {told}.")
    if not sentences and len(groups) > 1:
        return ["No paired comparison has been made, so no difference in the table is known to be more than chance."]
    return sentences


def difference(key: str, found: Difference) -> str:
    """`A-F (O) +24.1 points [18.0, 30.2], better`, or `EER (O) no difference [-0.9, +1.2]`."""
    unit_of = "%" if key.startswith(("eer_", "acc_")) else ""
    column = COLUMNS.get(key, Column(key, f"{heading(key)} {unit_of}", 1 if key.startswith("acc_") else 2))
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
    """{baseline: {figure: difference}} of the first of a system's seeds that was compared, by the tables' keys."""
    found = next((run.raw.differences for run in runs if run.raw.differences), {})
    return {
        baseline: {figure_key(path): difference for path, difference in figures.items()}
        for baseline, figures in found.items()
    }
