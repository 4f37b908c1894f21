"""In-batch contrast of student and teacher embeddings (CLIP, Radford et al. 2021)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples

GREATEST = math.log(100)


class CLIPSettings(ObjectiveSettings):
    """`clip`; reference: weight 1, learnt scale from 1 / .07 up to 100, the own teacher sample the only positive."""

    name: Literal["clip"] = "clip"
    label_aware: bool = Field(False, description="all samples of the class are positives, in equal shares")
    logit_scale: float = Field(math.log(1 / 0.07), le=GREATEST, description="first value of the log scale g")


def in_batch_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy of softmax(scores) against target shares, (B, B), (B, B) -> scalar."""
    return -(target * scores.log_softmax(1)).sum(1).mean()


class CLIP(Objective[CLIPSettings]):
    """(CE(Z) + CE(Z^T)) / 2 with Z = exp(g) cos(student_i, teacher_j)."""

    Settings = CLIPSettings
    needs = frozenset({"embedding", "equal_dims"})

    def __init__(self, settings: CLIPSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.logit_scale = nn.Parameter(torch.tensor(settings.logit_scale))

    def scores(self, student: Tensor, teacher: Tensor) -> Tensor:
        """exp(g) cos of every student sample with every teacher sample, (B, D), (B, D) -> (B, B)."""
        lowered = (self.logit_scale.clamp(max=GREATEST) - self.logit_scale).detach()  # bounded, yet free to fall again
        return (self.logit_scale + lowered).exp() * unit(student) @ unit(teacher).T

    def both_ways(self, scores: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the rows and of the columns."""
        target = torch.eye(len(scores), dtype=scores.dtype, device=scores.device)
        if self.settings.label_aware:
            assert label is not None
            same = (label[:, None] == label).to(scores.dtype)
            target = same / same.sum(1, keepdim=True)
        return in_batch_entropy(scores, target), in_batch_entropy(scores.T, target)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        scores = self.scores(student.embedding, self.teacher_view(teacher.embedding))
        rows, columns = self.both_ways(scores, samples.label)
        return {"clip": (rows + columns) / 2}
