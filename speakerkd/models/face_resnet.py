"""A plain residual face network that a small corpus and a processor can train."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.blocks import BasicBlock, kaiming, residual_stage
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.precision import run_full
from speakerkd.tensors import Output

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
LAST_SIDE = 7  # pixels of the last map: 112 / 16


class FaceResNet(FaceNetwork):
    """ResNet over pictures (B, 3, 112, 112) in [-1, 1] to embeddings (B, dim), channels 64 to 512 times `width`.

    The stem has stride 2, so the stages stand at 56, 28, 14 and 7 pixels. The output is IR-50's: BN, dropout 0.4, a
    linear layer over the whole last map, BN (Deng et al. 2019, option E); averaging the map first tells unseen people
    less well apart.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, depth: int, width: float = 1.0, dim: int = 512) -> None:
        super().__init__()
        channels = [max(4, round(c * width)) for c in (64, 128, 256, 512)]
        self.dim = dim
        self.conv1 = nn.Conv2d(3, channels[0], 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        inputs = channels[0]
        for number, (count, outputs) in enumerate(zip(DEPTHS[depth], channels, strict=True), 1):
            self.add_module(
                f"layer{number}", residual_stage(BasicBlock, inputs, outputs, count, 1 if number == 1 else 2)
            )
            inputs = outputs
        kaiming(self)
        self.output = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(inputs * LAST_SIDE**2, dim),
            nn.BatchNorm1d(dim),
        )

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        x = functional.relu(self.bn1(self.conv1(x.to(self.conv1.weight.dtype))))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)  # (B, C, H, W)
            stages.append(x)
        return Output(run_full(self.output, x), maps=stages if maps else [])
