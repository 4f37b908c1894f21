"""Every figure that the three papers print, with ours beside it where an experiment has it.

Experiments are found below a folder and matched by their names: `margin`, `alpha_0.4`, `cifar100-resnet18-fitnet`,
`cifar10-resnet32x4-resnet8x4-kd`. Each row says the paper's difference to its own baseline, ours to ours, the seeds and
what was spent, and on what data ours was tested. Those that are stale or not trained to the end are named on standard
error. The LaTeX is a longtable (\\usepackage{booktabs,longtable}).

Example: speakerkd tables --exp exp --paper widely_differing_modalities --table 1 4 --format csv --out tables.csv
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings

Paper = Literal["widely_differing_modalities", "dimensional_structure", "discom_kd"]


class TablesOptions(Settings):
    """Which figures, beside which experiments, and how they are written."""

    exp: Path = Field(Path("exp"), description="folder that holds the experiments")
    paper: list[Paper] = Field([], description="papers, one or more [default: all]")
    table: list[str] = Field([], description="numbers of tables, one or more [default: all]")
    format: Literal["markdown", "csv", "latex"] = Field("markdown", description="how the table is written")
    out: Path | None = Field(None, description="file to write [default: standard output]")


@verb()
def tables(settings: TablesOptions) -> None:
    """Print or write the table."""
    from speakerkd.report.papers import as_format, published_tables
    from speakerkd.work.files import whole_file

    cells, notes = published_tables(settings.exp, settings.paper, settings.table)
    for note in notes:
        print(f"speakerkd: {note}", file=sys.stderr)
    text = as_format(cells, settings.format)
    if settings.out is None:
        print(text, end="")
        return
    with whole_file(settings.out) as stream:
        stream.write(text)
    print(f"{len(cells) - 1} figures in {settings.out}")
