"""Say whether two recordings are of one speaker.

The threshold is the given one, else the model's calibration (`speakerkd score --calibrate`), else that of the EER of a
list which was scored with the model.

Example: speakerkd verify a.wav b.wav
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.evaluation.settings import RuntimeSettings


class VerifyOptions(RuntimeSettings):
    """Which recordings are compared."""

    first: Path = Field(description="a recording")
    second: Path = Field(description="another recording")
    threshold: float | None = Field(None, description="scores at or above it are of one speaker")
    vad: bool = Field(False, description="leave out what is not speech first (silero-vad; runtime torch)")
    as_json: bool = Field(False, alias="json", description="print JSON")


@verb("first", "second")
def verify(settings: VerifyOptions) -> None:
    """Print the score and the verdict."""
    protocol, verdict = _by_onnx(settings) if settings.runtime == "onnx" else _by_torch(settings)
    if settings.as_json:
        print(json.dumps(verdict, indent=2, ensure_ascii=False))
        return
    scale = "minus the mean distance of ten crops, 0 is identical" if protocol == "crops" else "cosine, 1 is identical"
    print(f"score {verdict['score']:.4f} ({scale})")
    if verdict["same"] is None:
        print(f"no verdict: {verdict['source']}")
        return
    probability = verdict.get("probability")
    sure = "" if probability is None else f", probability {probability:.4f} at even odds"
    print(f"{'same speaker' if verdict['same'] else 'different speakers'}{sure}")
    print(f"threshold {verdict['threshold']:.4f}: {verdict['source']}")


def _by_torch(settings: VerifyOptions) -> tuple[str, dict[str, Any]]:
    from speakerkd import api

    model = api.load(settings.model, settings.device, vad=settings.vad, truncated=settings.truncated)
    return model.package.protocol, asdict(model.verify(settings.first, settings.second, settings.threshold))


def _by_onnx(settings: VerifyOptions) -> tuple[str, dict[str, Any]]:
    from speakerkd.onnx_model import open_exported

    model = open_exported(settings.model, settings.truncated)
    return model.record.protocol, model.verify(settings.first, settings.second, settings.threshold)
