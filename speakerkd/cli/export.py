"""Export a trained model: as ONNX files that need no torch, or as a folder in Hugging Face's layout with a model card.

The ONNX files are compared with torch before they stay; a network that differs is refused.

Example: speakerkd export exp/margin --onnx

Example: speakerkd export exp/margin --card --to share/margin
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class ExportOptions(Settings):
    """What is exported, and as what."""

    experiment: Path = Field(description="experiment directory")
    onnx: bool = Field(False, description="write model.onnx, head.onnx and onnx.json")
    card: bool = Field(False, description="write a folder with model card, weights and description")
    to: Path | None = Field(None, description="folder to write [default: EXPERIMENT/onnx, or EXPERIMENT/card]")
    reads: Literal["waveform", "fbank"] = Field(
        "fbank", description="what model.onnx takes; beside fbank, fbank.onnx makes it of a waveform"
    )
    int8: bool = Field(False, description="weights in 8 bits: a quarter of the size")

    @model_validator(mode="after")
    def _one_kind(self) -> ExportOptions:
        if self.onnx == self.card:
            raise ValueError("give --onnx or --card")
        return self


@verb("experiment")
def export(settings: ExportOptions) -> None:
    """Write the files and say how near they are."""
    from speakerkd.export import export_card, export_model

    if settings.card:
        print(f"{export_card(settings.experiment, settings.to)}: model card, weights and description")
        return
    found = export_model(settings.experiment, settings.to, reads=settings.reads, int8=settings.int8)
    print(f"{found.directory}: {found.megabytes:.1f} MB, least cosine to torch {found.cosine:.6f}")
    print(f"try it: speakerkd verify a.wav b.wav --runtime onnx --model {found.directory}")
