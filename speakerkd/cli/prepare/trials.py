"""Draw trial lists over a data directory: trials_original, and trials_hard (one gender) where genders are known.

Example: speakerkd prepare trials data/test --count 10000 --seed 1
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory


class TrialsOptions(Directory):
    """How many trials are drawn."""

    count: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        20000, description="number of trials, half of them targets, or all"
    )
    seed: int = Field(0, ge=0, description="same seed, same trials")


@verb("directory")
def trials(settings: TrialsOptions) -> None:
    """Draw the lists and say how long they are."""
    from speakerkd.corpora.trials import write_lists

    for name, number in write_lists(settings.directory, str(settings.count), settings.seed).items():
        print(f"{settings.directory}/trials_{name}: {number} trials")
