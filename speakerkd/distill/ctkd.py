"""Curriculum temperature (Li et al. 2023): a temperature learnt against the student, at a growing strength."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.logits import SoftenedSettings, softened_kl
from speakerkd.distill.objective import Objective, Pair
from speakerkd.distill.reversal import scale_gradient
from speakerkd.tensors import Output, Samples


class CTKDSettings(SoftenedSettings):
    """`ctkd`; reference: weight .9 beside .1 of the task loss (9 when standardised), T = 1 + 20 sigmoid(g), g = 1."""

    STANDARDISED: ClassVar[dict[str, Any]] = {"weight": 9.0}

    name: Literal["ctkd"] = "ctkd"
    weight: float = Field(0.9, ge=0, description="reference .9; 9 when standardised")
    task_weight: float = Field(0.1, ge=0, description="factor of the task loss beside it; reference .1")
    temperature: float = Field(1.0, gt=0, description="least temperature t_start")
    span: float = Field(20.0, ge=0, description="greatest temperature above it, t_end")
    first: float = Field(1.0, description="first value of the learnt g")
    curriculum: Literal["cosine", "linear", "none"] = Field(
        "cosine", description="how the reversed gradient of g grows; none: whole from the start"
    )
    loops: int = Field(10, ge=1, description="epochs over which it grows")


def strength(epoch: int, loops: int = 10, curriculum: Literal["cosine", "linear", "none"] = "cosine") -> float:
    """Factor of g's gradient in `epoch` (the first is 1): from 0 down to -1 at `loops`, where it stays.

    The linear one stays at its last value before -1, as the released code's.
    """
    if curriculum == "none":
        return -1.0
    if curriculum == "linear":
        return -min(max(epoch, 0), loops - 1) / loops
    return -(1 - math.cos(math.pi * min(max(epoch, 0), loops) / loops)) / 2


class CTKD(Objective[CTKDSettings]):
    """T^2 mean_i KL_i with T = t_start + t_end sigmoid(g); g, one number for all samples, climbs the loss.

    g belongs to the run's optimiser, as in the released code.
    """

    Settings = CTKDSettings
    needs = frozenset({"logits"})

    def __init__(self, settings: CTKDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.g = nn.Parameter(torch.tensor(settings.first))

    def temperature(self) -> Tensor:
        reversal = strength(int(self.epoch) + 1, self.settings.loops, self.settings.curriculum)
        return self.settings.temperature + self.settings.span * scale_gradient(self.g, reversal).sigmoid()

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        z_s, z_t = self.settings.prepare(student.scores), self.settings.prepare(teacher.scores)
        temperature = self.temperature()
        return {"ctkd": temperature**2 * softened_kl(z_s, z_t, temperature).mean()}
