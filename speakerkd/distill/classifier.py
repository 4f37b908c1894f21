"""Classifier-level soft alignment (first paper, Eq. 8-10): one classifier over both networks' features."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.distill.quality import Quality, QualitySettings, weigh
from speakerkd.tensors import Output, Samples


class ClassifierSettings(ObjectiveSettings):
    """`classifier`; its defaults are the paper's for voices: the task's own classifier shared, beta 0, weight 1."""

    name: Literal["classifier"] = "classifier"
    project: bool = Field(True, description="classify F_T of the shared projection head, as the paper does")
    beta: float = Field(0.0, ge=0, description="factor of the squared distance of the logits (paper: voice 0, image 1)")
    logits_distance: Literal["mean", "sum"] = Field("mean", description="over classes: their mean or their sum")
    count_student_ce: Literal["literal", "once"] = Field(
        "literal",
        description="Eq. 1 with 10 counts the student's cross-entropy twice; once: the task loss alone has it",
    )
    share: Literal["task", "own"] = Field(
        "task", description="the task loss's classifier (its bias then stays 0), or one of the objective's own"
    )
    quality: QualitySettings | None = Field(None, description="weigh samples by feature norm (Eq. 11)")


class Classifier(Objective[ClassifierSettings]):
    """mean_i w_i [ (CE(W F_S,i) + CE(W F_T,i)) / 2 + beta d(W F_S,i, W F_T,i) ], W (K, D) without bias.

    The mean over 2B rows of Eq. 10 is the mean over i of half the sum of a pair's two cross-entropies.
    """

    Settings = ClassifierSettings
    needs = frozenset({"embedding", "equal_dims"})

    def __init__(self, settings: ClassifierSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.own: nn.Linear | None = None
        shared = pair.task_classifier if settings.share == "task" else None
        if shared is None:
            self.own = nn.Linear(pair.student_dim, pair.classes, bias=False)
        elif shared.bias is not None:
            shared.bias.requires_grad_(False).zero_()
        self._shared = (shared,)  # in a tuple: the task loss owns its parameters
        self.quality = Quality(settings.quality, pair.face_quality) if settings.quality else None

    def classify(self, features: Tensor) -> Tensor:
        """Logits (B, K) of either network's features (B, D) under the shared classifier."""
        shared = self._shared[0]
        if shared is not None:
            return shared(features)
        assert self.own is not None
        return self.own(features)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        of_student = self.classify(student.embedding)
        of_teacher = self.classify(self.teacher_view(teacher.embedding))
        weights = torch.ones_like(of_student[:, 0])
        if self.quality is not None:
            weights = weigh(self.quality, student.embedding, teacher.embedding, samples.index)
        entropy = F.cross_entropy(of_teacher, samples.label, reduction="none")
        if self.settings.count_student_ce == "literal":
            entropy = entropy + F.cross_entropy(of_student, samples.label, reduction="none")
        terms = {"classifier": (weights * 0.5 * entropy).mean()}
        if self.settings.beta:
            square = (of_student - of_teacher).pow(2)
            apart = square.mean(1) if self.settings.logits_distance == "mean" else square.sum(1)
            terms["classifier_logits"] = self.settings.beta * (weights * apart).mean()
        return terms
