"""Every published figure with ours beside it, where an experiment here has it."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speakerkd.errors import InputError
from speakerkd.report.published import PAPERS, Published, all_published, published_of, same_as
from speakerkd.report.results import Result, read_result, read_training

HEAD = (
    "paper",
    "table",
    "setting",
    "method",
    "figure",
    "published",
    "published - its baseline",
    "ours",
    "ours - our baseline",
    "seeds",
    "budget",
    "experiments",
)
FORMATS = ("markdown", "csv", "latex")


def published_tables(
    root: Path | str, papers: Sequence[str] = (), tables: Sequence[str] = ()
) -> tuple[list[list[str]], list[str]]:
    """Cells, heading first, of all published figures (or some papers', some tables'), and what was left out of them.

    root: the folder that holds experiments, at any depth to two. Experiments are matched by their names. Raises
    InputError for a folder that is not there or an unknown paper.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("no such folder of experiments", root, "give the folder that holds them with --exp")
    for paper in papers:
        if paper not in PAPERS:
            raise InputError(f"unknown paper '{paper}'", "--paper", f"use one of {', '.join(PAPERS)}")
    runs, notes = _experiments(root)
    cells = [list(HEAD)]
    for row in all_published():
        if (papers and row.paper not in papers) or (tables and row.table not in tables):
            continue
        cells.append(_row(row, runs))
    return cells, notes


def our_runs(root: Path | str) -> dict[str, list[Result]]:
    """{name of a published row: our finished runs of it} under a folder; {} where that is not there."""
    return _experiments(Path(root))[0]


def _experiments(root: Path) -> tuple[dict[str, list[Result]], list[str]]:
    """{published name: its finished runs}; sentences on those that are not whole."""
    runs: dict[str, list[Result]] = {}
    notes = []
    for file in sorted([*root.glob("*/results.json"), *root.glob("*/*/results.json")]):
        folder = file.parent
        if folder.is_symlink() or any(part.is_symlink() for part in (folder, folder.parent)):
            continue  # exp/latest
        try:
            result = read_result(folder)
        except InputError as error:
            notes.append(f"{error}, left out")
            continue
        published = published_of(result.system) or published_of(f"{folder.parent.name}-{result.system}")
        if not published:
            continue
        if (folder / "config.yaml").is_file() and not (folder / "finished.json").is_file():
            notes.append(f"{folder}: not trained to the end, left out")
            continue
        if _stale(folder):
            notes.append(f"{folder}: scored before its model was written, score it again")
        for name in dict.fromkeys([published[0].name, *same_as(published[0].name)]):
            runs.setdefault(name, []).append(result)
    return runs, notes


def _stale(folder: Path) -> bool:
    model = folder / "model.safetensors"
    return model.is_file() and model.stat().st_mtime > (folder / "results.json").stat().st_mtime + 1


def _row(row: Published, runs: dict[str, list[Result]]) -> list[str]:
    mine = [run for run in runs.get(row.name, []) if row.figure in run.figures]
    baseline = _baseline(row)
    theirs = None
    if baseline is not None and baseline.number is not None and row.number is not None and baseline is not row:
        theirs = row.number - baseline.number
    ours = statistics.fmean(run.figures[row.figure] for run in mine) if mine else None
    gain = None
    if ours is not None and baseline is not None and baseline is not row:
        plain = [run.figures[row.figure] for run in runs.get(baseline.name, []) if row.figure in run.figures]
        gain = ours - statistics.fmean(plain) if plain else None
    return [
        row.paper,
        row.table,
        row.setting,
        row.method,
        row.figure,
        row.value,
        "" if theirs is None else f"{theirs:+.3f}",
        "" if ours is None else f"{ours:.3f}",
        "" if gain is None else f"{gain:+.3f}",
        str(len(mine)) if mine else "",
        _budget(mine[0]) if mine else "",
        " ".join(str(run.path) for run in mine),
    ]


def _baseline(row: Published) -> Published | None:
    """The row without teaching in the same table, setting and figure; of a setting that varies, that of the data."""
    name = {"widely_differing_modalities": "baseline"}.get(row.paper, row.name.rpartition("-")[0] + "-baseline")
    if "-" in row.name and row.paper == "widely_differing_modalities":
        name = "-".join(row.name.split("-")[:2]) + "-baseline"
    elif row.name.startswith("quarter_"):
        name = "quarter_baseline"
    return next((other for other in all_published() if other.name == name and other.figure == row.figure), None)


def _budget(run: Result) -> str:
    """What a run was trained on, for how long, and what its figures are of, as its own records say."""
    training = read_training(run.path)
    about: dict[str, Any] = training.summary or training.about
    words = []
    if "samples" in about:
        words.append(f"{about['samples']:,} samples")
    if "steps" in about and "batch" in about:
        words.append(f"{about['steps']:,} steps of {about['batch']}")
    if "seconds" in training.summary:
        words.append(f"{training.summary['seconds'] / 60:.1f} min on {about.get('device', '?')}")
    data_of: list[object] = [scored.made.get("data") for scored in run.raw.scores.values()]
    data_of += [matched.made.get("data") for matched in run.raw.match.values()]
    if tested := [str(data) for data in dict.fromkeys(data_of) if data]:
        words.append(f"tested on {' '.join(tested)}")
    return ", ".join(words)


def as_format(cells: Sequence[Sequence[str]], name: str) -> str:
    """The cells as `markdown`, `csv` or `latex`; raises InputError for another name."""
    if name == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(cells)
        return text.getvalue()
    if name == "latex":
        return _latex(cells)
    if name != "markdown":
        raise InputError(f"unknown format '{name}'", "--format", f"use one of {', '.join(FORMATS)}")
    from speakerkd.report.tables import as_markdown

    return as_markdown([list(row) for row in cells]) + "\n"


def _latex(cells: Sequence[Sequence[str]]) -> str:
    """A longtable, which goes over pages as 753 rows must."""
    named = {"~": "asciitilde", "^": "asciicircum", "\\": "backslash", "<": "less", ">": "greater", "|": "bar"}
    special = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {c: f"\\text{name}{{}}" for c, name in named.items()})
    lines = [" & ".join(cell.translate(special) for cell in row) + r" \\" for row in cells]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,longtable} and, with pdflatex, \usepackage[T1]{fontenc}",
            rf"\begin{{longtable}}{{{'l' * len(cells[0])}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            r"\endhead",
            *lines[1:],
            r"\bottomrule",
            r"\end{longtable}",
            "",
        ]
    )
