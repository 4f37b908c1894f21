"""MobileNetV2 for small images, RepDistiller's parameter names."""

from __future__ import annotations

from torch import Tensor, nn

from speakerkd.models.blocks import kaiming
from speakerkd.models.image_network import ImageNetwork, global_mean, shrinking_pool, shrinking_stem

# expansion, channels at width 1, blocks, stride
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
MAPS_AFTER = (1, 2, 4, 6)  # stages that end a resolution
LAST = 1280


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 (Sandler et al. 2018); a shortcut where nothing changes size."""

    def __init__(self, inputs: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and inputs == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(ImageNetwork):
    """MobileNetV2 at a share `width` of its channels; the first stage with stride 2 of ImageNet's has stride 1.

    The maps are linear bottlenecks: no ReLU.
    """

    def __init__(self, classes: int, inputs: int = 3, stem: str = "cifar", width: float = 0.5) -> None:
        super().__init__()
        channels = int(32 * width)
        first = (
            shrinking_stem(inputs, channels) if stem == "imagenet" else nn.Conv2d(inputs, channels, 3, 2, 1, bias=False)
        )
        self.conv1 = nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU())
        self.pool = shrinking_pool(stem)
        self.blocks = nn.ModuleList()
        for expansion, full, count, stride in STAGES:
            outputs = int(full * width)
            stage = [InvertedResidual(channels, outputs, stride, expansion)]
            stage += [InvertedResidual(outputs, outputs, 1, expansion) for _ in range(count - 1)]
            self.blocks.append(nn.Sequential(*stage))
            channels = outputs
        self.conv2 = nn.Sequential(nn.Conv2d(channels, LAST, 1, bias=False), nn.BatchNorm2d(LAST), nn.ReLU())
        self.dim = LAST
        linear = nn.Linear(LAST, classes)
        self.classifier = nn.Sequential(linear)
        kaiming(self)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)

    @property
    def head(self) -> nn.Module:
        return self.classifier[0]

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        x = self.pool(self.conv1(x))  # (B, C, H, W)
        outputs = [x]
        for position, stage in enumerate(self.blocks):
            x = stage(x)  # (B, C', H', W')
            if position in MAPS_AFTER:
                outputs.append(x)
        return outputs, global_mean(self.conv2(x))
