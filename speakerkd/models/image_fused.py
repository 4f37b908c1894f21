"""Several sensors in one classifier: an encoder each, whose features are added before the last layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from speakerkd.maths import total
from speakerkd.models.image_network import ImageNetwork


class FusedNetwork(ImageNetwork):
    """The third paper's multi-modal teacher (section 4): stacked pictures (B, sum of C, H, W), one linear layer.

    encoders: networks without a classifier, of one embedding size D. channels: how many of each sensor, in their order.
    Maps are the encoders' maps, added.
    """

    def __init__(self, encoders: Sequence[ImageNetwork], channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.channels = list(channels)
        self.dim = encoders[0].dim
        self.fc = nn.Linear(self.dim, classes)

    @property
    def head(self) -> nn.Module:
        return self.fc

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        maps, embeddings = [], []
        for encoder, part in zip(self.encoders, x.split(self.channels, 1), strict=True):
            assert isinstance(encoder, ImageNetwork)
            outputs, embedding = encoder.features(part)  # maps (B, C, H, W), (B, D)
            maps.append(outputs)
            embeddings.append(embedding)
        return [total(same) for same in zip(*maps, strict=True)], total(embeddings)
