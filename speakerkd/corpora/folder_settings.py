"""How a folder of anyone's own recordings is read: the settings of `prepare folder`, without what does the work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from speakerkd.frontend.vad_settings import SpeechOnly

GROUPS = {"speaker", "session", "utterance", "gender"}


class FolderSettings(SpeechOnly):
    """How files are named, paired and split, and what of them is kept."""

    pattern: str = Field(description="expression with the groups speaker, session, utterance (and gender)")
    pair: Literal["session", "utterance"] = Field("session", description="what shares one picture")
    test_speakers: int = Field(0, ge=0, description="speakers to hold out for testing")
    test_fraction: float = Field(0.0, ge=0, le=1, description="or the share of them")
    test_list: Path | None = Field(None, description="or a file with their names, one a line")
    folds: int = Field(0, ge=0, le=1000, description="or cross-validation: as many parts, of which one is held out")
    fold: int = Field(0, ge=0, description="which part, from 0")
    development: bool = Field(
        False, description="leave that part out of everything and test on the next: settings are chosen so"
    )
    trials: int | Literal["all"] = Field(20000, description="trials to draw over the held-out speakers, or all pairs")
    seed: int = Field(0, ge=0, description="of the split and of the trials")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, text: str) -> str:
        try:
            groups = set(re.compile(text).groupindex)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        if "speaker" not in groups:
            raise ValueError("no group (?P<speaker>...)")
        if unknown := groups - GROUPS:
            raise ValueError(f"unknown group '{min(unknown)}', known are {', '.join(sorted(GROUPS))}")
        return text

    @model_validator(mode="after")
    def _one_split(self) -> FolderSettings:
        if sum((self.test_speakers > 0, self.test_fraction > 0, self.test_list is not None, self.folds > 0)) > 1:
            raise ValueError("give one of test_speakers, test_fraction, test_list and folds")
        if self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} of {self.folds}: the first is 0")
        if self.development and self.folds < 3:
            raise ValueError(f"development needs three folds: train, choose and test, not {self.folds}")
        return self
