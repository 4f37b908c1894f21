"""Residual image classifiers: torchvision's, those of CIFAR, and wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.blocks import BasicBlock, kaiming, residual_stage
from speakerkd.models.image_network import ImageNetwork, global_mean, shrinking_pool, shrinking_stem, stage_maps

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


class _ResNet(ImageNetwork):
    """Stem, stages `layer1` to `layer<stages>` and the linear layer `fc`, under the names of torchvision's."""

    stages: ClassVar[int] = 4
    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    pool: nn.Module
    fc: nn.Linear

    @property
    def head(self) -> nn.Module:
        return self.fc

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        stem = self.pool(functional.relu(self.bn1(self.conv1(x))))  # (B, C, H, W)
        outputs = stage_maps(stem, [getattr(self, f"layer{number + 1}") for number in range(self.stages)])
        return outputs, global_mean(outputs[-1])


class NarrowResNet(_ResNet):
    """resnet18 or 34 with `width` times the channels (64 to 512), torchvision's parameter names and fresh weights."""

    def __init__(self, name: str, width: float, classes: int, inputs: int = 3, stem: str = "imagenet") -> None:
        super().__init__()
        channels = [max(4, 2 * round(c * width / 2)) for c in (64, 128, 256, 512)]  # even, so that it can be halved
        before = channels[0]
        self.conv1 = _stem(inputs, before, stem)
        self.bn1 = nn.BatchNorm2d(before)
        self.pool = shrinking_pool(stem)
        for number, (count, outputs) in enumerate(zip(DEPTHS[name], channels, strict=True), 1):
            self.add_module(
                f"layer{number}", residual_stage(BasicBlock, before, outputs, count, 1 if number == 1 else 2)
            )
            before = outputs
        self.dim = before
        self.fc = nn.Linear(self.dim, classes)
        kaiming(self)


class TorchvisionResNet(_ResNet):
    """torchvision's resnet18, 34 or 50 with its parameter names; the CIFAR stem is 3x3, stride 1, without pooling."""

    def __init__(self, name: str, classes: int, inputs: int = 3, stem: str = "imagenet") -> None:
        super().__init__()
        from torchvision.models import resnet

        parts = getattr(resnet, name)(num_classes=classes)
        plain = inputs == 3 and stem == "imagenet"
        self.conv1 = parts.conv1 if plain else _stem(inputs, 64, stem)
        self.bn1 = parts.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = parts.layer1, parts.layer2, parts.layer3, parts.layer4
        self.fc = parts.fc
        self.pool = shrinking_pool(stem)
        self.dim = parts.fc.in_features
        if not plain:
            kaiming(self.conv1)


class CifarResNet(_ResNet):
    """ResNet of depth 6n + 2 for small images (He et al. 2016, section 4.2), RepDistiller's parameter names.

    channels: of the stem and the three stages; (32, 64, 128, 256) makes the "x4" networks.
    """

    stages = 3

    def __init__(self, depth: int, channels: Sequence[int], classes: int, inputs: int = 3, stem: str = "cifar") -> None:
        super().__init__()
        count = (depth - 2) // 6
        first, *widths = channels
        self.conv1 = _stem(inputs, first, stem)
        self.bn1 = nn.BatchNorm2d(first)
        self.pool = shrinking_pool(stem)
        for number, width in enumerate(widths, 1):
            stage = residual_stage(BasicBlock, channels[number - 1], width, count, 1 if number == 1 else 2)
            self.add_module(f"layer{number}", stage)
        self.dim = widths[-1]
        self.fc = nn.Linear(self.dim, classes)
        kaiming(self)


class PreActivationBlock(nn.Module):
    """BN-ReLU-conv-BN-ReLU-conv plus shortcut (Zagoruyko and Komodakis 2016)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.convShortcut = nn.Conv2d(inputs, channels, 1, stride, bias=False) if inputs != channels else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(y)
        return self.conv2(functional.relu(self.bn2(self.conv1(y)))) + shortcut


class _Stage(nn.Module):
    """A stage under the name `layer`, as RepDistiller's checkpoints have it."""

    def __init__(self, inputs: int, channels: int, count: int, stride: int) -> None:
        super().__init__()
        self.layer = residual_stage(PreActivationBlock, inputs, channels, count, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(ImageNetwork):
    """Wide ResNet of depth 6n + 4 for small images, RepDistiller's parameter names; maps before the last BN-ReLU."""

    def __init__(self, depth: int, factor: int, classes: int, inputs: int = 3, stem: str = "cifar") -> None:
        super().__init__()
        count = (depth - 4) // 6
        self.conv1 = _stem(inputs, 16, stem)
        self.pool = shrinking_pool(stem)
        self.block1 = _Stage(16, 16 * factor, count, 1)
        self.block2 = _Stage(16 * factor, 32 * factor, count, 2)
        self.block3 = _Stage(32 * factor, 64 * factor, count, 2)
        self.dim = 64 * factor
        self.bn1 = nn.BatchNorm2d(self.dim)
        self.fc = nn.Linear(self.dim, classes)
        kaiming(self)

    @property
    def head(self) -> nn.Module:
        return self.fc

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = stage_maps(self.pool(self.conv1(x)), (self.block1, self.block2, self.block3))
        return outputs, global_mean(functional.relu(self.bn1(outputs[-1])))


def _stem(inputs: int, channels: int, stem: str) -> nn.Conv2d:
    return shrinking_stem(inputs, channels) if stem == "imagenet" else nn.Conv2d(inputs, channels, 3, 1, 1, bias=False)
