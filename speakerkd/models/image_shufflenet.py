"""ShuffleNet of both versions for small images, RepDistiller's parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.image_network import ImageNetwork, global_mean, shrinking_pool, shrinking_stem, stage_maps

relu = functional.relu
STEM = 24


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of `groups` groups (Zhang et al. 2018, Fig. 1)."""
    return functional.channel_shuffle(x, groups)


def _pointwise(inputs: int, channels: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, channels, 1, groups=groups, bias=False)


def _depthwise(channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


class GroupUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1 (version 1); a stride-2 unit appends its averaged input."""

    def __init__(self, inputs: int, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        middle = channels // 4
        self.groups = 1 if inputs == STEM else groups  # the stem's few channels are not grouped
        self.stride = stride
        self.conv1, self.bn1 = _pointwise(inputs, middle, self.groups), nn.BatchNorm2d(middle)
        self.conv2, self.bn2 = _depthwise(middle, stride), nn.BatchNorm2d(middle)
        self.conv3, self.bn3 = _pointwise(middle, channels, groups), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = shuffle(relu(self.bn1(self.conv1(x))), self.groups)  # (B, C/4, H, W)
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))  # (B, C, H', W'), C less the shortcut's with a stride
        if self.stride == 1:
            return relu(y + x)
        return relu(torch.cat([y, functional.avg_pool2d(x, 3, 2, 1)], 1))


class ShuffleNetV1(ImageNetwork):
    """ShuffleNet with 3 groups (Zhang et al. 2018)."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def __init__(self, classes: int, inputs: int = 3, stem: str = "cifar", groups: int = 3) -> None:
        super().__init__()
        self.conv1 = shrinking_stem(inputs, STEM) if stem == "imagenet" else _pointwise(inputs, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.pool = shrinking_pool(stem)
        before = STEM
        for number, (width, count) in enumerate(((240, 4), (480, 8), (960, 4)), 1):
            units = [GroupUnit(before, width - before, 2, groups)]
            units += [GroupUnit(width, width, 1, groups) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*units))
            before = width
        self.dim = before
        self.linear = nn.Linear(before, classes)

    @property
    def head(self) -> nn.Module:
        return self.linear

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = stage_maps(self.pool(relu(self.bn1(self.conv1(x)))), (self.layer1, self.layer2, self.layer3))
        return outputs, global_mean(outputs[-1])


class SplitUnit(nn.Module):
    """Half of the channels pass, half go through 1x1, depthwise 3x3, 1x1 (version 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.channels = half  # of a half
        self.conv1, self.bn1 = _pointwise(half, half), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = _depthwise(half), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = _pointwise(half, half), nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x[:, self.channels :])))
        y = relu(self.bn3(self.conv3(self.bn2(self.conv2(y)))))
        return shuffle(torch.cat([x[:, : self.channels], y], 1), 2)


class DownUnit(nn.Module):
    """Both halves see all channels and halve the map (version 2)."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1, self.bn1 = _depthwise(inputs, 2), nn.BatchNorm2d(inputs)
        self.conv2, self.bn2 = _pointwise(inputs, half), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = _pointwise(inputs, half), nn.BatchNorm2d(half)
        self.conv4, self.bn4 = _depthwise(half, 2), nn.BatchNorm2d(half)
        self.conv5, self.bn5 = _pointwise(half, half), nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        left = relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = self.bn4(self.conv4(relu(self.bn3(self.conv3(x)))))
        return shuffle(torch.cat([left, relu(self.bn5(self.conv5(right)))], 1), 2)


class ShuffleNetV2(ImageNetwork):
    """ShuffleNetV2 at size 1 (Ma et al. 2018)."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def __init__(self, classes: int, inputs: int = 3, stem: str = "cifar") -> None:
        super().__init__()
        self.conv1 = shrinking_stem(inputs, STEM) if stem == "imagenet" else _pointwise(inputs, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.pool = shrinking_pool(stem)
        before = STEM
        for number, (width, count) in enumerate(((116, 3), (232, 7), (464, 3)), 1):
            self.add_module(
                f"layer{number}", nn.Sequential(DownUnit(before, width), *(SplitUnit(width) for _ in range(count)))
            )
            before = width
        self.dim = 1024
        self.conv2, self.bn2 = _pointwise(before, self.dim), nn.BatchNorm2d(self.dim)
        self.linear = nn.Linear(self.dim, classes)

    @property
    def head(self) -> nn.Module:
        return self.linear

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = stage_maps(self.pool(relu(self.bn1(self.conv1(x)))), (self.layer1, self.layer2, self.layer3))
        return outputs, global_mean(relu(self.bn2(self.conv2(outputs[-1]))))
