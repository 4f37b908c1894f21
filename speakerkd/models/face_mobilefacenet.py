"""MobileFaceNet (Chen et al. 2018), with the state-dict keys of the checkpoints that are about."""

from __future__ import annotations

from torch import Tensor, nn

from speakerkd.models.face_network import FaceNetwork, scaled
from speakerkd.models.precision import run_full
from speakerkd.tensors import Output

STAGES = (
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)  # expansion, channels, units, stride


class ConvUnit(nn.Module):
    """Convolution, BN, and PReLU unless `linear`."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.prelu = nn.Identity() if linear else nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1; a shortcut where nothing changes size."""

    def __init__(self, inputs: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and inputs == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileFaceNet(FaceNetwork):
    """Pictures (B, 3, 112, 96) as (x - 127.5) / 128 to embeddings (B, 128).

    The maps are the last outputs at the heights 56, 28, 14 and 7.
    """

    dim = 128

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvUnit(3, 64, 3, stride=2, padding=1)
        self.dw_conv1 = ConvUnit(64, 64, 3, padding=1, groups=64)
        units, inputs = [], 64
        for expansion, channels, count, stride in STAGES:
            for position in range(count):
                units.append(Bottleneck(inputs, channels, stride if position == 0 else 1, expansion))
                inputs = channels
        self.blocks = nn.Sequential(*units)
        self.conv2 = ConvUnit(inputs, 512, 1)
        self.linear7 = ConvUnit(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = ConvUnit(512, self.dim, 1, linear=True)

    def preprocess(self, crops: Tensor) -> Tensor:
        """Aligned RGB pictures uint8 (B, 112, 112, 3) -> float32 (B, 3, 112, 96): the middle 96 columns."""
        return scaled(crops, 128)[..., 8:104]

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        x = self.dw_conv1(self.conv1(x))  # (B, C, 56, 56)
        stages = [x]
        for unit in self.blocks:
            x = unit(x)  # (B, C, H, W)
            if x.shape[2] == stages[-1].shape[2]:
                stages[-1] = x
            else:
                stages.append(x)
        embedding = run_full(self.linear1, run_full(self.linear7, self.conv2(x))).flatten(1)  # (B, D)
        return Output(embedding, maps=stages if maps else [])
