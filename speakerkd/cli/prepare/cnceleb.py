"""CN-Celeb1 (dev) and CN-Celeb2 into OUTPUT/train, CN-Celeb1's test with its enrolment models into OUTPUT/eval.

Short recordings are joined within a speaker and genre, as FLAC files below OUTPUT/joined. Nothing is written into the
corpora's folders.

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
    join: float = Field(
        5.0, ge=0, le=600, description="training recordings shorter than this many seconds are joined; 0: none"
    )
    train: bool = Field(True, description="also the training set; --no-train: for a model trained elsewhere")


@verb("output", cost="output")
def cnceleb(settings: CncelebOptions) -> None:
    """Make the data directories and say what they hold."""
    from speakerkd.corpora.cnceleb import left_out, prepare_cnceleb
    from speakerkd.work.left_out import FILE, record_left_out

    parts = prepare_cnceleb(
        settings.output,
        settings.work(),
        cn1=settings.cn1,
        cn2=settings.cn2,
        join=settings.join,
        train=settings.train,
    )
    for built in parts:
        print(built)
    for sentence in record_left_out(settings.output / FILE, left_out(settings.cn1, settings.cn2, settings.train)):
        print(f"left out: {sentence}")
