"""Image classifiers by name: normalised images (B, C, H, W) in, `Output` with embedding and logits out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field, field_validator, model_validator

from speakerkd.config import Settings
from speakerkd.errors import nearest
from speakerkd.models.image_fused import FusedNetwork
from speakerkd.models.image_mobilenet import MobileNetV2
from speakerkd.models.image_network import ImageNetwork
from speakerkd.models.image_resnet import DEPTHS, CifarResNet, NarrowResNet, TorchvisionResNet, WideResNet
from speakerkd.models.image_shufflenet import ShuffleNetV1, ShuffleNetV2
from speakerkd.models.image_vgg import Vgg

IMAGENET_FROM = 128  # pixels; above, CIFAR's stem costs more than it gives
SMALL, FOUR_TIMES = (16, 16, 32, 64), (32, 64, 128, 256)

# name -> network(classes, inputs, stem)
NETWORKS: dict[str, Callable[[int, int, str], ImageNetwork]] = {
    "resnet18": lambda k, c, s: TorchvisionResNet("resnet18", k, c, s),
    "resnet34": lambda k, c, s: TorchvisionResNet("resnet34", k, c, s),
    "resnet50": lambda k, c, s: TorchvisionResNet("resnet50", k, c, s),
    "resnet8": lambda k, c, s: CifarResNet(8, SMALL, k, c, s),
    "resnet20": lambda k, c, s: CifarResNet(20, SMALL, k, c, s),
    "resnet32": lambda k, c, s: CifarResNet(32, SMALL, k, c, s),
    "resnet56": lambda k, c, s: CifarResNet(56, SMALL, k, c, s),
    "resnet110": lambda k, c, s: CifarResNet(110, SMALL, k, c, s),
    "resnet8x4": lambda k, c, s: CifarResNet(8, FOUR_TIMES, k, c, s),
    "resnet32x4": lambda k, c, s: CifarResNet(32, FOUR_TIMES, k, c, s),
    "wrn_16_1": lambda k, c, s: WideResNet(16, 1, k, c, s),
    "wrn_16_2": lambda k, c, s: WideResNet(16, 2, k, c, s),
    "wrn_40_1": lambda k, c, s: WideResNet(40, 1, k, c, s),
    "wrn_40_2": lambda k, c, s: WideResNet(40, 2, k, c, s),
    "vgg8": lambda k, c, s: Vgg(1, k, c, s),
    "vgg13": lambda k, c, s: Vgg(2, k, c, s),
    "MobileNetV2": MobileNetV2,
    "ShuffleV1": ShuffleNetV1,
    "ShuffleV2": ShuffleNetV2,
}


class ImageSettings(Settings):
    """An image classifier and what it sees."""

    name: str = Field("resnet18", description="the network: " + ", ".join(NETWORKS))
    classes: int = Field(10, ge=0, description="classes K; 0: an encoder without classifier")
    channels: int = Field(3, ge=1, le=512, description="channels of the images")
    size: int = Field(32, ge=8, le=1024, description="height and width of the images in pixels")
    stem: Literal["auto", "cifar", "imagenet"] = Field(
        "auto", description="first layer: imagenet divides the size by 4; auto: imagenet from 128 pixels"
    )
    stem_map: bool = Field(False, description="give the stem's output as the first map (FSP compares it too)")
    width: float = Field(1.0, gt=0, le=2, description="share of the full network's channels (resnet18, resnet34)")
    sensors: list[int] = Field(
        default_factory=list,
        description="channels of each of several sensors, stacked in one picture: an encoder each, features added",
    )

    @model_validator(mode="after")
    def _fits(self) -> ImageSettings:
        if self.width != 1 and self.name not in DEPTHS:
            raise ValueError(f"width {self.width:g} is for {' and '.join(DEPTHS)}")
        if self.sensors and (min(self.sensors) < 1 or sum(self.sensors) != self.channels):
            raise ValueError(f"sensors of {self.sensors} channels in pictures of {self.channels}")
        return self

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NETWORKS:
            raise ValueError(f"no image network '{name}', {nearest(name, NETWORKS)}")
        return name


def build_image(settings: ImageSettings) -> ImageNetwork:
    """The network of `settings` with fresh weights; `.dim` D, `.head` its linear layer, `forward(x, maps=False)`."""
    stem = settings.stem
    if stem == "auto":
        stem = "imagenet" if settings.size >= IMAGENET_FROM else "cifar"
    if settings.sensors:
        one = {"sensors": [], "classes": 0, "stem": stem}
        encoders = [build_image(settings.model_copy(update={**one, "channels": c})) for c in settings.sensors]
        network: ImageNetwork = FusedNetwork(encoders, settings.sensors, max(1, settings.classes))
    elif settings.width != 1:
        network = NarrowResNet(settings.name, settings.width, max(1, settings.classes), settings.channels, stem)
    else:
        network = NETWORKS[settings.name](max(1, settings.classes), settings.channels, stem)
    network.stem_map = settings.stem_map
    return network if settings.classes else network.without_head()
