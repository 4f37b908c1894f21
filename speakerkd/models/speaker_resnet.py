"""The 34-layer residual networks over (frequency, time) maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.blocks import BasicBlock, BatchNorm2d, SqueezeBlock, kaiming, residual_stage
from speakerkd.models.network import Network
from speakerkd.models.pooling import build_pooling
from speakerkd.models.precision import at_least_float32, run_full
from speakerkd.tensors import Output

BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 2, 2)


def normalise_utterance(x: Tensor) -> Tensor:
    """Bands (B, F, T) with mean 0 and variance 1 over time, in at least float32; constant bands become 0."""
    x = at_least_float32(x)
    if x.shape[2] == 1:
        return torch.zeros_like(x)
    return functional.instance_norm(x, eps=1e-5)


class SpeakerResNet(Network):
    """ResNet34 over a (frequency, time) map, pooled over time, then one linear layer.

    channels: of the four stages. `squeeze` gives voxceleb_trainer's ResNetSE34V2 (squeeze-excite, a stem with bias in
    the order conv-ReLU-BN); else the plain ResNet34. Strides 1, 2, 2, 2 act on both axes. normalise: BatchNorm between
    pooling and the linear layer.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

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
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.squeeze = squeeze
        self.frequency = frequency
        self.conv1 = nn.Conv2d(1, channels[0], 3, 1, 1, bias=squeeze)
        self.bn1 = BatchNorm2d(channels[0])
        self.folds = () if squeeze else (("conv1", "bn1"),)
        block = SqueezeBlock if squeeze else BasicBlock
        inputs, bands = channels[0], mels
        for number, (width, count, stride) in enumerate(zip(channels, BLOCKS, STRIDES, strict=True), 1):
            self.add_module(f"layer{number}", residual_stage(block, inputs, width, count, stride))
            inputs, bands = width, -(-bands // stride)
        self.pooling = build_pooling(pooling, inputs * bands if frequency == "flatten" else inputs, attention)
        # pooled statistics differ little between speakers at first; BatchNorm brings out what differs
        self.norm = nn.BatchNorm1d(self.pooling.dim) if normalise else None
        self.fc = nn.Linear(self.pooling.dim, dim)
        for part in (self.conv1, self.layer1, self.layer2, self.layer3, self.layer4):
            kaiming(part)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F); the maps are the four stages' outputs (B, C, F', T')."""
        x = normalise_utterance(x.transpose(1, 2))[:, None].to(self.conv1.weight.dtype)
        x = self.conv1(x)
        x = self.bn1(functional.relu(x)) if self.squeeze else functional.relu(self.bn1(x))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(x)
        pooled = self.pooling(x.mean(2) if self.frequency == "mean" else x.flatten(1, 2))
        if self.norm is not None:
            pooled = run_full(self.norm, pooled)
        return Output(run_full(self.fc, pooled), maps=stages if maps else [])
