"""A clean sensor teaches a poor one: pairs of pictures, with a frozen teacher on one side and a student on the other.

The pairs are two sensors' pictures of an image directory with `paired/` in it; or one tree, of which the student sees
a copy that `data.view.degrade` damages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data.images import PAIRED, ImageSet, has_pairs, read_images, read_pair, read_sensor
from speakerkd.data.sampler import identities
from speakerkd.errors import InputError
from speakerkd.frontend.images import DRAWS, ImageViewSettings, normalise_as, train_view
from speakerkd.frontend.strong_view import DRAWS as STRONG_DRAWS
from speakerkd.frontend.strong_view import strong_view
from speakerkd.models.image import build_image
from speakerkd.models.network import Network
from speakerkd.tasks.base import Embed, Fraction, Resident, Split, Task, TrainingData
from speakerkd.tasks.image import (
    ImageStudentSettings,
    PictureRows,
    figures_of,
    keeps_resident,
    picture_draws,
    resolved_view,
    training_rows,
    with_classifier,
)
from speakerkd.tasks.source import PlainSource
from speakerkd.teachers.image import ImageTeacher, load_image_teacher, teacher_sensor
from speakerkd.teachers.module import Teacher
from speakerkd.teachers.output_cache import OutputCache, Unpacked, cached_outputs


class PairedImageDataSettings(TrainingData):
    """Where the pairs are, and how the student sees its pictures; the teacher sees the same crop of its own.

    `view.sensor` says whose pictures the student sees; the teacher sees the other's, or both where it learnt on both.
    """

    train: str = Field(description="image directory; of two sensors, or of one with view.degrade")
    split: Split = "train"
    dev: str | None = Field("test", description="split for the figures after an epoch; null: none")
    fraction: Fraction = 1.0
    view: ImageViewSettings = Field(
        default_factory=ImageViewSettings, description="the student's damage, crops, size and normalisation"
    )
    resident: Resident = "auto"

    @property
    def directories(self) -> list[str]:
        return [self.train]

    @property
    def augmented(self) -> bool:
        """Whether a picture's view changes from pass to pass, but for its damage."""
        return self.view.crop != "none" or self.view.flip


class PairedImageTask(Task[PairedImageDataSettings, ImageStudentSettings]):
    """A classifier of a poor sensor's pictures; the linear layer of the task loss is its own.

    The teacher (`teacher.weights`, an experiment of task `image` on the clean side) runs along with
    `teacher.online: true`; else its outputs are computed once, which needs views that are not augmented.
    """

    Data, Student = PairedImageDataSettings, ImageStudentSettings
    metric, lower_is_better, latest = "top1", False, False
    loss = "softmax"

    def open(self) -> None:
        data, teacher = self.data, self.teacher
        sensor = data.view.sensor
        if has_pairs(data.train):
            first, second = read_pair(data.train, data.split)
            if sensor == "both":
                fix = "give a student first or second; its teacher may see both"
                raise InputError("a student of both sensors has no other to learn from", "data.view.sensor", fix)
            self.pictures, self.clean = (first, second) if sensor == "first" else (second, first)
        else:
            if sensor != "first":
                what = f"no {sensor} sensor, the directory is of one"
                raise InputError(what, data.train, "leave data.view.sensor out")
            self.pictures = self.clean = read_images(data.train, data.split)
            if data.view.degrade is None and self.taught:
                raise InputError(
                    "the student sees what the teacher sees",
                    "data.view.degrade",
                    "name the damage, such as {name: salt_pepper, amount: 0.1}, or give pairs (prepare images)",
                )
        self.dev = read_sensor(data.train, data.dev, sensor) if data.dev else None
        self.view = resolved_view(data.view, self.pictures)
        self.image_teacher: ImageTeacher | None = None
        self.cache: OutputCache | None = None
        if self.taught:
            if data.augmented and not teacher.online:
                raise InputError(
                    "the views are augmented, so the teacher's outputs cannot be computed once",
                    "teacher.online",
                    "set it to true; or data.view.crop to none and data.view.flip to false",
                )
            if has_pairs(data.train) and teacher_sensor(teacher.weights) == "both":
                self.clean = read_sensor(data.train, data.split, "both")
            self.image_teacher = load_image_teacher(
                teacher.weights, self.pictures.classes, self.clean.channels, stem_map=self.settings.stem_map
            )

    def student(self) -> Network:
        return build_image(self.settings.network(0, self.view.size, self.pictures.channels))

    def example(self) -> Tensor:
        side = self.view.size
        return torch.randn(2, self.pictures.channels, side, side, generator=torch.Generator().manual_seed(0))

    def source(self, device: str, strong: bool) -> PairedImageSource:
        keep = keeps_resident(self.data.resident, [self.pictures, self.clean], device)
        rows = training_rows(self.pictures, self.data.fraction, self.seed)
        source = PairedImageSource(
            self.pictures, self.clean, rows, self.view, self._clean_view(), strong, device if keep else "cpu"
        )
        if self.image_teacher is not None and not self.teacher.online:
            source.cache = self.cache = self._cache(source, device)
        return source

    def _clean_view(self) -> ImageViewSettings | None:
        """The student's crops, at the teacher's size, normalisation and, where it learnt on any, damage."""
        if self.image_teacher is None:
            return None
        own = self.image_teacher.view
        changes = {name: getattr(own, name) for name in ("size", "mean", "std", "degrade", "sensor")}
        return self.view.model_copy(update=changes)

    def _cache(self, source: PairedImageSource, device: str) -> OutputCache:
        """The teacher's outputs of all chosen pictures."""
        assert self.image_teacher is not None and source.clean_view is not None
        still = torch.zeros(1, source.draws)

        def see(rows: np.ndarray) -> Tensor:
            return source.teacher_view(source.clean.take(rows), still.expand(len(rows), -1))[0]

        parent = Path(self.data.train) / self.data.split
        return cached_outputs(
            parent,
            self.image_teacher.network,
            see,
            source.keys,
            maps=self.teacher.maps,
            device=device,
            teacher=self.image_teacher.digest,
            side=self._side(),
            stem_map=self.settings.stem_map,
            view=source.clean_view.model_dump(mode="json"),
        )

    def _side(self) -> str:
        """Whose pictures the teacher sees, as its outputs are filed."""
        if not has_pairs(self.data.train):
            return ""
        if self.clean.stack:
            return "both"
        return PAIRED if self.view.sensor == "first" else "first"

    def frozen_teacher(self, inputs: Tensor, names: Sequence[str]) -> Teacher:
        assert self.image_teacher is not None
        if self.teacher.online:
            return Teacher(self.image_teacher.network.dim, self.image_teacher.network, scores=True)
        assert self.cache is not None
        network = Unpacked(self.cache.shapes)
        return Teacher(network.dim, network, scores=True)

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        return {} if self.dev is None else figures_of(embed, classifier, self.dev, self.view)

    def metadata(self) -> dict[str, Any]:
        return {"frontend": self.view.model_dump(mode="json")}

    def deployed(self, student: Network, classifier: nn.Linear | None) -> tuple[Network, Settings]:
        """The student with the classifier of the task loss as its own, and its settings."""
        assert classifier is not None
        settings = self.settings.network(len(self.pictures.classes), self.view.size, self.pictures.channels)
        return with_classifier(student, classifier, settings), settings


class PairedImageSource(PlainSource):
    """Pairs of pictures of the same scenes, both under the same crop, mirror and strong view.

    poor, clean: the student's and the teacher's pictures, row by row. chosen: rows (N,) that are trained on. view,
    clean_view: how the two see them; without a clean_view there is no teacher. strong: strong views too. device: keep
    the pictures in this device's memory. cache: the teacher's outputs of the chosen pictures, where it does not run.
    """

    paired = None
    draws = DRAWS + STRONG_DRAWS

    def __init__(
        self,
        poor: ImageSet,
        clean: ImageSet,
        rows: np.ndarray,
        view: ImageViewSettings,
        clean_view: ImageViewSettings | None = None,
        strong: bool = False,
        device: str = "cpu",
    ) -> None:
        self.keys = [poor.keys[i] for i in rows]
        self.labels, self.names = poor.labels[rows], poor.classes
        self.device, self.clean_view = device, clean_view
        self.poor = PictureRows(poor, rows, device)
        self.clean = self.poor if clean is poor else PictureRows(clean, rows, device)
        self.cache: OutputCache | None = None
        self._view, self._strong = view, strong
        self._colour = poor.channels == clean.channels == 3
        self._identity = identities(self.keys)

    def student(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        return self.poor.take(indices)

    def teacher(self, indices: np.ndarray, draws: np.ndarray) -> Tensor | None:
        if self.clean_view is None:
            return None
        return self.clean.take(indices) if self.cache is None else self.cache.pack(indices)

    def drawn(self, seed: int, turn: int, indices: np.ndarray) -> np.ndarray | None:
        return picture_draws(seed, turn, self._identity[indices], self.draws, self._view)

    def view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._both(raw, draws, self._view)

    def teacher_view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.clean_view is None or raw.ndim == 2:  # outputs, ready made
            return raw, None
        return self._both(raw, draws, self.clean_view)

    def _both(self, raw: Tensor, draws: Tensor, settings: ImageViewSettings) -> tuple[Tensor, Tensor | None]:
        view = train_view(raw, draws[:, :DRAWS], settings)
        strong = strong_view(view, draws[:, DRAWS:], self._colour) if self._strong else None
        return normalise_as(view, settings), None if strong is None else normalise_as(strong, settings)
