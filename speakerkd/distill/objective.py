"""The interface of every teaching objective.

An objective is an `nn.Module` with a `Settings` class of its own in its own file. It sees two `Output`s and a `Batch`,
knows nothing of audio, faces or text, owns its trainable parts, and returns named, weighted, scalar terms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.tensors import Batch, Output


class ObjectiveSettings(Settings):
    """What every objective has; a method's file adds its own."""

    name: str
    weight: float = Field(1.0, ge=0, description="factor of the objective's terms")
    ramp_epochs: float = Field(0.0, ge=0, description="the weight grows linearly from 0 over this many epochs")


@dataclass(slots=True)
class Pair:
    """What a pair of networks can give, known before training starts.

    student_dim, teacher_dim: embedding sizes. classes: K. samples: training samples (for memories).
    batch: samples a step. student_maps, teacher_maps: (C, H, W) of each map, shallow to deep; empty where the
    teacher is cached as embeddings. same_layout: True where positions of the two inputs correspond (image-image).
    teacher_classes: classes of the teacher's logits, None without. epochs: training length.
    task_classifier: the task loss's linear layer (K, student_dim), for objectives that share it.
    """

    student_dim: int
    teacher_dim: int
    classes: int
    samples: int
    batch: int
    student_maps: list[tuple[int, int, int]] = field(default_factory=list)
    teacher_maps: list[tuple[int, int, int]] = field(default_factory=list)
    same_layout: bool = False
    teacher_classes: int | None = None
    epochs: int = 1
    task_classifier: nn.Linear | None = None
    strong_view: bool = False


class Objective(nn.Module):
    """Base of the teaching objectives.

    needs: which of {"embedding", "logits", "maps", "layout", "strong"} both networks must give.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"embedding"})

    def __init__(self, settings: ObjectiveSettings, pair: Pair) -> None:
        super().__init__()
        self.settings = settings
        self.epoch = 0.0

    def start_step(self, epoch: float) -> None:
        """Called before every step with the fractional epoch (from 0), for warm-ups and curricula."""
        self.epoch = epoch

    def teacher_view(self, embedding: Tensor) -> Tensor:
        """Teacher embeddings (B, D_T) as they are compared with the student's (B, D_S); the identity without a head."""
        return embedding

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError
