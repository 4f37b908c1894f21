"""Published networks: import one as an experiment, and the table of all that can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command("import")(import_)
    app.command()(networks)


def import_(
    project: Annotated[
        str, typer.Argument(help="wespeaker, speechbrain, voxceleb_trainer or redimnet", show_default=False)
    ],
    checkpoint: Annotated[
        Path, typer.Argument(help="its weights, or the folder that its project gives out", show_default=False)
    ],
    *,
    to: Annotated[Path, typer.Option(help="experiment directory to make", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="its YAML config, where it does not lie beside the weights", show_default=False)
    ] = None,
) -> None:
    """Make an experiment of a published speaker network, with its front end and its way of scoring.

    wespeaker's ResNets, CAM++ and ReDimNets, speechbrain's ECAPA-TDNN and x-vector, voxceleb_trainer's ResNetSE34L and
    V2, and ReDimNet's own files. Every key is accounted for, nothing in the file is run. The result is scored,
    matched, fine-tuned (`speakerkd train CONFIG EXP/finetune.yaml`) and teaches like a model trained here.

    Example: speakerkd import wespeaker voxceleb_resnet34/avg_model.pt --to exp/wespeaker-resnet34
    """
    from speakerkd.models.published.convert import FINETUNE, convert

    found = convert(project, checkpoint, to, config=config)
    published = found.published
    print(f"{found.directory}: {found.network}, {found.parameters:,} parameters, embeddings of ", end="")
    print(f"{published.settings.embedding}, {published.frontend.kind} Fbank of {published.frontend.mels} bands")
    print(f"scored by protocol {published.protocol} unless told otherwise")
    for note in published.notes:
        print(f"note: {note}")
    print(f"features to fine-tune it on: speakerkd fbank DIR --like {to}")
    print(f"then: speakerkd train CONFIG {to / FINETUNE}")


def networks() -> None:
    """List the speech networks by name, with parameters and operations for a second of speech.

    Example: speakerkd networks
    """
    from speakerkd.models.sizes import network_sizes

    print(f"{'network':<14} {'width':>5} {'bands':>5} {'embedding':>9} {'parameters':>12} {'GFLOP/s of speech':>18}")
    for row in network_sizes():
        numbers = (
            f"{row.width:>5g} {row.mels:>5} {row.embedding:>9} {row.parameters:>12,} {row.operations / 1e9:>18.2f}"
        )
        print(f"{row.name:<14} {numbers}")
