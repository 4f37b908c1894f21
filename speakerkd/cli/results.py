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
) -> None:
    """Table, pictures and one HTML page of experiments.

    Example: `speakerkd report exp/baseline exp/margin --out exp/report.html`
    """
    from speakerkd.report.summary import write_report

    text, page = write_report(experiments, out, with_published=published)
    print(text)
    print(f"\nreport: {page}")


def doctor() -> None:
    """Say what this machine and installation can do.

    Example: `speakerkd doctor`
    """
    from speakerkd.cli.doctor import examine

    checks = examine()
    width = max(len(c.name) for c in checks)
    for check in checks:
        mark = {True: "ok ", False: "BAD", None: "   "}[check.ok]
        fix = f"  -> {check.fix}" if check.ok is False else ""
        print(f"{mark} {check.name.ljust(width)}  {check.found}{fix}")
    if any(c.ok is False for c in checks):
        raise typer.Exit(1)
