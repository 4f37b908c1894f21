"""MUSAN, or any noises in its layout, into one data directory.

Example: speakerkd prepare musan data/musan --root /corpora/musan
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import CorpusOptions


class MusanOptions(CorpusOptions):
    """Where the noises are."""

    root: Path = Field(description="root of MUSAN, with noise, music and speech")


@verb("output", cost="output")
def musan(settings: MusanOptions) -> None:
    """Make the data directory and say what it holds."""
    from speakerkd.corpora.noises import prepare_musan

    print(prepare_musan(settings.output, settings.root, settings.work()))
