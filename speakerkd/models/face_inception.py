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
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))  # (B, 256, H, W)
        first = self.repeat_1(x)  # (B, 256, H, W)
        second = self.repeat_2(self.mixed_6a(first))  # (B, 896, H', W')
        third = self.repeat_3(self.mixed_7a(second))  # (B, 1792, H'', W'')
        last = self.block8(third)
        x = self.dropout(self.avgpool_1a(last)).flatten(1)  # (B, 1792)
        embedding = run_full(self.last_bn, run_full(self.last_linear, x))  # (B, 512)
        return Output(embedding, maps=[first, second, third, last] if maps else [])
