"""Make an experiment of a published speaker network, with its front end and its way of scoring.

wespeaker's ResNets, CAM++ and ReDimNets, speechbrain's ECAPA-TDNN and x-vector, voxceleb_trainer's ResNetSE34L and V2,
and ReDimNet's own files. Every key is accounted for, nothing in the file is run. The result is scored, matched,
fine-tuned (`speakerkd train CONFIG EXP/finetune.yaml`) and teaches like a model trained here.

Example: speakerkd import wespeaker voxceleb_resnet34/avg_model.pt --to exp/wespeaker-resnet34
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class ImportOptions(Settings):
    """What is imported, and where it goes."""

    project: str = Field(description="wespeaker, speechbrain, voxceleb_trainer or redimnet")
    checkpoint: Path = Field(description="its weights, or the folder that its project gives out")
    to: Path = Field(description="experiment directory to make")
    config: Path | None = Field(None, description="its YAML config, where it does not lie beside the weights")


@verb("project", "checkpoint")
def import_(settings: ImportOptions) -> None:
    """Convert the weights; say what they are and what to do next."""
    from speakerkd.models.published.convert import FINETUNE, convert

    converted = convert(settings.project, settings.checkpoint, settings.to, config=settings.config)
    published = converted.published
    print(f"{converted.directory}: {converted.network}, {converted.parameters:,} parameters, embeddings of ", end="")
    print(f"{published.settings.embedding}, {published.frontend.kind} Fbank of {published.frontend.mels} bands")
    print(f"scored by protocol {published.protocol} unless told otherwise")
    for note in published.notes:
        print(f"note: {note}")
    print(f"features to fine-tune it on: speakerkd fbank DIR --like {settings.to}")
    print(f"then: speakerkd train CONFIG {settings.to / FINETUNE}")
