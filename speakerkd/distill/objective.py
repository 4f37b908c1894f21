"""The interface of every teaching objective.

An objective is an `nn.Module` with a `Settings` class of its own in its own file. It sees two `Output`s and which
`Samples` their rows are, knows nothing of audio, faces or text, owns its trainable parts, and returns named, weighted,
scalar terms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.maths import total
from speakerkd.tensors import Output, Samples


class ObjectiveSettings(Settings):
    """What every objective has; a method's file adds its own."""

    name: str
    weight: float = Field(1.0, ge=0, description="factor of the objective's terms")
    ramp_epochs: float = Field(0.0, ge=0, description="the weight grows linearly from 0 over this many epochs")
    task_weight: float = Field(1.0, ge=0, description="factor of the task loss beside it; the least of a list counts")
    project: bool = Field(False, description="compare with the projected teacher F_T of the shared head, not with E_T")
    teacher: str | None = Field(None, description="which of `teachers:` it learns from; null where there is one")


@dataclass(slots=True)
class Pair:
    """What a pair of networks can give, known before training starts.

    student_dim, teacher_dim: embedding sizes. classes: K. samples: training samples (for memories).
    batch: samples a step (of all ranks where the loop gathers). student_maps, teacher_maps: (C, H, W) of each map,
    shallow to deep; empty where the teacher is cached as embeddings. same_layout: True where positions of the two
    inputs correspond (image-image). teacher_classes: classes of the teacher's logits, None without.
    epochs: training length. task_classifier: the task's linear layer (K, student_dim), for objectives that share it.
    student_logits: False where the task has no classifier.
    labels: (samples,) int64, the class of every training sample, for memories. face_quality: (samples, 3) float32,
    detector's score, size and sharpness of the face of every training sample, NaN without one. disentangled: True where
    both networks give `Output.parts` and both are trained; networks: how many learn together then, and part_dim: the
    size of a part, 0 for half the student's embedding. head: the shared projection head, set by `build`.
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
    student_logits: bool = True
    labels: Tensor | None = None
    face_quality: Tensor | None = None
    disentangled: bool = False
    networks: int = 2
    part_dim: int = 0
    head: nn.Module | None = None


SettingsT = TypeVar("SettingsT", bound=ObjectiveSettings)


class Objective(nn.Module, Generic[SettingsT]):
    """Base of the teaching objectives; a method's file defines `terms`.

    needs: what the pair must give, of
      "embedding" both embeddings; "logits" both networks' class scores over the same classes; "student_logits" the
      student's; "maps" both networks' block outputs; "layout" positions that correspond; "strong" a second view;
      "equal_dims" teacher embeddings, as compared, of the student's size; "labels" the class of every training sample;
      "parts" two networks that take their embeddings apart and both learn.
    least: with fewer samples in a step the objective says nothing (its terms are 0).
    """

    Settings: ClassVar[type[ObjectiveSettings]] = ObjectiveSettings
    needs: frozenset[str] = frozenset({"embedding"})
    least: ClassVar[int] = 1

    def __init__(self, settings: SettingsT, pair: Pair) -> None:
        super().__init__()
        self.settings = settings
        self.needs = self.requirements(settings, pair)
        self.epoch = 0.0
        self._head = (pair.head if settings.project else None,)  # in a tuple: the list owns its parameters, not this

    @classmethod
    def requirements(cls, settings: SettingsT, pair: Pair) -> frozenset[str]:
        """`needs` under these settings for this pair."""
        return cls.needs

    def start_step(self, epoch: float) -> None:
        """Called before every step with the fractional epoch (from 0), for warm-ups and curricula."""
        self.epoch = epoch

    @property
    def factor(self) -> float:
        """What the terms are multiplied by in this step: the weight, on its ramp."""
        ramp = self.settings.ramp_epochs
        return self.settings.weight * (min(self.epoch / ramp, 1.0) if ramp else 1.0)

    @property
    def task_weight(self) -> float:
        """What the task loss is multiplied by in this step."""
        return self.settings.task_weight

    def teacher_view(self, embedding: Tensor) -> Tensor:
        """Teacher embeddings (B, D_T) as they are compared with the student's (B, D_S); the identity without a head."""
        return embedding if self._head[0] is None else self._head[0](embedding)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        """The method's named scalar terms, before `factor`."""
        raise NotImplementedError

    def forward(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        """Named, weighted scalar terms of B complete rows; the loop sums them."""
        if len(student.embedding) < self.least or self.factor == 0:
            return {self.settings.name: silent(student, self)}
        return {name: self.factor * value for name, value in self.terms(student, teacher, samples).items()}


def silent(student: Output, module: nn.Module) -> Tensor:
    """0, with gradients 0 for the student and every trainable part, so that no rank waits for an unused parameter."""
    held = [p.sum() for p in module.parameters() if p.requires_grad]
    return 0.0 * total([student.embedding.sum(), *held])
