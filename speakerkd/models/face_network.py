"""What every face network has in common: how an aligned picture becomes its input, and embeddings of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from speakerkd.models.network import Network
from speakerkd.models.precision import at_least_float32
from speakerkd.tensors import Output

SIDE = 112  # pixels of an aligned picture


class FaceNetwork(Network):
    """Base of the face networks: `preprocess` aligned pictures, `forward` to an un-normalised embedding (B, D).

    The length of an embedding tells the quality of the picture, so it is kept.
    """

    def preprocess(self, crops: Tensor) -> Tensor:
        """Aligned RGB pictures uint8 (B, 112, 112, 3) -> the network's input float32 (B, 3, H, W)."""
        return scaled(crops, 127.5)


class SeesFaces(Protocol):
    """What turns aligned pictures into embeddings: a face network, or a branch of two (`models.disentangled`)."""

    def preprocess(self, crops: Tensor) -> Tensor: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def buffers(self) -> Iterator[Tensor]: ...

    def __call__(self, x: Tensor) -> Output: ...


def scaled(crops: Tensor, divisor: float) -> Tensor:
    """(x - 127.5) / divisor, channels first: uint8 (B, H, W, 3) -> float32 (B, 3, H, W)."""
    if crops.ndim != 4 or crops.shape[1:] != (SIDE, SIDE, 3) or crops.dtype != torch.uint8:
        raise ValueError(f"aligned pictures are uint8 (B, {SIDE}, {SIDE}, 3), not {crops.dtype} {tuple(crops.shape)}")
    return (crops.permute(0, 3, 1, 2).float() - 127.5) / divisor


@torch.inference_mode()
def embed_pictures(network: SeesFaces, crops: Tensor, mirror: bool = False) -> Tensor:
    """Embeddings float32 (B, D), not normalised, of aligned pictures uint8 (B, 112, 112, 3); the network in eval mode.

    `mirror`: the mean over each picture and its mirror image, which has the direction of face.evoLVe's sum.
    """
    crops = crops.to(next(itertools.chain(network.parameters(), network.buffers())).device)
    embedding = at_least_float32(network(network.preprocess(crops)).embedding)
    if mirror:
        other = at_least_float32(network(network.preprocess(crops.flip(2))).embedding)
        embedding = (embedding + other) / 2
    return embedding
