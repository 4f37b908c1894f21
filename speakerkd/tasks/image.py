"""Image classification taught by text: pictures of an image directory, a table of class texts as the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data.images import ImageSet, read_sensor
from speakerkd.data.sampler import fraction_of, identities, sample_draws
from speakerkd.errors import InputError
from speakerkd.evaluation.classify import classification_figures
from speakerkd.frontend.images import (
    DRAWS,
    GEOMETRY,
    ImageViewSettings,
    network_input,
    normalise_as,
    train_view,
)
from speakerkd.frontend.prompts import prompt_set
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.image_network import ImageNetwork
from speakerkd.models.network import Network
from speakerkd.tasks.base import Embed, Fraction, Resident, Split, Task, TrainingData
from speakerkd.tasks.source import PlainSource
from speakerkd.teachers.module import Teacher, build_teacher
from speakerkd.teachers.text_table import TextTable, read_text_table

SHARE = 0.5  # of a GPU's free memory that `resident: auto` gives to pictures at most


class ImageDataSettings(TrainingData):
    """Where the pictures are and how they are seen."""

    train: str = Field(description="image directory, made by `speakerkd prepare images`")
    split: Split = "train"
    dev: str | None = Field("test", description="split for the figures after an epoch; null: none")
    fraction: Fraction = 1.0
    view: ImageViewSettings = Field(default_factory=ImageViewSettings, description="crops, size and normalisation")
    prompts: str | None = Field(None, description="prompt set that the teacher's table must hold; null: all it holds")
    resident: Resident = "auto"

    @property
    def directories(self) -> list[str]:
        return [self.train]


class ImageStudentSettings(Settings):
    """The student; its classes and size follow from the data."""

    name: str = Field("resnet18", description="the network, one of `speakerkd.models.image.NETWORKS`")
    stem: Literal["auto", "cifar", "imagenet"] = Field(
        "auto", description="first layer: imagenet divides the size by 4; auto: imagenet from 128 pixels"
    )
    stem_map: bool = Field(False, description="count the stem's output as the first map, for fsp (its teacher's too)")
    width: float = Field(1.0, gt=0, le=2, description="share of the full network's channels (resnet18, resnet34)")

    def network(self, classes: int, size: int, channels: int = 3, sensors: Sequence[int] = ()) -> ImageSettings:
        """Settings of the network; sensors: channels of each of several that are stacked in one picture."""
        return ImageSettings(
            name=self.name,
            classes=classes,
            channels=channels,
            size=size,
            stem=self.stem,
            stem_map=self.stem_map,
            width=self.width,
            sensors=list(sensors),
        )

    def network_of(self, classes: int, size: int, pictures: ImageSet) -> ImageSettings:
        """Settings of the network that sees these pictures; of stacked sensors with an encoder each."""
        return self.network(classes, size, pictures.channels, [one.channels for one in pictures.stack])


class ImageTask(Task[ImageDataSettings, ImageStudentSettings]):
    """An image network over random crops; the linear layer of the task loss is its classifier."""

    Data, Student = ImageDataSettings, ImageStudentSettings
    metric, lower_is_better, latest = "top1", False, False
    loss = "softmax"

    def open(self) -> None:
        if self.teacher.online:
            fix = "set it to false and take objectives on embeddings, such as margin, fitnet, pkt or crd"
            raise InputError("the text teacher gives a table of embeddings", "teacher.online", fix)
        sensor = self.data.view.sensor
        self.pictures = read_sensor(self.data.train, self.data.split, sensor)
        self.dev = read_sensor(self.data.train, self.data.dev, sensor) if self.data.dev else None
        self.view = resolved_view(self.data.view, self.pictures)

    def student(self) -> Network:
        return build_image(self.settings.network_of(0, self.view.size, self.pictures))

    def example(self) -> Tensor:
        side = self.view.size
        return torch.randn(2, self.pictures.channels, side, side, generator=torch.Generator().manual_seed(0))

    def source(self, device: str, strong: bool) -> ImageSource:
        if strong:
            raise InputError("a second, strong view of pictures is not made", "distill", "choose a method without one")
        keep = keeps_resident(self.data.resident, [self.pictures], device)
        rows = training_rows(self.pictures, self.data.fraction, self.seed)
        table = self._teacher() if self.taught else None
        return ImageSource(self.pictures, rows, self.view, table, device=device if keep else "cpu")

    def _teacher(self) -> TextTable:
        path = teacher_path(self.data.train, self.teacher.archive)
        table = read_text_table(path).for_classes(self.pictures.classes, where=path)
        return table if self.data.prompts is None else table.for_templates(prompt_set(self.data.prompts), path)

    def frozen_teacher(self, inputs: Tensor, names: Sequence[str]) -> Teacher:
        return build_teacher(self.teacher, inputs, names, self.data.directories[0])

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        return {} if self.dev is None else figures_of(embed, classifier, self.dev, self.view)

    def metadata(self) -> dict[str, Any]:
        return {"frontend": self.view.model_dump(mode="json")}

    def deployed(self, student: Network, classifier: nn.Linear | None) -> tuple[Network, Settings]:
        """The student with the classifier of the task loss as its own, and its settings."""
        assert classifier is not None  # softmax has one
        settings = self.settings.network_of(len(self.pictures.classes), self.view.size, self.pictures)
        return with_classifier(student, classifier, settings), settings


class ImageSource(PlainSource):
    """Random crops of the chosen pictures, and for each the text of its class in a prompt drawn anew.

    pictures: of which the `rows` (N,) are trained on. table: the teacher's, None without one. device: keep the
    pictures in this device's memory.
    Raises InputError from `view` where the first batches show that mean and std are not those of the pictures.
    """

    checked = 512  # pictures whose normalised values are looked at

    def __init__(
        self,
        pictures: ImageSet,
        rows: np.ndarray,
        view: ImageViewSettings,
        table: TextTable | None,
        *,
        device: str = "cpu",
    ) -> None:
        self.keys = [pictures.keys[i] for i in rows]
        self.labels, self.names = pictures.labels[rows], pictures.classes
        self.paired, self.device = None, device
        self.draws = DRAWS + 1
        self._pictures, self._settings = pictures, view
        self._rows, self._identity = PictureRows(pictures, rows, device), identities(self.keys)
        self._table = None if table is None else torch.from_numpy(table.embeddings)
        self._seen = 0
        self._sums = torch.zeros(2, pictures.channels, dtype=torch.float64)

    def student(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        return self._rows.take(indices)

    def teacher(self, indices: np.ndarray, draws: np.ndarray) -> Tensor | None:
        if self._table is None:
            return None
        prompt = (draws[:, -1] * self._table.shape[1]).astype(np.int64)
        return self._table[torch.from_numpy(self.labels[indices]), torch.from_numpy(prompt)]

    def drawn(self, seed: int, turn: int, indices: np.ndarray) -> np.ndarray | None:
        return picture_draws(seed, turn, self._identity[indices], self.draws, self._settings)

    def view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        x = normalise_as(train_view(raw, draws[:, :DRAWS], self._settings), self._settings)
        if self._seen < self.checked:
            self._check(x)
        return x, None

    def _check(self, x: Tensor) -> None:
        """After the first pictures: normalised values whose mean is far from 0, or whose deviation is far from 1."""
        values = x.detach().double()
        self._seen += len(x)
        self._sums += torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))]).cpu() * len(x)
        if self._seen < min(self.checked, len(self.labels)):
            return
        mean, square = self._sums / self._seen
        deviation = (square - mean**2).clamp(min=0).sqrt()
        self._seen = self.checked
        if (mean.abs() > 0.75).any() or (deviation < 0.4).any() or (deviation > 2.5).any():
            moments = [[round(v, 2) for v in values.tolist()] for values in (mean, deviation)]
            raise InputError(
                f"normalised pictures have mean {moments[0]} and deviation {moments[1]}, which should be near 0 and 1",
                "data.view.mean and data.view.std",
                f"leave them out (the pictures have mean {self._pictures.mean.round(4).tolist()}, "
                f"std {self._pictures.std.round(4).tolist()})",
            )


def resolved_view(view: ImageViewSettings, pictures: ImageSet) -> ImageViewSettings:
    """The view with the data's mean and std where the settings name none; a deviation of 0 becomes 1 / 255."""
    mean = view.mean or tuple(float(v) for v in pictures.mean)
    std = view.std or tuple(max(float(v), 1 / 255) for v in pictures.std)
    return view.model_copy(update={"mean": mean, "std": std})


class PictureRows:
    """The chosen pictures (N,) of a set, read when asked for, or kept in a device's memory."""

    def __init__(self, pictures: ImageSet, rows: np.ndarray, device: str = "cpu") -> None:
        self._pictures, self._rows = pictures, rows
        self._resident = None if device == "cpu" else torch.from_numpy(pictures.read(rows)).to(device)

    def take(self, indices: np.ndarray) -> Tensor:
        """Pictures (B, H, W, C) as stored."""
        if self._resident is not None:
            return self._resident[torch.from_numpy(indices).to(self._resident.device)]
        return torch.from_numpy(self._pictures.read(self._rows[indices]))


def training_rows(pictures: ImageSet, fraction: float, seed: int) -> np.ndarray:
    """Positions of the share of every class that is trained on."""
    return fraction_of(pictures.labels, fraction, seed) if fraction < 1 else np.arange(len(pictures))


def picture_draws(seed: int, turn: int, identity: np.ndarray, width: int, view: ImageViewSettings) -> np.ndarray:
    """Draws (B, width) of pictures in a pass; the damage's are those of every pass where the view fixes them."""
    draws = sample_draws(seed, turn, identity, width)
    if view.degrade is not None and view.degrade.fixed:
        draws[:, GEOMETRY:DRAWS] = sample_draws(seed, 0, identity, width)[:, GEOMETRY:DRAWS]
    return draws


def figures_of(
    embed: Embed, classifier: nn.Linear | None, pictures: ImageSet, view: ImageViewSettings, block: int = 256
) -> dict[str, float]:
    """Classification figures of an encoder and a linear layer on pictures in their test view."""
    assert classifier is not None
    weight = classifier.weight.detach()
    bias = None if classifier.bias is None else classifier.bias.detach()
    logits = []
    for start in range(0, len(pictures), block):
        rows = np.arange(start, min(start + block, len(pictures)))
        raw, keys = torch.from_numpy(pictures.read(rows)), pictures.keys[rows[0] : rows[-1] + 1]
        embedding = embed(network_input(raw, view, keys)).to(weight.device)
        logits.append(nn.functional.linear(embedding, weight, bias).cpu())
    return classification_figures(torch.cat(logits).numpy(), pictures.labels)


def teacher_path(directory: Path | str, archive: str | None) -> Path:
    """The teacher's table: below the image directory, or a path of its own."""
    name = archive if archive not in (None, "teacher.scp") else "teacher.npz"
    inside = Path(directory) / name
    return inside if inside.is_file() or not Path(name).is_file() else Path(name)


def with_classifier(encoder: nn.Module, classifier: nn.Linear, settings: ImageSettings) -> ImageNetwork:
    """A network of `settings` with an encoder's weights and a linear layer (K, D); a missing bias is 0."""
    network = build_image(settings).to(classifier.weight.device)
    missing, unexpected = network.load_state_dict(encoder.state_dict(), strict=False)
    assert not unexpected and len(missing) == 2, (missing, unexpected)  # the linear layer's weight and bias
    head = network.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(classifier.weight)
        head.bias.zero_() if classifier.bias is None else head.bias.copy_(classifier.bias)
    return network


def keeps_resident(wanted: Literal["auto", True, False], sets: Sequence[ImageSet], device: str) -> bool:
    """Whether pictures stay in the device's memory; raises InputError where that is asked for on a CPU."""
    if wanted is True and device == "cpu":
        raise InputError("data.resident is true on a CPU", "data.resident", "set it to auto")
    if wanted != "auto":
        return bool(wanted)
    if not device.startswith("cuda"):
        return False
    stored = [part.pixels for one in sets for part in one.stack or [one]]
    arrays = [pixels for pixels in stored if pixels is not None]
    free, _ = torch.cuda.mem_get_info(device)
    return len(arrays) == len(stored) and sum(pixels.nbytes for pixels in arrays) <= SHARE * free
