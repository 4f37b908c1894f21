"""Compute the Fbank features of every recording in DIRECTORY/wav.scp.

Writes feats.scp (Kaldi's two-byte archives under DIRECTORY/fbank), utt2num_frames and utt2dur. A second run computes
only what is missing or has changed. What cannot be read is listed in fbank.rejected, truncated recordings that were
kept in fbank.notes.

Example: speakerkd fbank data/train --jobs 8
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory, Machines, Rejection
from speakerkd.config import apply_overrides, parse
from speakerkd.frontend.truncation import Truncation


class FbankOptions(Truncation, Rejection, Machines, Directory):
    """The features, and who computes them."""

    mels: int | None = Field(None, ge=1, le=1024, description="mel bands, 40 unless said: short for --set mels=N")
    like: Path | None = Field(None, description="experiment directory: the features that its network reads")
    overrides: list[str] = Field(
        default_factory=list, alias="set", description="settings of the features, such as low=60 high=7600"
    )


@verb("directory", cost="directory")
def fbank(settings: FbankOptions) -> None:
    """Compute the features and say what became of the recordings."""
    from speakerkd.frontend.extract import extract_fbank
    from speakerkd.frontend.fbank_settings import FbankSettings
    from speakerkd.models.trained_model import front_end_of

    values = {} if settings.like is None else front_end_of(settings.like)
    if settings.mels is not None:
        values["mels"] = settings.mels
    features = parse(FbankSettings, apply_overrides(values, settings.overrides), "--set")
    rejected = extract_fbank(
        settings.directory,
        features,
        jobs=settings.jobs,
        cluster=settings.cluster,
        max_rejected=settings.max_rejected,
        truncated=settings.truncated,
    )
    print(f"fbank {settings.directory}: {rejected}")
