"""A frozen picture teacher: a classifier that `speakerkd train` made, whose class scores are in the student's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from speakerkd.config import parse
from speakerkd.data.images import Sensor
from speakerkd.errors import InputError
from speakerkd.frontend.images import ImageViewSettings
from speakerkd.models.blocks import fold_batch_norms
from speakerkd.models.image import ImageSettings
from speakerkd.models.image_network import ImageNetwork
from speakerkd.models.trained_model import load_trained_model, read_description

TRAIN = "train it with task: image on the teacher's pictures"


@dataclass(frozen=True, slots=True)
class ImageTeacher:
    """network: in eval mode, BatchNorm folded in. view: how it sees pictures. digest: of its weights. name: network's.

    classes: K, those of its logits (B, K), in the student's order.
    """

    network: ImageNetwork
    view: ImageViewSettings
    digest: str
    name: str


def teacher_sensor(weights: Path | str | None) -> Sensor:
    """Whose pictures of a pair a teacher was trained on; "first" where none is named."""
    sensor = "first" if weights is None else (read_description(weights).frontend or {}).get("sensor", "first")
    return "both" if sensor == "both" else "second" if sensor == "second" else "first"


def load_image_teacher(
    weights: Path | str | None, classes: Sequence[str], channels: int, *, stem_map: bool = False
) -> ImageTeacher:
    """Load the teacher from its experiment directory.

    classes: the student's, into whose order the teacher's are brought. channels: of the pictures that it will see.
    stem_map: its first map is the stem's output. Raises InputError where the teacher is of another kind, of other
    classes, or sees other channels.
    """
    if weights is None:
        raise InputError("no teacher is named", "teacher.weights", f"give its experiment directory; {TRAIN}")
    package = load_trained_model(weights, dtype=torch.float32)
    if package.task not in ("image", "paired_images"):
        raise InputError(f"a teacher of task {package.task}", weights, TRAIN)
    missing = [name for name in classes if name not in package.labels]
    if missing or len(package.labels) != len(classes):
        lacks = f", and lacks '{missing[0]}'" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        raise InputError(
            f"a teacher of {len(package.labels)} classes for a student of {len(classes)}{lacks if missing else ''}",
            weights,
            "give a teacher of the same classes",
        )
    assert isinstance(package.settings, ImageSettings) and isinstance(package.student, ImageNetwork)
    if package.settings.channels != channels:
        raise InputError(
            f"the teacher sees {package.settings.channels} channels, its pictures here have {channels}",
            weights,
            TRAIN,
        )
    network = fold_batch_norms(package.student)
    network.stem_map = stem_map
    order = torch.tensor([package.labels.index(name) for name in classes])
    head = network.head
    assert isinstance(head, nn.Linear)
    head.weight.data, head.bias.data = head.weight.data[order], head.bias.data[order]
    view = parse(ImageViewSettings, package.frontend or {}, Path(weights) / "model.json")
    return ImageTeacher(network.eval().requires_grad_(False), view, package.digest, package.settings.name)
