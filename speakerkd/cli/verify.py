"""Say whether two recordings are of one speaker.

The threshold is the given one, else the model's calibration (`speakerkd score --calibrate`), else that of the EER of a
list which was scored with the model.

Example: speakerkd verify a.wav b.wav
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from speakerkd.cli.opened import open_model
from speakerkd.cli.options import verb
from speakerkd.evaluation.settings import RuntimeSettings


class VerifyOptions(RuntimeSettings):
    """Which recordings are compared."""

    first: Path = Field(description="a recording")
    second: Path = Field(description="another recording")
    threshold: float | None = Field(None, description="scores at or above it are of one speaker")
    as_json: bool = Field(False, alias="json", description="print JSON")


@verb("first", "second")
def verify(settings: VerifyOptions) -> None:
    """Print the score and the verdict."""
    model = open_model(settings)
    verdict = model.verify(settings.first, settings.second, settings.threshold)
    if settings.as_json:
        print(json.dumps(asdict(verdict), indent=2, ensure_ascii=False))
        return
    scale = "minus the mean distance of ten crops, 0" if model.protocol == "crops" else "cosine, 1"
    print(f"score {verdict.score:.4f} ({scale} is identical)")
    if verdict.same is None:
        print(f"no verdict: {verdict.source}")
        return
    sure = "" if verdict.probability is None else f", probability {verdict.probability:.4f} at even odds"
    print(f"{'same speaker' if verdict.same else 'different speakers'}{sure}")
    print(f"threshold {verdict.threshold:.4f}: {verdict.source}")
