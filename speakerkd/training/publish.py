"""The trained model as deployment takes it: `model.safetensors` and `model.json` in the experiment folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import Tensor

from speakerkd.errors import InputError
from speakerkd.models.network import Network
from speakerkd.models.trained_model import read_description, save_trained_model
from speakerkd.tasks.base import TrainsTogether
from speakerkd.teachers.module import SeveralTeachers, Teacher
from speakerkd.teachers.record import read_cached_teacher
from speakerkd.training import checkpoint as saving
from speakerkd.training.averaging import Ema
from speakerkd.training.build import Parts, Published
from speakerkd.training.checkpoint import load_strictly
from speakerkd.training.folder import checkpoints


def publish(folder: Path, parts: Parts, ema: Ema[Published] | None = None) -> None:
    """Write the package of a finished run.

    Its weights: the last step's, their moving average, the mean of the last checkpoints, or the best checkpoint's, as
    `train.ema`, `average_last` and `publish` say.
    """
    task = parts.task
    networks = _best_networks(folder, parts, ema)
    if networks.teacher is not None:
        return _publish_each(folder, parts, ema, networks.student, networks.teacher)
    student, network = task.deployed(networks.student, networks.loss.classifier)
    save_trained_model(
        folder,
        task=parts.experiment.task,
        student=student,
        settings=network,
        head=networks.head,
        teacher=teacher_record(parts, folder),
        labels=list(parts.source.names),
        **task.metadata(),
    )


def _publish_each(folder: Path, parts: Parts, ema: Ema[Published] | None, student: Network, teacher: Teacher) -> None:
    """The networks of a run that trains several, a package each; of the best checkpoint means of each one's own."""
    assert isinstance(parts.task, TrainsTogether)
    labels = list(parts.source.names)
    packages = list(enumerate(parts.task.packages(student, teacher)))
    # faces' networks before the voices', whose records name the faces' weights by their digest
    for number, package in sorted(packages, key=lambda one: one[1].partner is not None):
        if package.figure != parts.task.metric and parts.experiment.train.publish == "best":
            best = _best_networks(folder, parts, ema, package.figure)
            assert best.teacher is not None
            package = parts.task.packages(best.student, best.teacher)[number]
        save_trained_model(
            folder / package.folder,
            task=package.task,
            student=package.network,
            settings=package.settings,
            frontend=package.frontend,
            teacher=None if package.partner is None else _partner(package.partner, folder, parts, package.network.dim),
            labels=labels,
        )


def _partner(name: str, folder: Path, parts: Parts, dim: int) -> dict[str, Any]:
    """The record of the network of the same run that a voice's is matched with."""
    settings = parts.teacher.settings if parts.teacher is not None else None
    path = folder.absolute() / name
    named = {"name": getattr(settings, "name", "teacher"), "dim": dim, "weights": str(path)}
    return named | {"digest": read_description(path).weights}


def _best_networks(folder: Path, parts: Parts, ema: Ema[Published] | None, figure: str | None = None) -> Published:
    """The networks with the weights that the settings ask for; figure: by which the best checkpoint is told."""
    settings = parts.experiment.train
    networks = parts.published if ema is None else ema.network
    where = checkpoints(folder)
    if settings.publish == "best":
        best = saving.best_steps(where, 1, parts.task.lower_is_better, figure)
        if not best:
            raise InputError("no checkpoint has an early evaluation", "train.publish", "set data.dev, or publish: last")
        return _with_weights(networks, [where / f"step-{best[0]}"])
    if settings.average_last:
        steps = saving.regular_steps(where)[-settings.average_last :]
        return _with_weights(networks, [where / f"step-{step}" for step in steps])
    return networks


def _with_weights(networks: Published, paths: list[Path]) -> Published:
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
    whole = {name: weights[name] for name in ("student", "loss", "teacher") if name in weights}
    return head | {f"{name}.{k}": v for name, module in whole.items() for k, v in module.items()}


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
    if settings.online or settings.weights is not None:
        return {**record, "weights": settings.weights}
    for directory in experiment.data.directories:
        path = (Path(directory) / archive).with_suffix(".json")
        if path.is_file():
            record |= read_cached_teacher(path).model_dump(exclude={"dim"}, exclude_none=True)
            break
    return record
