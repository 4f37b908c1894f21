"""CN-Celeb1 (dev) and CN-Celeb2 into OUTPUT/train, CN-Celeb1's test with its enrolment models into OUTPUT/eval.

Example: speakerkd prepare cnceleb data --cn1 /corpora/CN-Celeb_flac --cn2 /corpora/CN-Celeb2_flac
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import CorpusOptions


class CncelebOptions(CorpusOptions):
    """Where the corpora are."""

    cn1: Path | None = Field(None, description="root of CN-Celeb1")
    cn2: Path | None = Field(None, description="root of CN-Celeb2")


@verb("output")
def cnceleb(settings: CncelebOptions) -> None:
    """Make the data directories and say what they hold."""
    from speakerkd.corpora.cnceleb import prepare_cnceleb

    for built in prepare_cnceleb(settings.output, settings.work(), cn1=settings.cn1, cn2=settings.cn2):
        print(built)
