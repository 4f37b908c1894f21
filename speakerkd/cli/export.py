"""Export a trained model: as ONNX files that need no torch, or as a folder in Hugging Face's layout with a model card.

The ONNX files are compared with torch before they stay; a network that differs is refused.

Of a model that a face network taught, --onnx also writes that network (face.onnx) and the face detector's (pnet, rnet,
onet.onnx, of facenet-pytorch, MIT). A teacher's weights are under the licence of those who published them, often for
research alone: read it before you pass the folder on, or leave them out with --no-faces. A --card folder has none.

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
    faces: bool = Field(True, description="add the face detector and the teacher, so that match runs without torch")
    teacher_weights: Path | None = Field(None, description="weights of the face teacher, if they have moved")
    trials: Path | None = Field(None, description="labelled list whose EER by torch and by the files is compared")
    audio_root: Path | None = Field(None, description="folder that the list's paths start from")
    most_eer: float = Field(0.1, ge=0, le=100, description="most that the two EERs may differ, in per cent")

    @model_validator(mode="after")
    def _one_kind(self) -> ExportOptions:
        if self.onnx == self.card:
            raise ValueError("give --onnx or --card")
        return self


@verb("experiment")
def export(settings: ExportOptions) -> None:
    """Write the files and say how near they are."""
    from speakerkd.export import export_card, export_model
    from speakerkd.onnx_model import read_record

    if settings.card:
        print(f"{export_card(settings.experiment, settings.to)}: model card, weights and description")
        return
    exported = export_model(
        settings.experiment,
        settings.to,
        reads=settings.reads,
        int8=settings.int8,
        faces=settings.faces,
        teacher_weights=settings.teacher_weights,
        trials=settings.trials,
        audio_root=settings.audio_root,
        most_eer=settings.most_eer / 100,
    )
    print(f"{exported.directory}: {exported.megabytes:.1f} MB, least cosine to torch {exported.cosine:.6f}")
    record = read_record(exported.directory)
    if record.no_faces:
        print(f"without faces: {record.no_faces}")
    if record.faces is not None and record.teacher is not None:
        print(
            f"face.onnx holds the weights of '{record.teacher['name']}', under the licence of those who published them"
        )
    if record.eer is not None:
        print(f"EER of {record.eer['list']}: {100 * record.eer['torch']:.3f} % by torch, ", end="")
        print(f"{100 * record.eer['onnx']:.3f} % by the files")
    print(f"try it: speakerkd verify a.wav b.wav --runtime onnx --model {exported.directory}")
