"""Make copies of a data directory with noise, reverberation and other speeds, for training.

Writes DIRECTORY_noise, _music, _babble, _reverb and _sp0.9 beside DIRECTORY, features alone, no sound. In a training
config `data.copies` lists the first four (an utterance is then drawn clean or as one of its copies), and `data.train`
the speeds, beside DIRECTORY itself. A second run makes what is missing.

Example: speakerkd augment data/train --musan /corpora/musan --rirs /corpora/RIRS_NOISES --speeds 0.9 1.1
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory, Machines, Rejection


class AugmentOptions(Rejection, Machines, Directory):
    """What copies are made of."""

    musan: Path | None = Field(None, description="noises in MUSAN's layout: copies with noise, music and babble")
    rirs: Path | None = Field(None, description="impulse responses (RIRS_NOISES): a copy with reverberation")
    speeds: list[float] = Field(default_factory=list, description="new speakers at these speeds, such as 0.9 1.1")
    seed: int = Field(0, ge=0, description="with its key it decides what a recording gets")
    level: Literal["exact", "voxceleb_trainer"] = Field(
        "exact", description="the noise's level: exact decibels, or with voxceleb_trainer's floor of 1e-4"
    )


@verb("directory", cost="directory")
def augment(settings: AugmentOptions) -> None:
    """Make the copies and say what became of the recordings."""
    from speakerkd.frontend.augmented_directory import augment_directory

    accounts = augment_directory(
        settings.directory,
        musan=settings.musan,
        rirs=settings.rirs,
        speeds=settings.speeds,
        seed=settings.seed,
        level=settings.level,
        jobs=settings.jobs,
        cluster=settings.cluster,
        max_rejected=settings.max_rejected,
    )
    for path, account in accounts.items():
        print(f"augment {path}: {account}")
