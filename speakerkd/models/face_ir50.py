"""IR-50, the improved residual network of 50 layers for faces, with face.evoLVe's state-dict keys."""

from __future__ import annotations

from torch import Tensor, nn

from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.precision import run_full
from speakerkd.tensors import Output

STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))  # channels, units; the first unit of each halves the map


class IRUnit(nn.Module):
    """BN, 3x3, PReLU, 3x3, BN plus shortcut (Deng et al. 2019, ArcFace, "IR")."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if inputs == channels:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, channels, 3, 1, 1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class IR50(FaceNetwork):
    """Pictures (B, 3, 112, 112) in [-1, 1] to embeddings (B, 512); the maps are the four stages' outputs."""

    dim = 512

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        units, inputs = [], 64
        for channels, count in STAGES:
            units += [IRUnit(inputs if i == 0 else channels, channels, 2 if i == 0 else 1) for i in range(count)]
            inputs = channels
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512), nn.Dropout(0.5), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512)
        )

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        x = self.input_layer(x)  # (B, 64, 112, 112)
        ends, last = [], -1
        for _, count in STAGES:
            last += count
            ends.append(last)
        stages = []
        for position, unit in enumerate(self.body):
            x = unit(x)  # (B, C, H, W), the sides halved at the head of a stage
            if maps and position in ends:
                stages.append(x)
        return Output(run_full(self.output_layer, x), maps=stages)
