"""Residual blocks and fresh weights that several networks share."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from speakerkd.models.compiled_blocks import BatchNorm2d, normalise_and_gate, sum_over_pixels

M = TypeVar("M", bound=nn.Module)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the channel means (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        # not x.mean: compiled, its gradient divides every pixel
        mean = sum_over_pixels(x) / (x.shape[2] * x.shape[3])
        return x * self.fc(mean.to(x.dtype))[:, :, None, None]


class BasicBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, shortcut, ReLU (He et al. 2016)."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))
    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.downsample = projection(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))  # (B, C, H', W')
        return functional.relu(self.bn2(self.conv2(y)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the channels, each with BatchNorm (He et al. 2016)."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = BatchNorm2d(4 * channels)
        self.downsample = projection(inputs, 4 * channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)  # (B, 4C, H', W')
        y = functional.relu(self.bn1(self.conv1(x)))  # (B, C, H, W)
        y = functional.relu(self.bn2(self.conv2(y)))  # (B, C, H', W')
        return functional.relu(self.bn3(self.conv3(y)) + shortcut)


class SqueezeBlock(nn.Module):
    """conv-ReLU-BN-conv-BN-SE, shortcut, ReLU: the order of voxceleb_trainer's ResNetSE networks."""

    folds = (("conv2", "bn2"),)
    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.se = SqueezeExcite(channels)
        self.downsample = projection(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.conv2(self.bn1(functional.relu(self.conv1(x))))  # (B, C, H', W')
        # in compiled training on a processor both in one pass over the maps
        fused = self.training and self.bn2.plain(y)
        y = normalise_and_gate(self.bn2, self.se.fc, y) if fused else self.se(self.bn2(y))
        return functional.relu(y + shortcut)


SAFE_CHANNELS = 16


class SparseConv2d(nn.Conv2d):
    """A 1x1 convolution with stride as one without over every stride-th pixel: the same result and names.

    torch 2.11 on processors writes past its memory in the weight gradient of a strided 1x1 convolution with fewer than
    16 channels in channels-last order, float32 (seen: 4, 8 and 12 channels to 8 and 16; crash or silent damage).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def projection(inputs: int, channels: int, stride: int) -> nn.Sequential | None:
    """The 1x1 shortcut where a block changes channels or size, else None (identity)."""
    if stride == 1 and inputs == channels:
        return None
    kind = SparseConv2d if stride > 1 and inputs < SAFE_CHANNELS else nn.Conv2d
    return nn.Sequential(kind(inputs, channels, 1, stride, bias=False), BatchNorm2d(channels))


def residual_stage(block: type[nn.Module], inputs: int, channels: int, count: int, stride: int) -> nn.Sequential:
    """`count` blocks, the first of which changes channels and size; a block gives `expansion` times `channels`."""
    outputs = channels * getattr(block, "expansion", 1)
    return nn.Sequential(block(inputs, channels, stride), *(block(outputs, channels, 1) for _ in range(count - 1)))


def fold_batch_norms(network: M) -> M:
    """A copy of a trained network in which each BatchNorm that follows a convolution is part of its weights.

    Found in `nn.Sequential`, and where a block names the pairs in its `folds`. For evaluation only: outputs are the
    same to rounding, with a pass over the maps less.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        pairs = list(getattr(module, "folds", ()))
        if isinstance(module, nn.Sequential):
            pairs = list(pairwise(name for name, _ in module.named_children()))
        for first, second in pairs:
            conv, norm = getattr(module, first), getattr(module, second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return network


def kaiming(network: nn.Module) -> None:
    """Fresh convolution weights, normal with variance 2 / fan-out (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
