"""The trained model as deployment takes it: `model.safetensors` and `model.json` in the experiment folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.models.trained_model import save_trained_model
from speakerkd.teachers.module import SeveralTeachers
from speakerkd.teachers.record import read_cached_teacher
from speakerkd.training import checkpoint as saving
from speakerkd.training.averaging import Ema
from speakerkd.training.build import Parts
from speakerkd.training.checkpoint import load_strictly
from speakerkd.training.folder import checkpoints


def publish(folder: Path, parts: Parts, ema: Ema | None = None) -> None:
    """Write the package of a finished run.

    Its weights: the last step's, their moving average, the mean of the last checkpoints, or the best checkpoint's, as
    `train.ema`, `average_last` and `publish` say.
    """
    experiment, task, settings = parts.experiment, parts.task, parts.experiment.train
    networks = parts.published if ema is None else ema.network
    where = checkpoints(folder)
    if settings.publish == "best":
        best = saving.best_steps(where, 1, task.lower_is_better)
        if not best:
            raise InputError("no checkpoint has an early evaluation", "train.publish", "set data.dev, or publish: last")
        networks = _with_weights(networks, [where / f"step-{best[0]}"])
    elif settings.average_last:
        steps = saving.regular_steps(where)[-settings.average_last :]
        networks = _with_weights(networks, [where / f"step-{step}" for step in steps])
    student, network = task.deployed(networks["student"], networks["loss"].classifier)
    save_trained_model(
        folder,
        task=experiment.task,
        student=student,
        settings=network,
        head=dict(networks).get("head"),
        teacher=teacher_record(parts, folder),
        labels=list(parts.source.names),
        **task.metadata(),
    )
    if parts.teacher is not None and parts.teacher.trainable:
        _publish_teacher(folder / "teacher", parts)


def _with_weights(networks: nn.ModuleDict, paths: list[Path]) -> nn.ModuleDict:
    """A copy of the networks with the mean weights of checkpoints."""
    copied = copy.deepcopy(networks)
    load_strictly(
        copied, saving.average([published_weights(saving.load_checkpoint(p).weights) for p in paths]), paths[-1]
    )
    return copied


def published_weights(weights: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of a checkpoint's weights those of `Parts.published`: the moving averages where it has them."""
    if "ema" in weights:
        return {k.removeprefix("network."): v for k, v in weights["ema"].items() if k.startswith("network.")}
    head = {k: v for k, v in weights.get("objectives", {}).items() if k.startswith("head.")}
    student = {f"student.{k}": v for k, v in weights["student"].items()}
    return student | {f"loss.{k}": v for k, v in weights["loss"].items()} | head


def _publish_teacher(folder: Path, parts: Parts) -> None:
    """The second network of a run that trains two, as a package of its own."""
    save_trained_model(
        folder,
        task="face",
        student=parts.teacher.network,
        settings=parts.teacher.settings,
        labels=list(parts.source.names),
    )


def teacher_record(parts: Parts, folder: Path) -> dict[str, Any] | None:
    """Which teacher taught the run: as teacher.json beside the cached embeddings says, or what ran along."""
    if parts.teacher is None:
        return None
    experiment = parts.experiment
    settings = experiment.teacher
    record: dict[str, Any] = {"name": settings.name or "teacher", "dim": parts.teacher.dim}
    archive = settings.archive or "teacher.scp"
    if isinstance(parts.teacher, SeveralTeachers):  # the one whose head is published
        main = parts.teacher.main
        record |= {"name": main, "dim": parts.teacher.views[main].dim}
        archive = settings.several[main].archive or f"teacher.{main}.scp"
    if parts.teacher.trainable:
        return {**record, "name": parts.teacher.settings.name, "weights": str(folder.absolute() / "teacher")}
    if settings.online or settings.weights is not None:
        return {**record, "weights": settings.weights}
    for directory in experiment.data.directories:
        path = (Path(directory) / archive).with_suffix(".json")
        if path.is_file():
            record |= read_cached_teacher(path).model_dump(include={"name", "weights", "digest"}, exclude_none=True)
            break
    return record
