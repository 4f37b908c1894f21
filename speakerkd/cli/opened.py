"""The model that a verb uses, run by torch or, exported, by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speakerkd.evaluation.settings import RuntimeSettings

if TYPE_CHECKING:
    from speakerkd.api import Model
    from speakerkd.onnx_model import OnnxModel


def open_model(settings: RuntimeSettings, teacher_weights: Path | None = None) -> Model | OnnxModel:
    """The model of a verb's options; both kinds embed, verify and match, and take faces, in the same way."""
    if settings.runtime == "onnx":
        from speakerkd.onnx_model import open_exported

        return open_exported(settings.model, settings.truncated, settings.vad)
    from speakerkd import api

    model, device, weights = settings.model, settings.device, teacher_weights
    return api.load(model, device, weights, vad=settings.vad, truncated=settings.truncated)
