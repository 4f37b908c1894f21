"""The interface of the task losses."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from speakerkd.config import Settings


class LossSettings(Settings):
    """What every task loss has; a loss's file adds its own."""

    name: str


class TaskLoss(nn.Module):
    """Base of the task losses; a loss's file defines `terms`. Computed in the embeddings' float32 or float64.

    classifier: the linear layer over embeddings whose output are the logits; None where the loss has none.
    """

    Settings: ClassVar[type[LossSettings]] = LossSettings

    def __init__(self, settings: LossSettings, dim: int, classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.classifier: nn.Linear | None = None

    def start_step(self, epoch: float) -> None:
        """Called before every step with the fractional epoch (from 0), for margin schedules."""

    def terms(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Named scalar terms, and logits (B, K) or None."""
        raise NotImplementedError

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """embedding (B, D), label (B,) in [0, K) -> named scalar terms that the loop sums, and logits (B, K) or None.

        The logits are plain class scores, without margins, as distillation on logits and accuracy want them.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            return self.terms(embedding, label)
