"""VGG with BatchNorm and one linear layer, RepDistiller's parameter names."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from speakerkd.models.blocks import kaiming
from speakerkd.models.image_network import ImageNetwork, global_mean, shrinking_pool, shrinking_stem

WIDTHS = (64, 128, 256, 512, 512)


class Vgg(ImageNetwork):
    """Five blocks of `depth` 3x3 convolutions each with max pooling between them (Simonyan and Zisserman 2015).

    depth 1 is vgg8, depth 2 is vgg13. The last pooling is left out where the map is 4 pixels wide or less, which is
    RepDistiller's network at 32 and 64 pixels.
    """

    block0: nn.Sequential
    block1: nn.Sequential
    block2: nn.Sequential
    block3: nn.Sequential
    block4: nn.Sequential

    def __init__(self, depth: int, classes: int, inputs: int = 3, stem: str = "cifar") -> None:
        super().__init__()
        for number, width in enumerate(WIDTHS):
            self.add_module(f"block{number}", self._block(inputs, width, depth, stem if number == 0 else "cifar"))
            inputs = width
        self.dim = WIDTHS[-1]
        self.classifier = nn.Linear(self.dim, classes)
        kaiming(self)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    @staticmethod
    def _block(inputs: int, width: int, depth: int, stem: str) -> nn.Sequential:
        layers: list[nn.Module] = []
        for position in range(depth):
            first = position == 0 and stem == "imagenet"
            layers += [
                shrinking_stem(inputs, width) if first else nn.Conv2d(inputs, width, 3, 1, 1),
                nn.BatchNorm2d(width),
            ]
            if first:
                layers.append(shrinking_pool(stem))
            layers.append(nn.ReLU())
            inputs = width
        return nn.Sequential(*layers[:-1])  # the last ReLU stands in `features`, where the map is taken

    @property
    def head(self) -> nn.Module:
        return self.classifier

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = [functional.relu(self.block0(x))]  # (B, C, H, W)
        for number, block in enumerate((self.block1, self.block2, self.block3, self.block4), 1):
            x = outputs[-1]
            if number < 4 or min(x.shape[2:]) > 4:
                x = functional.max_pool2d(x, 2)  # (B, C, H/2, W/2)
            outputs.append(functional.relu(block(x)))
        return outputs, global_mean(outputs[-1])
