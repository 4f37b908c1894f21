"""Variational information distillation (Ahn et al. 2019): the teacher's features as a Gaussian given the student's."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.hooks import HOOK, LayersSettings, as_map, hook_needs, many_maps, paired_maps, pooled
from speakerkd.distill.objective import Objective, Pair
from speakerkd.maths import total
from speakerkd.tensors import Output, Samples

EPS = 1e-5


class VIDSettings(LayersSettings):
    """`vid`; reference: weight 1, all blocks, first variance 5. Embeddings are seen as maps of one position."""

    name: Literal["vid"] = "vid"
    weight: float = Field(1.0, ge=0, description="reference 1")
    hook: Literal["auto", "maps", "embedding"] = Field("auto", description=HOOK)
    variance: float = Field(5.0, gt=EPS, description="first value of the variances")


class GaussianRegressor(nn.Module):
    """Mean (three 1x1 convolutions) and a variance a channel of the teacher's map given the student's."""

    def __init__(self, student: int, teacher: int, variance: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(student, teacher, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(teacher, teacher, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(teacher, teacher, 1, bias=False),
        )
        self.log_scale = nn.Parameter(torch.full((teacher,), math.log(math.exp(variance - EPS) - 1)))

    def forward(self, f_s: Tensor, f_t: Tensor) -> Tensor:
        """Mean over samples, channels and positions of the negative log-density, but for a constant."""
        f_s, f_t = pooled(as_map(f_s), as_map(f_t))
        variance = (F.softplus(self.log_scale) + EPS)[:, None, None]
        return 0.5 * ((self.mean(f_s) - f_t).pow(2) / variance + variance.log()).mean()


class VID(Objective[VIDSettings]):
    """sum_l mean 0.5 ((mu(F_s^l) - F_t^l)^2 / sigma^2 + log sigma^2)."""

    Settings = VIDSettings

    def __init__(self, settings: VIDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        if "maps" in self.needs:
            student, teacher = many_maps(settings, pair)
        else:
            student = [(pair.student_dim, 1, 1)]
            teacher = [(pair.student_dim if settings.project else pair.teacher_dim, 1, 1)]
        self.layers = nn.ModuleList(
            GaussianRegressor(s[0], t[0], settings.variance) for s, t in zip(student, teacher, strict=True)
        )

    @classmethod
    def requirements(cls, settings: VIDSettings, pair: Pair) -> frozenset[str]:
        return hook_needs(settings.hook, pair, layout=True)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        pairs = [student.embedding], [self.teacher_view(teacher.embedding)]
        if "maps" in self.needs:
            pairs = paired_maps(self.settings, student, teacher)
        return {"vid": total(layer(f_s, f_t) for layer, f_s, f_t in zip(self.layers, *pairs, strict=True))}
