"""The trained model as deployment takes it: `model.safetensors` and `model.json` in the experiment folder."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from torch import nn

from speakerkd.errors import InputError
from speakerkd.models.package import save_package
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
    experiment, task = parts.experiment, parts.task
    student, head, loss = parts.student, parts.objectives.head, parts.loss
    if ema is not None:
        student = ema.network
    settings = experiment.train
    there = saving.regular_steps(checkpoints(folder))
    if settings.publish == "best":
        best = saving.best_steps(checkpoints(folder), 1, task.lower_is_better)
        if not best:
            raise InputError("no checkpoint has an early evaluation", "train.publish", "set data.dev, or publish: last")
        path = checkpoints(folder) / f"step-{best[0]}"
        student, head, loss = _from_checkpoint(path, student, head, loss, ema is not None)
    elif settings.average_last:
        paths = [checkpoints(folder) / f"step-{step}" for step in there[-settings.average_last :]]
        student, loss = copy.deepcopy((student, loss))
        load_strictly(student, saving.average(paths, "student"), folder)
        load_strictly(loss, saving.average(paths, "loss"), folder)
    student, network = task.deployed(student, loss.classifier)
    save_package(
        folder,
        task=experiment.task,
        student=student,
        settings=network,
        head=head,
        teacher=teacher_record(parts, folder),
        labels=list(parts.source.names),
        **task.metadata(),
    )
    if parts.teacher is not None and parts.teacher.trainable:
        _publish_teacher(folder / "teacher", parts)


def _publish_teacher(folder: Path, parts: Parts) -> None:
    """The second network of a run that trains two, as a package of its own."""
    save_package(
        folder,
        task="face",
        student=parts.teacher.network,
        settings=parts.teacher.settings,
        labels=list(parts.source.names),
    )


def _from_checkpoint(
    path: Path, student: nn.Module, head: nn.Module | None, loss: nn.Module, averaged: bool
) -> tuple[Any, Any, Any]:
    weights = saving.load_checkpoint(path).weights
    state = weights["student"]
    if averaged:
        state = {k.removeprefix("network."): v for k, v in weights["ema"].items() if k.startswith("network.")}
    student, loss = copy.deepcopy((student, loss))
    load_strictly(student, state, path)
    load_strictly(loss, weights["loss"], path)
    if head is not None:
        inner = {k.removeprefix("head."): v for k, v in weights["objectives"].items() if k.startswith("head.")}
        head = copy.deepcopy(head)
        load_strictly(head, inner, path)
    return student, head, loss


def teacher_record(parts: Parts, folder: Path) -> dict[str, Any] | None:
    """Which teacher taught the run: as teacher.json beside the cached embeddings says, or what ran along."""
    if parts.teacher is None:
        return None
    experiment = parts.experiment
    settings = experiment.teacher
    record: dict[str, Any] = {"name": settings.name or "teacher", "dim": parts.teacher.dim}
    if parts.teacher.trainable:
        return {**record, "name": parts.teacher.settings.name, "weights": str(folder.absolute() / "teacher")}
    if settings.online:
        return {**record, "weights": settings.weights}
    for directory in getattr(experiment.data, "directories", []):
        path = (Path(directory) / (settings.archive or "teacher.scp")).with_suffix(".json")
        if path.is_file():
            try:
                written = json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise InputError(f"not valid JSON ({error})", path, "run `speakerkd teach` again") from error
            record |= {key: written[key] for key in ("name", "weights", "digest") if written.get(key) is not None}
            break
    return record
