"""Residual networks over (frequency, time) maps, of 18 to 293 layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.blocks import BasicBlock, BatchNorm2d, Bottleneck, SqueezeBlock, kaiming, residual_stage
from speakerkd.models.network import Network
from speakerkd.models.pooling import build_pooling
from speakerkd.models.precision import at_least_float32, run_full
from speakerkd.tensors import Output


@dataclass(frozen=True, slots=True)
class Shape:
    """What tells one residual network from another.

    counts: blocks of the four stages. share: channels as a share of 64, 128, 256, 512, where no width is given.
    strides: of the stages. stem: kernel and stride of the first convolution. late_norm: its order is conv-ReLU-BN.
    pooling, frequency, normalise, embedding: the network's own, where the settings name none.
    """

    block: type[BasicBlock] | type[Bottleneck] | type[SqueezeBlock]
    counts: tuple[int, int, int, int]
    share: float = 1.0
    strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    stem: tuple[int, tuple[int, int]] = (3, (1, 1))
    late_norm: bool = False
    pooling: str = "asp"
    frequency: str = "flatten"
    normalise: bool = True


SHAPES = {
    "resnet18": Shape(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Shape(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Shape(Bottleneck, (3, 4, 6, 3), 0.5, pooling="tstp"),
    "resnet101": Shape(Bottleneck, (3, 4, 23, 3), 0.5, pooling="tstp"),
    "resnet152": Shape(Bottleneck, (3, 8, 36, 3), 0.5, pooling="tstp"),
    "resnet221": Shape(Bottleneck, (6, 16, 48, 3), 0.5, pooling="tstp"),
    "resnet293": Shape(Bottleneck, (10, 20, 64, 3), 0.5, pooling="tstp"),
    # voxceleb_trainer's (Heo et al. 2020, Chung et al. 2020)
    "resnetse34v2": Shape(SqueezeBlock, (3, 4, 6, 3), 0.5, late_norm=True, pooling="asp_channel", normalise=False),
    "resnetse34l": Shape(
        SqueezeBlock, (3, 4, 6, 3), 0.25, (1, 2, 2, 1), (7, (2, 1)), pooling="sap", frequency="mean", normalise=False
    ),
}


def centre_utterance(x: Tensor) -> Tensor:
    """Bands (B, F, T) with mean 0 over time, in at least float32."""
    x = at_least_float32(x)
    return x - x.mean(2, keepdim=True)


def normalise_utterance(x: Tensor) -> Tensor:
    """Bands (B, F, T) with mean 0 and variance 1 over time, in at least float32; constant bands become 0."""
    x = at_least_float32(x)
    if x.shape[2] == 1:
        return torch.zeros_like(x)
    return functional.instance_norm(x, eps=1e-5)


NORMS = {"mean_variance": normalise_utterance, "mean": centre_utterance}


class SpeakerResNet(Network):
    """A residual network over a (frequency, time) map, pooled over time, then one linear layer, or two.

    shape: of which network. channels: of the four stages (a bottleneck gives four times as many). norm: of the input.
    normalise: BatchNorm between pooling and the linear layer. second: a second linear layer after ReLU and BatchNorm,
    whose output is then the embedding (wespeaker's `two_emb_layer`).
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self,
        shape: Shape,
        channels: Sequence[int],
        *,
        mels: int = 40,
        dim: int = 512,
        pooling: str = "asp",
        attention: int = 128,
        frequency: str = "flatten",
        normalise: bool = False,
        norm: str = "mean_variance",
        second: bool = False,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.late_norm = shape.late_norm
        self.frequency = frequency
        self.input_norm = NORMS[norm]
        kernel, stride = shape.stem
        self.conv1 = nn.Conv2d(1, channels[0], kernel, stride, kernel // 2, bias=shape.late_norm)
        self.bn1 = BatchNorm2d(channels[0])
        self.folds = () if shape.late_norm else (("conv1", "bn1"),)
        inputs, bands = channels[0], -(-mels // stride[0])
        for number, (width, count, step) in enumerate(zip(channels, shape.counts, shape.strides, strict=True), 1):
            self.add_module(f"layer{number}", residual_stage(shape.block, inputs, width, count, step))
            inputs, bands = width * shape.block.expansion, -(-bands // step)
        self.pooling = build_pooling(pooling, inputs * bands if frequency == "flatten" else inputs, attention)
        # pooled statistics differ little between speakers at first; BatchNorm brings out what differs
        self.norm = nn.BatchNorm1d(self.pooling.dim) if normalise else None
        self.fc = nn.Linear(self.pooling.dim, dim)
        self.second = None
        if second:
            self.second = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(dim, affine=False), nn.Linear(dim, dim))
        for part in (self.conv1, self.layer1, self.layer2, self.layer3, self.layer4):
            kaiming(part)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F); the maps are the four stages' outputs (B, C, F', T')."""
        x = self.input_norm(x.transpose(1, 2))[:, None].to(self.conv1.weight.dtype)  # (B, 1, F, T)
        x = self.conv1(x)  # (B, C, F', T')
        x = self.bn1(functional.relu(x)) if self.late_norm else functional.relu(self.bn1(x))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)  # (B, C, F', T')
            stages.append(x)
        # frames (B, C, T), or (B, C F, T) where every band keeps its own channels; pooled (B, the pooling's dim)
        pooled = self.pooling(x.mean(2) if self.frequency == "mean" else x.flatten(1, 2))
        if self.norm is not None:
            pooled = run_full(self.norm, pooled)
        embedding = run_full(self.fc, pooled)  # (B, D)
        if self.second is not None:
            embedding = run_full(self.second, embedding)
        return Output(embedding, maps=stages if maps else [])
