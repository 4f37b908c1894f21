"""The 34-layer residual networks over (frequency, time) maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.pooling import at_least_float32, build_pooling
from speakerkd.tensors import Output

BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 2, 2)


def normalise_utterance(x: Tensor) -> Tensor:
    """Bands (B, F, T) with mean 0 and variance 1 over time, in at least float32; constant bands become 0."""
    return functional.instance_norm(at_least_float32(x), eps=1e-5)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the channel means (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class BasicBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, shortcut, ReLU (He et al. 2016); `squeeze` is the order of ResNetSE34V2 instead.

    That order is conv-ReLU-BN-conv-BN-SE, shortcut, ReLU.
    """

    def __init__(self, inputs: int, channels: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.se = SqueezeExcite(channels) if squeeze else None
        self.downsample = None
        if stride != 1 or inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.conv1(x)
        y = functional.relu(self.bn1(y)) if self.se is None else self.bn1(functional.relu(y))
        y = self.bn2(self.conv2(y))
        if self.se is not None:
            y = self.se(y)
        return functional.relu(y + shortcut)


class SpeakerResNet(nn.Module):
    """ResNet34 over a (frequency, time) map, pooled over time, then one linear layer.

    channels: of the four stages. `squeeze` gives voxceleb_trainer's ResNetSE34V2 (squeeze-excite, a stem with bias in
    the order conv-ReLU-BN); else the plain ResNet34. Strides 1, 2, 2, 2 act on both axes.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        mels: int = 40,
        dim: int = 512,
        squeeze: bool = False,
        pooling: str = "asp",
        attention: int = 128,
        frequency: str = "flatten",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.squeeze = squeeze
        self.frequency = frequency
        self.conv1 = nn.Conv2d(1, channels[0], 3, 1, 1, bias=squeeze)
        self.bn1 = nn.BatchNorm2d(channels[0])
        inputs, bands = channels[0], mels
        for number, (width, blocks, stride) in enumerate(zip(channels, BLOCKS, STRIDES, strict=True), 1):
            stage = [
                BasicBlock(inputs if i == 0 else width, width, stride if i == 0 else 1, squeeze) for i in range(blocks)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            inputs, bands = width, -(-bands // stride)
        width = inputs * bands if frequency == "flatten" else inputs
        self.pooling = build_pooling(pooling, width, attention)
        self.fc = nn.Linear(self.pooling.dim, dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F); the maps are the four stages' outputs (B, C, F', T')."""
        x = normalise_utterance(x.transpose(1, 2))[:, None].to(self.conv1.weight.dtype)
        x = self.conv1(x)
        x = self.bn1(functional.relu(x)) if self.squeeze else functional.relu(self.bn1(x))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(x)
        x = x.mean(2) if self.frequency == "mean" else x.flatten(1, 2)
        pooled = self.pooling(x)
        with torch.autocast(pooled.device.type, enabled=False):  # a bf16 embedding would keep 3 digits
            embedding = self.fc(pooled.to(self.fc.weight.dtype))
        return Output(embedding, maps=stages if maps else [])
