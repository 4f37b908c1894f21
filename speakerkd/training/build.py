"""The parts of a run, made from its settings; every process makes the same ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from speakerkd.data.sampler import Sampler, ShuffleSampler, SpeakerSampler
from speakerkd.distill import METHODS, ObjectiveList, Pair, build
from speakerkd.distill.projection import ProjectionHead
from speakerkd.distill.quality import FACE
from speakerkd.errors import InputError
from speakerkd.losses import TaskLoss, build_loss
from speakerkd.models.network import Network
from speakerkd.tasks.base import Task, TrainsTogether
from speakerkd.tasks.source import Source
from speakerkd.tasks.table import TASKS
from speakerkd.teachers.inputs import read_face_quality
from speakerkd.teachers.module import SeveralTeachers, Teacher, map_shapes
from speakerkd.training.experiment import Experiment
from speakerkd.training.initial import start_from


class Published(nn.Module):
    """What deployment takes: student, task loss (its classifier), projection head and trained teacher if any."""

    def __init__(self, student: Network, loss: TaskLoss, head: ProjectionHead | None, teacher: Teacher | None) -> None:
        super().__init__()
        self.student, self.loss = student, loss
        self.head, self.teacher = head, teacher


@dataclass(slots=True)
class Parts:
    """What a run is made of. unit: rows of a batch that belong together. steps, steps_per_epoch: optimiser steps."""

    experiment: Experiment
    task: Task[Any, Any]
    source: Source
    sampler: Sampler
    unit: int
    student: Network
    loss: TaskLoss
    teacher: Teacher | None
    objectives: ObjectiveList
    steps_per_epoch: int
    steps: int

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What has weights of its own, by the name it has in checkpoints; a frozen teacher is not saved."""
        parts = {"student": self.student, "loss": self.loss, "objectives": self.objectives}
        if self.teacher is not None and self.teacher.trainable:
            parts["teacher"] = self.teacher
        return parts

    @property
    def published(self) -> Published:
        """What deployment takes."""
        trained = self.teacher is not None and self.teacher.trainable
        return Published(self.student, self.loss, self.objectives.head, self.teacher if trained else None)

    @property
    def own_figures(self) -> list[str]:
        """The figures by which the networks of a run that trains several choose their checkpoints; else none."""
        if self.teacher is None or not self.teacher.trainable or not isinstance(self.task, TrainsTogether):
            return []
        packages = self.task.packages(self.student, self.teacher)
        return [package.figure for package in packages if package.figure != self.task.metric]


def seed_all(*numbers: int) -> None:
    """Seed python, numpy and torch from a tuple of numbers."""
    low, high = (int(word) for word in np.random.SeedSequence(numbers).generate_state(2))
    random.seed(low)
    np.random.seed(high)
    torch.manual_seed(low << 31 | high)


def build_parts(experiment: Experiment, device: str = "cpu") -> Parts:
    """Open the data and make the networks, all on the CPU but resident features.

    Student, loss and objectives have seeds of their own, so the same student starts with and without teaching.
    Raises InputError for data, settings or pairs of networks that cannot work.
    """
    settings = experiment.train
    task = build_task(experiment)
    source = task.source(device, strong=_wants(experiment, "strong"))
    if len(source.labels) == 0:
        raise InputError("no sample to train on", "data.train", "check that its features are there")
    sampler, unit = _sampler(experiment, source.labels)
    seed_all(experiment.seed, 0)
    classes = len(source.names)
    teacher: Teacher | None = None
    objectives = ObjectiveList()
    if _wants(experiment, "parts"):
        if not isinstance(task, TrainsTogether):
            raise InputError(f"task {experiment.task} trains one network", "distill", "take another objective")
        student, teacher = task.branches(classes)
        _alone(experiment, source)
    else:
        student = task.student()
    seed_all(experiment.seed, 1)
    loss = build_loss(experiment.loss, student.dim, classes)
    seed_all(experiment.seed, 2)
    if experiment.distill:
        example = source.teacher(np.zeros(2, np.int64), np.zeros((2, source.draws)))
        if example is None:
            raise InputError("`distill` names objectives, and there is no teacher", "teacher", "set teacher.archive")
        if teacher is None:
            teacher = task.frozen_teacher(example, source.names)
        shown, _ = source.teacher_view(example, torch.zeros(2, source.draws))
        processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        pair = Pair(
            student_dim=student.dim,
            teacher_dim=teacher.dim,
            classes=classes,
            samples=len(source.labels),
            batch=sampler.size if settings.gather else sampler.size // processes,
            student_maps=map_shapes(student, task.example()),
            teacher_maps=map_shapes(teacher, shown) if teacher.network is not None else [],
            same_layout=experiment.task != "speaker" or teacher.same_input,
            teacher_classes=classes if teacher.scores else None,
            epochs=max(round(settings.epochs), 1),
            task_classifier=loss.classifier,
            student_logits=loss.classifier is not None or teacher.trainable,
            labels=torch.from_numpy(source.labels),
            face_quality=_face_quality(experiment, source),
            disentangled=teacher.trainable,
            networks=1 + teacher.branches,
            part_dim=getattr(student, "part_dim", 0),
        )
        views = teacher.views if isinstance(teacher, SeveralTeachers) else None
        objectives = build(experiment.distill, pair, experiment.projection, views)
        if isinstance(teacher, SeveralTeachers) and objectives.head is not None:
            projecting = {s.teacher for s in experiment.distill if s.project}
            teacher.main = next(name for name in teacher.views if name in projecting)
    per_epoch = settings.steps_per_epoch or max(sampler.batches // settings.accumulate, 1)
    steps = max(round(settings.epochs * per_epoch), 1)
    parts = Parts(experiment, task, source, sampler, unit, student, loss, teacher, objectives, per_epoch, steps)
    if settings.init is not None:
        start_from(
            Path(settings.init),
            experiment,
            student=student,
            loss=loss,
            objectives=objectives,
            classes=source.names,
            frontend=task.metadata().get("frontend"),
        )
    return parts


def build_task(experiment: Experiment) -> Task[Any, Any]:
    """The task that an experiment names; raises InputError for a path that is missing."""
    return TASKS[experiment.task](
        experiment.data,
        experiment.student,
        experiment.teacher,
        loss=experiment.loss.name,
        seed=experiment.seed,
        taught=bool(experiment.distill),
    )


def _alone(experiment: Experiment, source: Source) -> None:
    """Raise InputError where an objective that compares row by row stands beside one whose rows need not correspond."""
    two = np.zeros(2, np.int64), np.zeros((2, source.draws))
    if source.paired is None and source.teacher_labels(*two) is None:
        return
    for position, settings in enumerate(experiment.distill):
        if "parts" not in METHODS[settings.name].needs:
            what = f"{settings.name} compares two networks sample by sample, and these see batches of other samples"
            raise InputError(what, f"distill.{position}", "leave it out, or pair the batches")


def _sampler(experiment: Experiment, labels: np.ndarray) -> tuple[Sampler, int]:
    settings = experiment.train
    if settings.batch is not None:
        return ShuffleSampler(len(labels), settings.batch, experiment.seed), 1
    utterances, limit = settings.utterances, experiment.data.epoch_limit
    return SpeakerSampler(labels, settings.speakers, utterances, experiment.seed, limit), utterances


def _face_quality(experiment: Experiment, source: Source) -> torch.Tensor | None:
    """What was measured of the samples' faces, where an objective weighs by it."""
    weighed = [getattr(objective, "quality", None) for objective in experiment.distill]
    if not any(quality is not None and quality.source in FACE for quality in weighed):
        return None
    values = read_face_quality(experiment.data.directories, source.keys)
    return None if values is None else torch.from_numpy(values)


def _wants(experiment: Experiment, need: str) -> bool:
    """Whether an objective of the run has this need."""
    return any(need in METHODS[objective.name].needs for objective in experiment.distill)
