"""The report of a set of experiments: one table on the terminal, one HTML page with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from speakerkd.report import sections, tables
from speakerkd.report.answer import answers, verdicts
from speakerkd.report.page import Section, Table, write_page
from speakerkd.report.published import published_row
from speakerkd.report.records import records
from speakerkd.report.results import Result, read_result
from speakerkd.work.left_out import read_left_out

MOST = 24  # systems that a page draws; a longer table has them all


def write_report(
    experiments: Sequence[Path],
    out: Path | None = None,
    *,
    with_published: bool = False,
    left_out: Path | None = None,
) -> tuple[str, Path]:
    """Collect experiments into one table and one page.

    Parameters
    ----------
    experiments: experiment directories; those named `x-seed1`, `x-seed2` share the row `x`, as mean and sample
    deviation. out: the page; null: report.html in the first experiment. with_published: the papers' rows below ours.
    left_out: the record that `prepare` makes of what a corpus lacks; its sentences stand below the table.

    Returns
    -------
    The table as text, and the page's path. Pictures lie beside the page as PNG.

    Raises
    ------
    InputError for an experiment without results, or a damaged record.
    """
    unique = {Path(path).resolve(): path for path in reversed(experiments)}  # exp/latest is one of the others
    results = [read_result(path) for path in reversed(unique.values())]
    page = Path(out) if out is not None else Path(experiments[0]) / "report.html"
    groups = grouped(results)
    cells = result_table(results, with_published=with_published)
    missing = [*(read_left_out(left_out) if left_out else []), *dict.fromkeys(w for r in results for w in r.left_out)]

    first = Section("Results", _notes(groups, with_published, missing), [_marked(cells, groups)])
    drawn = dict(list(groups.items())[:MOST])
    pictures = page.parent / f"{page.stem}_pictures"
    genres = _by_genre(results)
    if genres:
        first.tables.append(Table(genres))
    parts = [first, *sections.with_pictures(drawn, pictures), *records(groups)]
    write_page(
        page,
        "Report of " + ", ".join(groups) if len(groups) < 5 else f"Report of {len(groups)} systems",
        answers(groups),
        parts,
        list(drawn),
    )
    shown = [tables.as_text(cells), *(["", tables.as_text(genres)] if genres else [])]
    return "\n".join([*shown, *(f"left out: {sentence}" for sentence in missing)]), page


def _by_genre(results: Sequence[Result]) -> list[list[str]]:
    """Cells of EERs, a row a list that was scored by groups (genres), a column a group; [] where none was."""
    rows = [
        (f"{result.path.name} {name}", entry.groups)
        for result in results
        for name, entry in result.raw.scores.items()
        if entry.groups
    ]
    if not rows:
        return []
    names = sorted({group for _, groups in rows for group in groups})
    cells = [["EER by group, %", *names]]
    for row, groups in rows:
        eers = [groups[name].eer_percent if name in groups else None for name in names]
        cells.append([row, *("-" if eer is None else f"{eer:.2f}" for eer in eers)])
    return cells


def grouped(results: Sequence[Result]) -> dict[str, list[Result]]:
    """{system: its seeds}, names without what all share."""
    shared = tables.shared_prefix([result.system for result in results])
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.system[shared:], []).append(result)
    return groups


def result_table(results: Sequence[Result], *, with_published: bool = False) -> list[list[str]]:
    """Cells of the table of some experiments, a row a system; the papers' rows below the systems that they have."""
    rows: dict[str, list[dict[str, float]]] = {}
    papers: dict[str, tuple[str, dict[str, float]] | None] = {}
    shared = tables.shared_prefix([result.system for result in results])
    for result in results:
        short = result.system[shared:]
        if short not in papers:
            papers[short] = (published_row(result.system) or published_row(short)) if with_published else None
        rows.setdefault(short, []).append(result.figures)
        if (paper := papers[short]) is not None and paper[1].keys() & result.figures.keys():
            rows[f"  paper: {paper[0]}"] = [paper[1]]
    return tables.layout(rows, tables.columns_for([result.figures for result in results]))


def _notes(groups: Mapping[str, list[Result]], with_published: bool, missing: Sequence[str]) -> list[str]:
    seeds = max(len(runs) for runs in groups.values())
    notes = [f"Mean and sample deviation over up to {seeds} seeds."] if seeds > 1 else ["One seed a system."]
    if any(verdicts(groups).values()):
        notes.append("▲ and ▼ mark what is better or worse than the baseline by a paired test (95 %); the rest is not.")
    if with_published:
        notes.append("The papers' rows are on their data, network and training: beside ours, not the same test.")
    if len(groups) > MOST:
        notes.append(f"Pictures show the first {MOST} of {len(groups)} systems.")
    return notes + [f"Left out: {sentence}" for sentence in missing]


def _marked(cells: list[list[str]], groups: Mapping[str, list[Result]]) -> Table:
    """The table with its systems' positions, and the cells that a paired test calls better or worse."""
    position = {name: number for number, name in enumerate(groups)}
    judged = verdicts(groups)
    keys = {
        column.heading: column.key for column in tables.columns_for([r.figures for rs in groups.values() for r in rs])
    }
    systems: list[int | None] = [position.get(row[0]) for row in cells[1:]]
    marks = {
        (number, column): word
        for number, row in enumerate(cells[1:])
        for column, heading in enumerate(cells[0])
        if (word := judged.get(row[0], {}).get(keys.get(heading, ""), "")) in ("better", "worse")
    }
    return Table(cells, systems, marks, "Figures by system")
