"""Sensors that learn together: a branch a modality, all trained at once, each published to be used alone (DisCoM-KD).

The modalities are the two sensors of an image directory with `paired/` in it, or one image directory each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data.bands import unit_scale
from speakerkd.data.images import ImageSet, Sensor, has_pairs, read_sensor, sensor_names
from speakerkd.data.sampler import identities
from speakerkd.errors import InputError
from speakerkd.frontend.images import DRAWS, ImageViewSettings, normalise_as, train_view
from speakerkd.models.disentangled import DisentangledBranch, OtherBranches, Uses, build_disentangled
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.network import Network
from speakerkd.tasks.base import Embed, Fraction, Package, Resident, Split, Task, TrainingData
from speakerkd.tasks.image import (
    ImageStudentSettings,
    PictureRows,
    figures_of,
    keeps_resident,
    picture_draws,
    resolved_view,
    training_rows,
)
from speakerkd.teachers.module import Teacher

log = logging.getLogger(__name__)
FIX = "write `distill: [{name: disentangled}]`"


class SensorDataSettings(TrainingData):
    """Where the modalities' pictures are, and how each network sees its own."""

    train: str | list[str] = Field(
        description="image directory of two sensors, or a list of directories: one a modality, two and more"
    )
    names: list[str] = Field(default_factory=list, description="of the modalities; []: as the directories have them")
    split: Split = "train"
    dev: str | None = Field("val", description="split for the figures after an epoch; null: none")
    fraction: Fraction = 1.0
    paired: bool = Field(
        False, description="a step's pictures are of the same scenes in all modalities; false: batches of their own"
    )
    view: ImageViewSettings = Field(
        default_factory=ImageViewSettings, description="crops and size; mean and std are each modality's own"
    )
    resident: Resident = "auto"

    @property
    def directories(self) -> list[str]:
        return [self.train] if isinstance(self.train, str) else list(self.train)

    @field_validator("names")
    @classmethod
    def _are_folder_names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name == "checkpoints" or names.count(name) > 1:
                raise ValueError(f"'{name}' is no name of a modality: letters, digits and _, each name once")
        return names


class SensorStudentSettings(ImageStudentSettings):
    """The encoders, two a modality; their classes, channels and size follow from the data."""

    size: Literal["full", "matched"] = Field(
        "full", description="a branch is two encoders, its rivals one: matched halves the encoders' width"
    )
    uses: Uses = Field("both", description="what a branch classifies by: both z_inv and z_inf, or inv or inf alone")

    def encoder(self, size: int, channels: int) -> ImageSettings:
        """Settings of each of a branch's two encoders."""
        settings = self.network(0, size, channels)
        if self.size == "matched":
            settings = settings.model_copy(update={"width": settings.width / 2})
        return ImageSettings.model_validate(settings.model_dump())


@dataclass(frozen=True, slots=True)
class Modality:
    """One modality: its name, where and whose its pictures are, those trained on, those evaluated on, and its view."""

    name: str
    directory: str
    pictures: ImageSet
    dev: ImageSet | None
    view: ImageViewSettings


class SensorTask(Task[SensorDataSettings, SensorStudentSettings]):
    """A classifier a modality, each two encoders, that learn together by `disentangled`; there is no other teacher.

    The figures after an epoch are of the split `data.dev`: top1, weighted F1 and so on of each modality, `top1_NAME`,
    and their mean F1. With `train.publish: best`, each modality's network is that of its own best weighted F1.
    """

    Data, Student = SensorDataSettings, SensorStudentSettings
    metric, lower_is_better, latest = "f1_weighted", False, False
    loss = "softmax"

    def open(self) -> None:
        data, student = self.data, self.settings
        if not self.taught:
            raise InputError("networks that learn together need an objective", "distill", FIX)
        if data.view.mean or data.view.std:
            raise InputError("one mean and std for all modalities", "data.view.mean and std", "leave them out")
        self.modalities = _modalities(data)
        self.encoders = [student.encoder(one.view.size, one.pictures.channels) for one in self.modalities]

    def student(self) -> Network:
        return self._branch(0, len(self.modalities[0].pictures.classes))

    def _branch(self, which: int, classes: int) -> DisentangledBranch:
        return build_disentangled(self.encoders[which], build_image, classes, self.settings.uses)

    def branches(self, classes: int) -> tuple[Network, Teacher]:
        """The first modality's branch, and a trainable teacher that holds the others'."""
        first, *others = (self._branch(which, classes) for which in range(len(self.modalities)))
        network = OtherBranches(others, [one.pictures.channels for one in self.modalities[1:]])
        teacher = Teacher(network.dim, network, settings=self.encoders[1], same_input=True, branches=len(others))
        return first, teacher

    def example(self) -> Tensor:
        first = self.modalities[0]
        side = first.view.size
        return torch.randn(2, first.pictures.channels, side, side, generator=torch.Generator().manual_seed(0))

    def source(self, device: str, strong: bool) -> SensorSource:
        if strong:
            raise InputError("a second, strong view of pictures is not made", "distill", "choose a method without one")
        keep = keeps_resident(self.data.resident, [one.pictures for one in self.modalities], device)
        rows = [training_rows(one.pictures, self.data.fraction, self.seed) for one in self.modalities]
        return SensorSource(self.modalities, rows, self.data.paired, device if keep else "cpu")

    def frozen_teacher(self, inputs: Tensor, names: Sequence[str]) -> Teacher:
        raise InputError("sensors that learn together have no frozen teacher", "distill", FIX)

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        raise InputError("sensors that learn together have no frozen teacher", "distill", FIX)

    def evaluate_together(
        self, embed_with: Callable[[Network], Embed], student: Network, teacher: Teacher
    ) -> dict[str, float]:
        figures: dict[str, float] = {}
        for one, branch in zip(self.modalities, _branches(student, teacher), strict=True):
            if one.dev is not None:
                own = figures_of(embed_with(branch), branch.classifier, one.dev, one.view)
                figures |= {f"{name}_{one.name}": value for name, value in own.items()}
        if figures:
            figures[self.metric] = float(np.mean([figures[f"{self.metric}_{one.name}"] for one in self.modalities]))
        return figures

    def packages(self, student: Network, teacher: Teacher) -> list[Package]:
        """A network a modality, each in a folder of its name."""
        return [
            Package(
                one.name,
                "sensors",
                branch,
                encoder,
                one.view.model_dump(mode="json"),
                f"{self.metric}_{one.name}",
            )
            for one, branch, encoder in zip(self.modalities, _branches(student, teacher), self.encoders, strict=True)
        ]

    def metadata(self) -> dict[str, Any]:
        return {"frontend": self.modalities[0].view.model_dump(mode="json")}

    def deployed(self, student: Network, classifier: nn.Linear | None) -> tuple[Network, Settings]:
        return student, self.encoders[0]


def _branches(student: Network, teacher: Teacher) -> list[DisentangledBranch]:
    """All modalities' branches, in their order."""
    assert isinstance(student, DisentangledBranch)
    assert isinstance(teacher.network, OtherBranches)
    return [student, *(branch for branch in teacher.network.branches if isinstance(branch, DisentangledBranch))]


def _modalities(data: SensorDataSettings) -> list[Modality]:
    """Open every modality's pictures; of paired ones the same scenes, row by row."""
    places: list[tuple[str, Sensor]] = [(directory, "first") for directory in data.directories]
    names = [re.sub(r"\W", "_", Path(directory).name) for directory in data.directories]
    if len(places) == 1:
        if not has_pairs(places[0][0]):
            fix = "make it with `speakerkd prepare images --sensors`, or list a directory for each modality"
            raise InputError("an image directory of one sensor", places[0][0], fix)
        names = sensor_names(places[0][0])
        places.append((places[0][0], "second"))
    if len(data.names or names) != len(places):
        raise InputError(f"{len(data.names)} names for {len(places)} modalities", "data.names", "give one for each")
    if not data.names and len(set(names)) < len(names):
        names = [f"{name}{number}" for number, name in enumerate(names, 1)]
    modalities = []
    for name, (directory, sensor) in zip(data.names or names, places, strict=True):
        pictures = read_sensor(directory, data.split, sensor)
        dev = read_sensor(directory, data.dev, sensor) if data.dev else None
        view = resolved_view(data.view.model_copy(update={"sensor": sensor}), pictures)
        modalities.append(Modality(name, directory, pictures, dev, view))
    classes = modalities[0].pictures.classes
    for one in modalities[1:]:
        if one.pictures.classes != classes:
            what = f"other classes than {modalities[0].name}'s: {', '.join(one.pictures.classes[:3])} and not "
            what += ", ".join(classes[:3])
            raise InputError(what, one.directory, "prepare all modalities with the same classes")
    return modalities


class SensorSource:
    """Pictures of every modality; a sample is one of the first modality, and what goes with it in the others.

    chosen: rows of each modality that are trained on. paired: what goes with a sample is the same scene in the same
    view; else a picture of its own, in a view of its own, whose class may be another: each modality's pictures are gone
    through in an order of their own. device: keep the pictures in this device's memory.
    """

    paired = None

    def __init__(
        self, modalities: Sequence[Modality], kept: Sequence[np.ndarray], paired: bool, device: str = "cpu"
    ) -> None:
        if paired:
            kept = same_scenes(modalities, kept)
        first, *others = modalities
        self.keys = [first.pictures.keys[i] for i in kept[0]]
        self.labels, self.names = first.pictures.labels[kept[0]], first.pictures.classes
        self.device = device
        self._paired, self._views = paired, [one.view for one in modalities]
        self._channels = [one.pictures.channels for one in others]
        self._rows = [PictureRows(one.pictures, rows, device) for one, rows in zip(modalities, kept, strict=True)]
        self._labels = [one.pictures.labels[rows] for one, rows in zip(modalities, kept, strict=True)]
        self._identity = [
            identities([one.pictures.keys[i] for i in rows]) for one, rows in zip(modalities, kept, strict=True)
        ]
        # independent: a view's draws for each modality, then which picture of each of the others goes with the sample
        self.draws = DRAWS if paired else DRAWS * len(modalities) + len(others)

    def drawn(self, seed: int, turn: int, indices: np.ndarray) -> np.ndarray | None:
        draws = picture_draws(seed, turn, self._identity[0][indices], DRAWS, self._views[0])
        if self._paired:
            return draws
        partners = []
        blocks = [draws]
        for which, identity in enumerate(self._identity[1:], 1):
            order = np.random.default_rng([seed, turn, which, 0x5E45]).permutation(len(identity))
            partner = order[indices % len(order)]
            partners.append(partner)
            # another number than the first modality's seed, so that equal keys do not mean equal views
            blocks.append(picture_draws(seed + which, turn, identity[partner], DRAWS, self._views[which]))
        return np.concatenate([*blocks, np.stack(partners, 1)], 1)

    def _partners(self, indices: np.ndarray, draws: np.ndarray) -> list[np.ndarray]:
        """Which of the chosen pictures of each other modality goes with each sample."""
        count = len(self._rows) - 1
        if self._paired:
            return [indices] * count
        return list(draws[:, -count:].astype(np.int64).T)

    def student(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        return self._rows[0].take(indices)

    def teacher(self, indices: np.ndarray, draws: np.ndarray) -> Tensor | None:
        """Pictures (B, other modalities, H, W, C) as stored; of several modalities float32, the widest one's C."""
        partners = self._partners(indices, draws)
        pictures = [rows.take(partner) for rows, partner in zip(self._rows[1:], partners, strict=True)]
        if len(pictures) == 1:
            return pictures[0][:, None]
        widest, side = max(self._channels), max(tuple(one.shape[1:3]) for one in pictures)
        stacked = pictures[0].new_zeros((len(indices), len(pictures), *side, widest), dtype=torch.float32)
        for which, one in enumerate(pictures):
            if tuple(one.shape[1:3]) != side:
                sizes = " and ".join(f"{v.shape[1]}" for v in pictures)
                raise InputError(f"modalities of {sizes} pixels", "data.train", "prepare all with one --size")
            scale = unit_scale(np.dtype(str(one.dtype).removeprefix("torch.")))
            stacked[:, which, :, :, : one.shape[3]] = one.float() / scale
        return stacked

    def teacher_labels(self, indices: np.ndarray, draws: np.ndarray) -> np.ndarray | None:
        if self._paired and len(self._rows) == 2:
            return None
        partners = self._partners(indices, draws)
        return np.stack([own[p] for own, p in zip(self._labels[1:], partners, strict=True)], 1).reshape(-1)

    def view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        return normalise_as(train_view(raw, draws[:, :DRAWS], self._views[0]), self._views[0]), None

    def teacher_view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        seen = []
        for which, (channels, view) in enumerate(zip(self._channels, self._views[1:], strict=True)):
            start = 0 if self._paired else DRAWS * (which + 1)
            x = train_view(raw[:, which, :, :, :channels], draws[:, start : start + DRAWS], view)
            x = normalise_as(x, view)
            seen.append(nn.functional.pad(x, (0, 0, 0, 0, 0, raw.shape[4] - channels)))
        return torch.stack(seen, 1).flatten(0, 1), None


def same_scenes(modalities: Sequence[Modality], kept: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The chosen rows of each modality whose keys all modalities have, in the first one's order.

    What is left out is counted in the log. Raises InputError where no key is common, or a scene has two classes.
    """
    places = [{one.pictures.keys[row]: row for row in rows} for one, rows in zip(modalities, kept, strict=True)]
    common = [key for key in places[0] if all(key in row_of for row_of in places)]
    names = ", ".join(one.name for one in modalities)
    if not common:
        raise InputError(f"no scene that {names} all have", modalities[1].directory, "set data.paired to false")
    lost = {one.name: len(row_of) - len(common) for one, row_of in zip(modalities, places, strict=True)}
    if any(lost.values()):
        counts = ", ".join(f"{count} of {name}" for name, count in lost.items())
        log.warning("paired batches leave out pictures without the other modalities' (%s)", counts)
    rows = [np.array([row_of[key] for key in common], np.int64) for row_of in places]
    labels = [one.pictures.labels[own] for one, own in zip(modalities, rows, strict=True)]
    for one, own in zip(modalities[1:], labels[1:], strict=True):
        if (own != labels[0]).any():
            key = common[int(np.flatnonzero(own != labels[0])[0])]
            raise InputError(f"'{key}' has two classes", one.directory, "prepare all modalities of the same corpus")
    return rows
