"""SimKD (Chen et al. 2022): the student's features projected to the teacher's, whose classifier is then used."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.hooks import HookSettings, hook_needs, hooked, hooked_shapes, pooled, vector_projector
from speakerkd.distill.objective import Objective, Pair
from speakerkd.tensors import Output, Samples


class SimKDSettings(HookSettings):
    """`simkd`; reference: weight 1, no task loss at all, bottleneck factor 2. Predictions are the teacher's classifier
    on the projected features (`SimKD.predict`)."""

    name: Literal["simkd"] = "simkd"
    weight: float = Field(1.0, ge=0, description="reference 1")
    task_weight: float = Field(0.0, ge=0, description="factor of the task loss beside it; reference 0")
    factor: int = Field(2, ge=1, description="the bottleneck has a factor-th of the teacher's channels")


def projector(student: int, teacher: int, factor: int) -> nn.Sequential:
    """1x1, 3x3 and 1x1 convolutions, each with BatchNorm and ReLU, from the student's channels to the teacher's."""
    middle = max(teacher // factor, 1)
    return nn.Sequential(
        nn.Conv2d(student, middle, 1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, middle, 3, padding=1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, teacher, 1, bias=False),
        nn.BatchNorm2d(teacher),
        nn.ReLU(),
    )


class SimKD(Objective[SimKDSettings]):
    """mean((P(pool F_s) - pool F_t)^2)."""

    Settings = SimKDSettings
    least = 2

    def __init__(self, settings: SimKDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        maps = "maps" in self.needs
        student, teacher = hooked_shapes(settings, pair, maps)
        if maps:
            self.projector = projector(student[0], teacher[0], settings.factor)
        else:  # the last layer is bare, since a teacher's embeddings may be negative
            self.projector = vector_projector(student[0], max(teacher[0] // settings.factor, 1), teacher[0])

    @classmethod
    def requirements(cls, settings: SimKDSettings, pair: Pair) -> frozenset[str]:
        return hook_needs(settings.hook, pair, layout=True)

    def project(self, student: Output, teacher: Output) -> tuple[Tensor, Tensor]:
        """The student's projected features and the teacher's, of one size."""
        f_s, f_t = hooked(self, student, teacher)
        if f_s.ndim == 4:
            f_s, f_t = pooled(f_s, f_t)
        return self.projector(f_s), f_t

    def predict(self, projected: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Class scores (B, K) of projected features under the teacher's classifier, (K, C) and (K,)."""
        return F.linear(projected.mean((2, 3)) if projected.ndim == 4 else projected, weight, bias)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        projected, f_t = self.project(student, teacher)
        return {"simkd": (projected - f_t).pow(2).mean()}
