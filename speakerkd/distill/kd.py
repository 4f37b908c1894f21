"""Distillation of softened class scores (Hinton et al. 2015)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from speakerkd.distill.logits import SoftenedSettings, softened_kl
from speakerkd.distill.objective import Objective
from speakerkd.tensors import Output, Samples


class KDSettings(SoftenedSettings):
    """`kd`; reference: T 4, weight .9 beside .1 of the task loss; standardised: T 2, weight 9 beside .1.

    The third paper's KDv1 and KDv2, after MFH: `form: mfh, temperature: 1` with `weight: 1, task_weight: 0` and with
    `weight: .5, task_weight: .5`.
    """

    STANDARDISED: ClassVar[dict[str, Any]] = {"temperature": 2.0, "weight": 9.0}

    name: Literal["kd"] = "kd"
    weight: float = Field(0.9, ge=0, description="reference .9; 9 when standardised")
    task_weight: float = Field(0.1, ge=0, description="factor of the task loss beside it; reference .1")
    form: Literal["hinton", "mfh", "mfh_mean"] = Field(
        "hinton", description="T^2 mean_i KL_i; mfh: without T^2; mfh_mean: without T^2 and divided by K"
    )


class KD(Objective[KDSettings]):
    """T^2 mean_i KL(p^T(z_t,i) || p^T(z_s,i))."""

    Settings = KDSettings
    needs = frozenset({"logits"})

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        z_s, z_t = self.settings.prepare(student.scores), self.settings.prepare(teacher.scores)
        temperature = self.settings.temperature
        divergence = softened_kl(z_s, z_t, temperature).mean()
        scale = {"hinton": temperature**2, "mfh": 1.0, "mfh_mean": 1 / z_s.shape[1]}[self.settings.form]
        return {"kd": scale * divergence}
