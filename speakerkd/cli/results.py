"""Verbs that show what there is: `report` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command("report")(report)
    app.command("doctor")(doctor)


def report(
    experiments: Annotated[list[Path], typer.Argument(help="Experiment directories; seeds of one config share a row.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML page; default: report.html beside the first experiment.")
    ] = None,
    published: Annotated[bool, typer.Option(help="Put the papers' figures beside ours.")] = False,
    left_out: Annotated[
        Path | None, typer.Option(help="What the corpus lacks: left_out.tsv of `speakerkd prepare voxceleb`.")
    ] = None,
) -> None:
    """Table, pictures and one HTML page of experiments.

    Example: `speakerkd report exp/baseline exp/margin --out exp/report.html`
    """
    from speakerkd.report.summary import write_report

    text, page = write_report(experiments, out, with_published=published, left_out=left_out)
    print(text)
    print(f"\nreport: {page}")


def doctor(
    corpus: Annotated[
        str | None, typer.Option(help="voxceleb: what of it is here, what is missing, and what the recipe will cost")
    ] = None,
    vox1: Annotated[Path | None, typer.Option(help="root of VoxCeleb1", show_default=False)] = None,
    vox2: Annotated[Path | None, typer.Option(help="root of VoxCeleb2", show_default=False)] = None,
    lists: Annotated[
        Path | None, typer.Option(help="folder of trial lists and meta tables", show_default=False)
    ] = None,
    musan: Annotated[Path | None, typer.Option(help="root of MUSAN", show_default=False)] = None,
    weights: Annotated[Path | None, typer.Option(help="weights of the face teacher", show_default=False)] = None,
    systems: Annotated[int, typer.Option(min=0, help="networks to train, for the time that they take")] = 2,
    work: Annotated[Path | None, typer.Option(help="where data/ and exp/ will go", show_default=False)] = None,
    left_out: Annotated[
        Path | None, typer.Option(help="file that records what is missing, for `report`", show_default=False)
    ] = None,
    measure: Annotated[float, typer.Option(min=0, help="seconds of measuring; 0: no costs")] = 10.0,
) -> None:
    """Say what this machine and installation can do; with --corpus, what of a corpus is on the disk.

    Example: `speakerkd doctor`

    Example: `speakerkd doctor --corpus voxceleb --vox1 /corpora/voxceleb1 --vox2 /corpora/voxceleb2`
    """
    from speakerkd.errors import InputError, nearest

    if corpus is not None:
        from speakerkd.cli.corpus_parts import show_voxceleb

        if corpus != "voxceleb":
            raise InputError(f"no corpus '{corpus}'", "--corpus", nearest(corpus, ("voxceleb",)))
        whole = show_voxceleb(
            vox1, vox2, lists, musan, weights, systems=systems, work=work, left_out=left_out, seconds=measure
        )
        if not whole:
            raise InputError("a required part is missing", "doctor --corpus", "see the table for where it is to be had")
        return
    from speakerkd.cli.doctor import examine

    checks = examine()
    width = max(len(c.name) for c in checks)
    for check in checks:
        mark = {True: "ok ", False: "BAD", None: "   "}[check.ok]
        fix = f"  -> {check.fix}" if check.ok is False else ""
        print(f"{mark} {check.name.ljust(width)}  {check.found}{fix}")
    if any(c.ok is False for c in checks):
        raise typer.Exit(1)
