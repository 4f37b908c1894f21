"""The report of a set of experiments: one table on the terminal, one HTML page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from speakerkd.errors import InputError
from speakerkd.report import figures, tables
from speakerkd.report.page import Section, write_page
from speakerkd.report.published import published_row
from speakerkd.report.results import Result, read_result
from speakerkd.work.arrays import read_arrays
from speakerkd.work.left_out import read_left_out
from speakerkd.work.reading import check_file
from speakerkd.work.records import read_rows

MATCH_AGAIN = "run `speakerkd match-test` again"
SPACES = {"face": ("f", ("N", "D")), "face projected": ("f", ("N", "E")), "voice": ("f", ("N", "E"))}


def write_report(
    experiments: Sequence[Path],
    out: Path | None = None,
    *,
    with_published: bool = False,
    left_out: Path | None = None,
) -> tuple[str, Path]:
    """Collect experiments into one table and one page; gives the table as text and the page's path.

    Experiments named `x-seed1`, `x-seed2` share the row `x`, as mean and sample deviation. left_out: the record that
    `prepare` makes of what a corpus lacks; its sentences stand below the table. Raises InputError for an experiment
    without results.
    """
    results = [read_result(path) for path in experiments]
    page = Path(out) if out is not None else Path(experiments[0]) / "report.html"
    pictures = page.parent / f"{page.stem}_pictures"
    groups: dict[str, list[Result]] = {}
    shared = _shared_prefix([result.system for result in results])
    for result in results:
        groups.setdefault(result.system[shared:], []).append(result)
    cells = result_table(results, with_published=with_published)
    seeds = max(len(runs) for runs in groups.values())
    notes = [f"Mean and sample deviation over up to {seeds} seeds."] if seeds > 1 else ["One seed a system."]
    if with_published:
        notes.append("The papers' rows are on their data, network and training: beside ours, not the same test.")
    missing = [*(read_left_out(left_out) if left_out else []), *dict.fromkeys(w for r in results for w in r.left_out)]
    notes += [f"Left out: {sentence}" for sentence in missing]
    sections = [Section("Results", notes, [cells], _pictures(groups, pictures)), _made(results)]
    lead = f"{len(results)} experiments of {len(groups)} systems."
    write_page(page, "speakerkd report", lead, sections)
    return "\n".join([tables.as_text(cells), *(f"left out: {sentence}" for sentence in missing)]), page


def result_table(results: Sequence[Result], *, with_published: bool = False) -> list[list[str]]:
    """Cells of the table of some experiments, a row a system; the papers' rows below the systems that they have."""
    rows: dict[str, list[dict[str, float]]] = {}
    papers: dict[str, tuple[str, dict[str, float]] | None] = {}
    shared = _shared_prefix([result.system for result in results])
    for result in results:
        short = result.system[shared:]
        if short not in papers:
            papers[short] = (published_row(result.system) or published_row(short)) if with_published else None
        rows.setdefault(short, []).append(result.figures)
        if (paper := papers[short]) is not None and paper[1].keys() & result.figures.keys():
            rows[f"  paper: {paper[0]}"] = [paper[1]]
    return tables.layout(rows, (*tables.SPEAKER_COLUMNS, *tables.IMAGE_COLUMNS))


def _shared_prefix(systems: Sequence[str]) -> int:
    """Length of `mini-` in mini-baseline, mini-margin: what all names share, which no row needs to repeat."""
    if len(set(systems)) < 2:
        return 0
    return commonprefix(list(systems)).rfind("-") + 1


def _pictures(groups: dict[str, list[Result]], folder: Path) -> list[tuple[Path, str]]:
    found = []
    if det := {system: curve for system, runs in groups.items() if (curve := _det(runs[0].path)) is not None}:
        found.append(
            (figures.det_curves(det, folder / "det.png"), "Detection errors on the original list, one seed a system.")
        )
    learning = {system: points for system, runs in groups.items() if len(points := _learning(runs[0].path)) > 1}
    accuracy = {system: points for system in learning if (points := _accuracy(groups[system][0].path))}
    if learning:
        found.append(
            (
                figures.learning_curves(learning, folder / "learning.png", accuracy=accuracy),
                "Early evaluation (EER) and training accuracy (dashed) by epoch, one seed a system.",
            )
        )
    for system, runs in groups.items():
        spaces = runs[0].path / "spaces.npz"
        if spaces.is_file():
            parts = read_arrays(spaces, MATCH_AGAIN, SPACES, {"gender": ("U", ("N",))})
            genders = parts.pop("gender").tolist() if "gender" in parts else None
            picture = figures.embedding_map(parts, folder / f"spaces_{system}.png", genders)
            found.append(
                (picture, f"{system}: faces, projected faces and voices of people it never saw (t-SNE; dark: male).")
            )
    return found


def _det(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    files = sorted((path / "scores").glob("trials_original.*.det"), key=lambda p: (len(p.name), p.name))
    if not files:
        return None
    rows = _det_rows(files[0])
    accept, reject = rows[:, 1], rows[:, 2]
    return accept, reject


def _det_rows(path: Path) -> np.ndarray:
    """The `threshold FPR FNR` lines of a .det file, (N, 3)."""
    check_file(path, "curve", "score the list again")
    try:
        return np.loadtxt(path, usecols=(0, 1, 2), ndmin=2)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError("not lines of `threshold FPR FNR`", path, "score the list again") from error


class LogRow(BaseModel):
    """What the curves take of a row of the log."""

    epoch: float = 0.0
    evaluation: dict[str, float] = {}
    terms: dict[str, float] = {}


def _learning(path: Path) -> list[tuple[float, float]]:
    return [(row.epoch, row.evaluation["eer"]) for row in _log(path) if "eer" in row.evaluation]


def _accuracy(path: Path) -> list[tuple[float, float]]:
    """(epoch, percent) of the training samples that the task loss's classifier gets right, the mean of each epoch."""
    of_epoch: dict[int, list[float]] = {}
    for row in _log(path):
        if "accuracy" in row.terms:
            of_epoch.setdefault(int(np.ceil(row.epoch)), []).append(row.terms["accuracy"])
    return [(epoch, 100 * float(np.mean(values))) for epoch, values in sorted(of_epoch.items())]


def _log(path: Path) -> list[LogRow]:
    log = path / "log.jsonl"
    if not log.is_file():
        return []
    return list(read_rows(log, LogRow, "remove it: it holds what was logged, no figure"))


def _made(results: Sequence[Result]) -> Section:
    """How each figure came about: the header that every score file carries."""
    cells = [["experiment", "list", "protocol", "trials", "EER %", "95 % interval"]]
    for result in results:
        for name, entry in result.raw.get("scores", {}).items():
            if entry.get("eer_percent") is None:
                continue
            low, high = entry.get("interval", {}).get("eer_percent", (float("nan"), float("nan")))
            protocol = entry.get("made", {}).get("protocol", "")
            figure, between = f"{entry['eer_percent']:.2f}", f"{low:.2f} to {high:.2f}"
            cells.append([result.path.name, name, protocol, f"{entry['trials']:,}", figure, between])
    return Section("How the scores were made", tables=[cells])
