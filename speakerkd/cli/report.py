"""Table, pictures and one HTML page of experiments.

Example: speakerkd report exp/baseline exp/margin --out exp/report.html
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class ReportOptions(Settings):
    """Which experiments are shown, and where."""

    experiments: list[Path] = Field(min_length=1, description="experiment directories; seeds of one config share a row")
    out: Path | None = Field(None, description="the HTML page [default: report.html beside the first experiment]")
    published: bool = Field(False, description="put the papers' figures beside ours")
    left_out: Path | None = Field(
        None, description="what the corpus lacks: left_out.tsv of `speakerkd prepare voxceleb`"
    )


@verb("experiments")
def report(settings: ReportOptions) -> None:
    """Print the table and write the page."""
    from speakerkd.report.summary import write_report

    text, page = write_report(
        settings.experiments, settings.out, with_published=settings.published, left_out=settings.left_out
    )
    print(text)
    print(f"\nreport: {page}")
