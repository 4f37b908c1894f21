"""CAM++: a densely connected time-delay network with context-aware masking (Wang et al. 2023, arXiv 2303.00332)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.network import Network
from speakerkd.models.pooling import build_pooling
from speakerkd.models.precision import run_full
from speakerkd.models.speaker_resnet import NORMS
from speakerkd.tensors import Output

LAYERS = ((12, 1), (24, 2), (16, 2))  # of the three dense blocks: layers, dilation
SEGMENT = 100  # frames that share a local context
BANDS = 8  # by which the front part divides the bands


class FrequencyBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, shortcut, ReLU; the stride acts on the bands alone."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            short = nn.Conv2d(channels, channels, 1, (stride, 1), bias=False)
            self.shortcut = nn.Sequential(short, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class FrontPart(nn.Module):
    """Two-dimensional convolutions: (B, F, T) -> (B, channels * F / 8, T)."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(FrequencyBlock(channels, 2), FrequencyBlock(channels, 1))
        self.layer2 = nn.Sequential(FrequencyBlock(channels, 2), FrequencyBlock(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dim = channels * -(-bands // BANDS)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x[:, None])))  # (B, F, T) to (B, C, F, T)
        x = self.layer2(self.layer1(x))  # (B, C, F/4, T)
        return functional.relu(self.bn2(self.conv2(x))).flatten(1, 2)  # (B, C F/8, T)


class MaskedConvolution(nn.Module):
    """A convolution over time whose output is scaled by a mask seen from the whole utterance and each second of it."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(inputs, inputs // 2, 1)
        self.linear2 = nn.Conv1d(inputs // 2, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        local = functional.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True)  # (B, C, segments)
        local = local.repeat_interleave(SEGMENT, 2)[:, :, : x.shape[2]]  # (B, C, T)
        context = functional.relu(self.linear1(x.mean(2, keepdim=True) + local))
        return self.linear_local(x) * torch.sigmoid(self.linear2(context))


class DenseLayer(nn.Module):
    """BN-ReLU-1x1-BN-ReLU and a masked convolution, appended to its input: C -> C + growth channels."""

    def __init__(self, inputs: int, growth: int, width: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm_relu(inputs)
        self.linear1 = nn.Conv1d(inputs, width, 1, bias=False)
        self.nonlinear2 = _norm_relu(width)
        self.cam_layer = MaskedConvolution(width, growth, dilation)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))], 1)


class CamPlusPlus(Network):
    """CAM++ over log-Fbank, pooled over time, one linear layer and a BatchNorm without affine part.

    growth: channels that each of the 52 dense layers adds; channels of the front part equal it, the first layer over
    time has four times as many. The maps are the three dense blocks' outputs as (B, C, 1, T / 2).
    """

    def __init__(
        self,
        growth: int = 32,
        *,
        mels: int = 80,
        dim: int = 512,
        pooling: str = "tstp",
        attention: int = 128,
        norm: str = "mean",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.input_norm = NORMS[norm]
        self.head = FrontPart(growth, mels)
        channels = 4 * growth
        self.tdnn = nn.Sequential(
            nn.Conv1d(self.head.dim, channels, 5, stride=2, padding=2, bias=False), *_norm_relu(channels)
        )
        blocks, transits = [], []
        for count, dilation in LAYERS:
            layers = []
            for _ in range(count):
                layers.append(DenseLayer(channels, growth, 4 * growth, dilation))
                channels += growth
            blocks.append(nn.Sequential(*layers))
            transits.append(nn.Sequential(*_norm_relu(channels), nn.Conv1d(channels, channels // 2, 1, bias=False)))
            channels //= 2
        self.blocks, self.transits = nn.ModuleList(blocks), nn.ModuleList(transits)
        self.out_nonlinear = _norm_relu(channels)
        self.pooling = build_pooling(pooling, channels, attention)
        self.fc = nn.Linear(self.pooling.dim, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim, affine=False)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embed log-Fbank (B, T, F)."""
        x = self.input_norm(x.transpose(1, 2)).to(self.fc.weight.dtype)  # (B, F, T)
        x = self.tdnn(self.head(x))  # (B, C, T')
        outputs = []
        for block, transit in zip(self.blocks, self.transits, strict=True):
            x = block(x)  # each layer adds its channels: (B, C', T')
            outputs.append(x)
            x = transit(x)  # (B, C'/2, T')
        pooled = self.pooling(self.out_nonlinear(x))  # (B, 2C)
        embedding = run_full(self.fc, pooled)
        with torch.autocast(x.device.type, enabled=False):
            embedding = self.norm(embedding)
        return Output(embedding, maps=[o[:, :, None] for o in outputs] if maps else [])


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(channels), nn.ReLU())
