"""Print which of several experiments has the lowest EER, to choose a setting on people who are not those of the test.

Example: speakerkd best exp/alpha0.6 exp/alpha0.9
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class BestOptions(Settings):
    """Which experiments, and by which list."""

    experiments: list[Path] = Field(min_length=1, description="experiment directories, scored")
    trials: str = Field("original", description="name of the list: original, hard, ...")


@verb("experiments")
def best(settings: BestOptions) -> None:
    """Print the one folder; of equal ones the first."""
    from speakerkd.evaluation.compare import lowest_eer

    print(lowest_eer(settings.experiments, settings.trials))
