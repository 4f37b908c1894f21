"""Correlation congruence (Peng et al. 2019), in its author's code and in its paper's form, which differ."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.maths import norm, total, unit
from speakerkd.tensors import Output, Samples


class CCSettings(ObjectiveSettings):
    """`cc`; reference: weight .02, linear embeddings of 128 on both sides, both trained."""

    name: Literal["cc"] = "cc"
    weight: float = Field(0.02, ge=0, description="reference .02")
    dim: int = Field(128, ge=1, description="size of the linear embeddings")
    kernel: Literal["reference", "gaussian", "bilinear"] = Field(
        "reference", description="the author's code; or the paper's correlation matrices under a kernel"
    )
    gamma: float = Field(0.4, gt=0, description="gaussian: width")
    order: int = Field(2, ge=0, description="gaussian: order P of the Taylor series")
    normalise: bool = Field(True, description="gaussian, bilinear: unit vectors, for which the series is derived")
    distance: Literal["square", "norm"] = Field(
        "square", description="gaussian, bilinear: ||K_s - K_t||_F^2 / B^2, or un-squared as in torchdistill"
    )


def neighbours(student: Tensor, teacher: Tensor) -> Tensor:
    """mean over i of |s - t|_i . |s - t|_{i+1}, samples in the batch's order; (B, d), (B, d) -> scalar, B from 2 up."""
    apart = (student - teacher).abs()
    return (apart[:-1] * apart[1:]).sum(1).mean()


def correlation(x: Tensor, kernel: Literal["gaussian", "bilinear"], gamma: float = 0.4, order: int = 2) -> Tensor:
    """Correlation matrix (B, B) of (B, d): X X^T, or exp(-2 gamma) sum_{p <= P} (2 gamma)^p / p! (x.y)^p."""
    gram = x @ x.T
    if kernel == "bilinear":
        return gram
    series = total((2 * gamma) ** p / math.factorial(p) * gram.pow(p) for p in range(order + 1))
    return math.exp(-2 * gamma) * series


class CC(Objective[CCSettings]):
    """The author's code: differences of neighbouring samples; the paper: distance of the correlation matrices."""

    Settings = CCSettings
    least = 2

    def __init__(self, settings: CCSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.of_student = nn.Linear(pair.student_dim, settings.dim)
        self.of_teacher = nn.Linear(pair.student_dim if settings.project else pair.teacher_dim, settings.dim)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        z_s = self.of_student(student.embedding)
        z_t = self.of_teacher(self.teacher_view(teacher.embedding))
        return {"cc": self.compare(z_s, z_t)}

    def compare(self, z_s: Tensor, z_t: Tensor) -> Tensor:
        """The loss of embeddings (B, d) of both sides."""
        settings = self.settings
        if settings.kernel == "reference":
            return neighbours(z_s, z_t)
        k_s, k_t = (
            correlation(unit(z) if settings.normalise else z, settings.kernel, settings.gamma, settings.order)
            for z in (z_s, z_t)
        )
        difference = (k_s - k_t).flatten()
        size = difference.pow(2).sum() if settings.distance == "square" else norm(difference)
        return size / len(difference)
