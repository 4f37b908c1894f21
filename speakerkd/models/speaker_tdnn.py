"""Time-delay networks: ECAPA-TDNN's frame layers from speechbrain, x-vectors' from torch, under our pooling.

speechbrain's own x-vector pooling adds random noise to the mean, so two runs over one recording differ; ours does not.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.models.network import Network
from speakerkd.models.pooling import build_pooling
from speakerkd.models.precision import run_full
from speakerkd.models.speaker_resnet import NORMS
from speakerkd.tensors import Output


def _check_length(x: Tensor, shortest: int) -> None:
    if x.shape[1] < shortest:
        raise InputError(
            f"{x.shape[1]} frames are too few for this network",
            "a recording",
            f"give at least {shortest} frames (10 ms each)",
        )


class Ecapa(Network):
    """ECAPA-TDNN (Desplanques et al. 2020): Res2Net frame layers, channel attention with context.

    channels: of the frame layers, a multiple of 8. The maps are the four blocks' outputs as (B, C, 1, T).
    """

    shortest = 5  # frames; the widest dilated kernel reflects 4

    def __init__(
        self,
        channels: int,
        *,
        mels: int = 40,
        dim: int = 512,
        attention: int = 128,
        pooling: str | None = None,
        norm: str = "mean_variance",
    ) -> None:
        super().__init__()
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

        channels = max(8, round(channels / 8) * 8)
        parts = ECAPA_TDNN(mels, lin_neurons=dim, channels=[channels] * 4 + [3 * channels])
        self.dim = dim
        self.input_norm = NORMS[norm]
        self.blocks, self.mfa = parts.blocks, parts.mfa
        self.pooling = build_pooling(pooling or "asp_context", 3 * channels, attention)
        self.norm = nn.BatchNorm1d(self.pooling.dim)
        self.fc = nn.Linear(self.pooling.dim, dim)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F), T at least `shortest`."""
        _check_length(x, self.shortest)
        x = self.input_norm(x.transpose(1, 2)).to(self.fc.weight.dtype)  # (B, F, T)
        outputs = []
        for block in self.blocks:
            x = block(x)  # (B, C, T)
            outputs.append(x)
        pooled = self.pooling(self.mfa(torch.cat(outputs[1:], 1)))  # (B, 3C, T) to (B, 6C)
        embedding = run_full(self.fc, run_full(self.norm, pooled))  # (B, D)
        return Output(embedding, maps=[o[:, :, None] for o in outputs] if maps else [])


class XVector(Network):
    """x-vector (Snyder et al. 2018): five frame layers, mean and standard deviation, one linear layer.

    channels: of the first four frame layers; the fifth has 1500/512 of that. The maps are the five layers' outputs as
    (B, C, 1, T).
    """

    shortest = 4  # frames; the widest dilated kernel reflects 3

    def __init__(
        self,
        channels: int = 512,
        *,
        mels: int = 40,
        dim: int = 512,
        attention: int = 128,
        pooling: str | None = None,
        norm: str = "mean_variance",
    ) -> None:
        super().__init__()
        last = round(channels * 1500 / 512)
        widths = [mels, channels, channels, channels, channels, last]
        kernels, dilations = (5, 3, 3, 1, 1), (1, 2, 3, 1, 1)
        self.dim = dim
        self.input_norm = NORMS[norm]
        self.frames = nn.ModuleList(map(_frame_layer, widths, widths[1:], kernels, dilations))
        self.pooling = build_pooling(pooling or "statistics", last, attention)
        self.fc = nn.Linear(self.pooling.dim, dim)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F), T at least `shortest`."""
        _check_length(x, self.shortest)
        x = self.input_norm(x.transpose(1, 2)).to(self.fc.weight.dtype)  # (B, F, T)
        outputs = []
        for layer in self.frames:
            x = layer(x)  # (B, C, T)
            outputs.append(x)
        return Output(run_full(self.fc, self.pooling(x)), maps=[o[:, :, None] for o in outputs] if maps else [])


def _frame_layer(inputs: int, outputs: int, kernel: int, dilation: int) -> nn.Sequential:
    """(B, inputs, T) to (B, outputs, T). Named as speechbrain's, so that its published weights fit key by key."""
    conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding="same", padding_mode="reflect")
    named = nn.Sequential(OrderedDict(conv=conv)), nn.Sequential(OrderedDict(norm=nn.BatchNorm1d(outputs)))
    return nn.Sequential(named[0], nn.LeakyReLU(), named[1])
