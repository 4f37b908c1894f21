"""ReDimNet: features go to and fro between maps (C, F, T) and signals (C * F, T) (Yakovlev et al. 2024, 2407.18223)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.config import Settings
from speakerkd.models.network import Network
from speakerkd.models.pooling import build_pooling
from speakerkd.models.precision import run_full
from speakerkd.models.speaker_resnet import NORMS
from speakerkd.tensors import Output

EPS = 1e-6
POSITION = 59  # frames that the position convolution of an attention block sees
CONTEXT = (7, 19, 31, 59)  # kernels before the attention
HEADS = 4


BlockName = Literal["convnext_like", "convnext_like_relu", "basic_resnet", "basic_resnet_fwse"]


class Stage(Settings):
    """One of the stages."""

    stride: Literal[1, 2, 3] = Field(description="by which the bands are divided and the channels multiplied")
    blocks: int = Field(ge=1, le=64, description="two-dimensional blocks")
    expansion: int = Field(1, ge=1, le=16, description="channels inside, as a multiple")
    reduction: int | None = Field(None, ge=1, le=256, description="of channels in the block over time; null: none")


class ReDimNetSettings(Settings):
    """A ReDimNet that is none of redimnet_b0 to redimnet_b6."""

    bands: int = Field(72, ge=8, le=256, description="F, as many as the Fbank has")
    channels: int = Field(16, ge=1, le=512, description="C")
    context: Literal["att", "conv+att", "conv", "fc"] = Field("conv+att", description="block over time")
    block: BlockName = Field("convnext_like", description="two-dimensional block")
    stages: list[Stage] = Field(description="the stages, shallow to deep")
    groups: int | None = Field(4, ge=1, description="channels of a convolution's group; null: ungrouped")
    outputs: int | None = Field(None, ge=1, le=8192, description="channels before the pooling; null: C * F")
    norm: bool = Field(True, description="BatchNorm of the pooled statistics")
    last_norm: bool = Field(False, description="BatchNorm of the embedding")


def _sized(
    bands: int, channels: int, block: BlockName, groups: int, *stages: tuple[int, int, int, int | None]
) -> ReDimNetSettings:
    named = [Stage(stride=s, blocks=n, expansion=e, reduction=r) for s, n, e, r in stages]
    return ReDimNetSettings(bands=bands, channels=channels, block=block, groups=groups, stages=named)


SIZES = {
    "redimnet_b0": _sized(
        60, 10, "basic_resnet", 1, (1, 2, 1, 30), (2, 3, 2, 30), (1, 3, 3, 30), (2, 4, 2, 10), (1, 3, 1, 10)
    ),
    "redimnet_b1": _sized(
        72, 12, "convnext_like", 8, (1, 2, 1, None), (2, 3, 1, None), (3, 4, 1, 12), (2, 5, 1, 12), (2, 3, 1, 8)
    ),
    "redimnet_b2": _sized(
        72, 16, "convnext_like", 4,
        (1, 2, 1, 12), (2, 2, 1, 12), (1, 3, 1, 12), (2, 4, 1, 8), (1, 4, 1, 8), (2, 4, 1, 4),
    ),
    "redimnet_b3": _sized(
        72, 16, "basic_resnet_fwse", 1,
        (1, 6, 4, 32), (2, 6, 2, 32), (1, 8, 2, 32), (2, 10, 2, 16), (1, 10, 1, 16), (2, 8, 1, 16),
    ),
    "redimnet_b4": _sized(
        72, 32, "basic_resnet_fwse", 1,
        (1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 32), (1, 8, 1, 24), (2, 4, 1, 16),
    ),
    "redimnet_b5": _sized(
        72, 32, "basic_resnet_fwse", 16,
        (1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 32), (1, 8, 1, 24), (2, 4, 1, 16),
    ),
    "redimnet_b6": _sized(
        72, 32, "basic_resnet", 32,
        (1, 4, 4, 32), (2, 6, 2, 32), (1, 6, 2, 24), (3, 8, 1, 24), (1, 8, 1, 16), (2, 8, 1, 16),
    ),
}  # fmt: skip


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, ...), at every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        off = x - x.mean(1, keepdim=True)
        shape = (-1, *[1] * (x.ndim - 2))
        return off * (off.square().mean(1, keepdim=True) + EPS).rsqrt() * self.weight.view(shape) + self.bias.view(
            shape
        )


class ToSignal(nn.Module):
    """(B, C, F, T) -> (B, F * C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(1, 2)


class ToMap(nn.Module):
    """(B, F * C, T) -> (B, C, F, T)."""

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.shape = bands, channels

    def forward(self, x: Tensor) -> Tensor:
        # not unflatten: exported, it would fix the length
        return x.reshape(x.shape[0], *self.shape, x.shape[2]).transpose(1, 2)


class WeightedSum(nn.Module):
    """Sum of N signals (B, C, T) under weights that each channel learns, softmax over the N; one alone passes."""

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, count, channels if count > 1 else 1, 1), requires_grad=count > 1)

    def forward(self, signals: list[Tensor]) -> Tensor:
        return (torch.stack(signals, 1) * self.w.softmax(1)).sum(1)


class NextBlock(nn.Module):
    """Grouped convolutions side by side, BatchNorm, activation, 1x1, shortcut (after ConvNeXt)."""

    def __init__(
        self, channels: int, kernels: tuple[int, ...], dims: int, groups: int | None, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        conv, norm = (nn.Conv1d, nn.BatchNorm1d) if dims == 1 else (nn.Conv2d, nn.BatchNorm2d)
        parts = 1 if groups is None else channels // groups
        self.dwconvs = nn.ModuleList(conv(channels, channels, k, padding="same", groups=parts) for k in kernels)
        self.norm = norm(channels * len(kernels))
        self.act = activation()
        self.pwconv1 = conv(channels * len(kernels), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pwconv1(self.act(self.norm(torch.cat([c(x) for c in self.dwconvs], 1))))


class BandGate(nn.Module):
    """Scales each band of (B, C, F, T) by a gate computed from the band means."""

    def __init__(self, bands: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(bands, hidden)
        self.exitation = nn.Linear(hidden, bands)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.exitation(functional.relu(self.squeeze(x.mean((1, 3))))))
        return x * gate[:, None, :, None]


class ResidualBlock(nn.Module):
    """Two grouped 3x3 convolutions, each with a 1x1 one, in the order conv-ReLU-BN, a gate, shortcut, ReLU."""

    def __init__(self, channels: int, bands: int, groups: int | None, gate: bool) -> None:
        super().__init__()
        parts = 1 if groups is None else channels // groups
        pointwise = nn.Identity if groups is None else lambda: nn.Conv2d(channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False, groups=parts)
        self.conv1pw = pointwise()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False, groups=parts)
        self.conv2pw = pointwise()
        self.bn2 = nn.BatchNorm2d(channels)
        self.se = BandGate(bands, min(64, max(channels, 32))) if gate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(functional.relu(self.conv1pw(self.conv1(x))))
        return functional.relu(self.se(self.bn2(self.conv2pw(self.conv2(y)))) + x)


class PositionConvolution(nn.Module):
    """Each channel sees 59 frames about its own, normalised, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, POSITION, padding=POSITION // 2, groups=channels)
        self.norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x))


class SelfAttention(nn.Module):
    """Multi-head attention over time, (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.v_proj, self.out_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape[0], x.shape[1], HEADS, x.shape[2] // HEADS
        q, k, v = (p(x).reshape(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(channels, hidden)
        self.output_dense = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(functional.gelu(self.intermediate_dense(x), approximate="tanh"))


class EncoderLayer(nn.Module):
    """Attention and feed-forward layer, each added to its input and then normalised, over (B, C, T)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.attention = SelfAttention(channels)
        self.layer_norm = nn.LayerNorm(channels, eps=EPS)
        self.feed_forward = FeedForward(channels, hidden)
        self.final_layer_norm = nn.LayerNorm(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        x = self.layer_norm(x + self.attention(x))
        return self.final_layer_norm(x + self.feed_forward(x)).transpose(1, 2)


class TimeBlock(nn.Module):
    """Context over time in fewer channels, added to the signal (B, C, T)."""

    def __init__(self, channels: int, hidden: int, kind: str) -> None:
        super().__init__()
        self.red_dim_conv = nn.Sequential(nn.Conv1d(channels, hidden, 1), ChannelNorm(hidden))
        if kind == "fc":
            wide = nn.Conv1d(hidden, 2 * hidden, 1)
            parts = [wide, ChannelNorm(2 * hidden), nn.GELU(), nn.Conv1d(2 * hidden, hidden, 1)]
        elif kind == "conv":
            parts = [NextBlock(hidden, (7, 15, 31), 1, 1, nn.GELU) for _ in range(4)]
        elif kind == "att":
            parts = [PositionConvolution(hidden), EncoderLayer(hidden, 2 * hidden)]
        else:
            parts = [NextBlock(hidden, (k,), 1, 1, nn.GELU) for k in CONTEXT]
            parts.append(EncoderLayer(hidden, hidden))
        self.tcm = nn.Sequential(*parts)
        self.exp_dim_conv = nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.exp_dim_conv(self.tcm(self.red_dim_conv(x)))


class ReDimNet(Network):
    """ReDimNet over log-Fbank, attentive pooling, BatchNorm, one linear layer.

    The maps are the stages' outputs as (B, C * F, 1, T): every stage gives signals of one size.
    """

    def __init__(
        self,
        settings: ReDimNetSettings,
        *,
        dim: int = 192,
        pooling: str = "astp_context",
        attention: int = 128,
        norm: str = "mean",
        second: bool = False,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.input_norm = NORMS[norm]
        channels, bands = settings.channels, settings.bands
        size = channels * bands
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding="same"), ChannelNorm(channels), ToSignal())
        stages = []
        for number, stage in enumerate(settings.stages):
            inner = stage.stride * channels * stage.expansion
            parts: list[nn.Module] = [
                WeightedSum(number + 1, size),
                ToMap(bands, channels),
                nn.Conv2d(channels, inner, (stage.stride, 1), (stage.stride, 1)),
            ]
            channels, bands = channels * stage.stride, bands // stage.stride
            for _ in range(stage.blocks):
                parts.append(_Wrapped(_block(settings, inner, bands)))
            if stage.expansion != 1:
                groups = 1 if settings.groups is None else channels // settings.groups
                parts.append(
                    nn.Sequential(
                        nn.Conv2d(inner, channels, 3, padding="same", groups=groups),
                        nn.BatchNorm2d(channels, eps=EPS),
                        nn.GELU(),
                        nn.Conv2d(channels, channels, 1),
                    )
                )
            parts.append(ToSignal())
            if stage.reduction is not None:
                parts.append(TimeBlock(size, size // stage.reduction, settings.context))
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.last = WeightedSum(len(stages) + 1, size)
        self.mfa: nn.Module = nn.Identity()
        if settings.outputs is not None:
            self.mfa = nn.Sequential(nn.Conv1d(size, settings.outputs, 1), nn.BatchNorm1d(settings.outputs))
        self.pooling = build_pooling(pooling, settings.outputs or size, attention)
        self.norm = nn.BatchNorm1d(self.pooling.dim) if settings.norm else None
        self.fc = nn.Linear(self.pooling.dim, dim)
        self.last_norm = nn.BatchNorm1d(dim) if settings.last_norm else None
        self.second = None
        if second:
            self.second = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(dim, affine=False), nn.Linear(dim, dim))

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F)."""
        x = self.input_norm(x.transpose(1, 2)).to(self.fc.weight.dtype)  # (B, F, T)
        signals = [self.stem(x[:, None])]  # (B, C F, T): every stage reads and gives such signals
        for stage in self.stages:
            signals.append(stage(signals))
        embedding = self.pooling(self.mfa(self.last(signals)))  # (B, 2C')
        for layer in (self.norm, self.fc, self.last_norm, self.second):
            embedding = embedding if layer is None else run_full(layer, embedding)
        return Output(embedding, maps=[s[:, :, None] for s in signals[1:]] if maps else [])


class _Wrapped(nn.Module):
    """Gives a two-dimensional block the name that published weights have for it."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.conv_block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block(x)


def _block(settings: ReDimNetSettings, channels: int, bands: int) -> nn.Module:
    if settings.block.startswith("convnext_like"):
        activation = nn.ReLU if settings.block.endswith("relu") else nn.GELU
        return NextBlock(channels, (3,), 2, settings.groups, activation)
    return ResidualBlock(channels, bands, settings.groups, settings.block.endswith("fwse"))
