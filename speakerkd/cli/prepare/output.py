"""Options of the verbs that make data directories of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from speakerkd.cli.shared import Machines, Rejection
from speakerkd.config import Settings
from speakerkd.frontend.truncation import Truncation

if TYPE_CHECKING:
    from speakerkd.corpora.build import Work


class Output(Settings):
    """Where it goes."""

    output: Path = Field(description="where to write")


class CorpusOptions(Truncation, Rejection, Machines, Output):
    """Where it goes, who does it, and how much of it may be lost."""

    def work(self) -> Work:
        """How the corpus's recordings are looked at."""
        from speakerkd.corpora.build import Work

        return Work(self.jobs, self.cluster, self.max_rejected, self.truncated)
