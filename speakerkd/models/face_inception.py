"""InceptionResnetV1 (FaceNet) as facenet-pytorch has it."""

from __future__ import annotations

from facenet_pytorch import InceptionResnetV1
from torch import Tensor
from torch.nn import functional

from speakerkd.models.face_network import scaled
from speakerkd.models.precision import run_full
from speakerkd.tensors import Output


class Inception(InceptionResnetV1):
    """Pictures (B, 3, 160, 160) as (x - 127.5) / 128 to embeddings (B, 512), facenet-pytorch's before it normalises.

    The maps are the ends of the three Inception stages and of the last block.
    """

    dim = 512

    def __init__(self) -> None:
        super().__init__(pretrained=None, classify=False)

    def preprocess(self, crops: Tensor) -> Tensor:
        """Aligned RGB pictures uint8 (B, 112, 112, 3) -> float32 (B, 3, 160, 160)."""
        return functional.interpolate(scaled(crops, 128), size=160, mode="bilinear", align_corners=False)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        first = self.repeat_1(x)
        second = self.repeat_2(self.mixed_6a(first))
        third = self.repeat_3(self.mixed_7a(second))
        last = self.block8(third)
        x = self.dropout(self.avgpool_1a(last)).flatten(1)
        embedding = run_full(self.last_bn, run_full(self.last_linear, x))
        return Output(embedding, maps=[first, second, third, last] if maps else [])
