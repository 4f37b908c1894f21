"""What every image classifier has in common: maps, penultimate embedding, logits."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from speakerkd.models.network import Network
from speakerkd.models.precision import at_least_float32, run_full
from speakerkd.tensors import Output


class ImageNetwork(Network):
    """Base of the image classifiers: normalised images (B, C, H, W) in, embedding (B, D), logits (B, K) out.

    A network gives `features` and `head`. The maps are the blocks' outputs, with `stem_map` preceded by the stem's.
    """

    stem_map = False

    @property
    def head(self) -> nn.Module:
        """The linear layer (K, D) from embedding to logits; the identity in a network without classes."""
        raise NotImplementedError

    def without_head(self) -> ImageNetwork:
        """Take the linear layer out; `forward` then gives no logits."""
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if child is self.head:
                    setattr(parent, name, nn.Identity())
                    return self
        return self

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Stem and block outputs, shallow to deep, and the embedding in at least float32."""
        raise NotImplementedError

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        outputs, embedding = self.features(x.to(next(self.parameters()).dtype))
        logits = run_full(self.head, embedding) if isinstance(self.head, nn.Linear) else None
        return Output(embedding, logits, (outputs if self.stem_map else outputs[1:]) if maps else [])


def stage_maps(x: Tensor, stages: Iterable[nn.Module]) -> list[Tensor]:
    """The stem's output (B, C, H, W) and that of each stage, every one fed by the one before."""
    outputs = [x]
    for stage in stages:
        outputs.append(stage(outputs[-1]))
    return outputs


def global_mean(x: Tensor) -> Tensor:
    """Spatial mean (B, C) of a map (B, C, H, W), in at least float32."""
    return at_least_float32(x).mean((2, 3))


def shrinking_stem(inputs: int, channels: int) -> nn.Conv2d:
    """ImageNet's first convolution, 7x7 with stride 2; a 3x3 max pooling with stride 2 follows its activation."""
    return nn.Conv2d(inputs, channels, 7, 2, 3, bias=False)


def shrinking_pool(stem: str) -> nn.Module:
    """What follows the stem's activation: max pooling for ImageNet's stem, nothing for CIFAR's."""
    return nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
