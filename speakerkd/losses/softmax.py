"""Plain softmax cross-entropy over a linear layer."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.losses.base import LossSettings, TaskLoss


class SoftmaxSettings(LossSettings):
    """Cross-entropy of a linear classifier on un-normalised embeddings."""

    name: Literal["softmax"] = "softmax"
    bias: bool = Field(True, description="the classifier has a bias (a shared classifier sets it to 0)")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")


class Softmax(TaskLoss):
    """Cross-entropy of W x + b."""

    Settings = SoftmaxSettings
    settings: SoftmaxSettings
    classifier: nn.Linear

    def __init__(self, settings: SoftmaxSettings, dim: int, classes: int) -> None:
        super().__init__(settings, dim, classes)
        self.classifier = nn.Linear(dim, classes, bias=settings.bias)

    def terms(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        logits = self.classifier(embedding)
        return {"softmax": F.cross_entropy(logits, label, label_smoothing=self.settings.label_smoothing)}, logits
