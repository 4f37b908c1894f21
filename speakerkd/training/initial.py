"""The weights that a run starts from: another experiment's."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from speakerkd.errors import InputError
from speakerkd.models.trained_model import read_description
from speakerkd.models.weights import load_foreign
from speakerkd.training.checkpoint import load_newest, load_strictly
from speakerkd.training.experiment import Experiment, changed, flat, flatten
from speakerkd.training.folder import checkpoints

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
HARMLESS = ("weights",)  # of a student's settings: what they were before is no part of the network


def start_from(
    folder: Path,
    experiment: Experiment,
    *,
    student: nn.Module,
    loss: nn.Module,
    objectives: nn.Module,
    classes: Sequence[str],
    frontend: dict[str, Any] | None,
) -> None:
    """Take the weights of another experiment: of its newest checkpoint, or of its model alone (an imported one's).

    The task loss and the objectives come along where that was of the same classes; else they start afresh, which is
    logged. frontend: settings of the training features. Raises InputError where there are no weights, and where that
    network has other settings, or reads other features.
    """
    newest = load_newest(checkpoints(folder))
    described = read_description(folder) if (folder / "model.json").is_file() else None
    if newest is None and described is None:
        raise InputError(
            "no weights to start from", folder, "give an experiment folder: one with checkpoints/ or a model"
        )
    if described is not None and described.disentangled is None and described.task == experiment.task:
        other = changed(flatten(described.student), flat(experiment.student), HARMLESS)
        if other:
            what = f"another network than the student, {len(other)} of its settings differ ({'; '.join(other[:3])})"
            raise InputError(what, folder, "take its `student:` settings (finetune.yaml of an imported one has them)")
        read = described.frontend or {}
        differing = [k for k in sorted(read.keys() & (frontend or {}).keys()) if read[k] != (frontend or {})[k]]
        if differing:
            name = differing[0]
            what = f"it reads features of {name} {read[name]}, the training data's are of {(frontend or {})[name]}"
            raise InputError(what, folder, f"make them with `speakerkd fbank DIR --like {folder}`")
    if newest is None:
        stored = load_foreign(folder / "model.safetensors")
        weights = {"student": _below("student.", stored)}
    else:
        weights = newest.weights
        if "ema" in weights:
            weights["student"] = _below("network.student.", weights["ema"])
    load_strictly(student, weights["student"], f"student of {folder}")
    theirs = described.labels if described is not None else list(classes)
    if theirs != list(classes):
        log.warning(
            "%s knows other classes (%d, the training data has %d): its task loss and objectives start afresh",
            folder,
            len(theirs),
            len(classes),
        )
    elif "loss" in weights:
        load_strictly(loss, weights["loss"], f"loss of {folder}")
        if weights.get("objectives") and objectives.state_dict():
            load_strictly(objectives, weights["objectives"], f"objectives of {folder}")


def _below(front: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(front): value for key, value in state.items() if key.startswith(front)}
