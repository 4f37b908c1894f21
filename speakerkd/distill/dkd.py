"""Decoupled distillation (Zhao et al. 2022): the target class and the others, each with its own weight."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from speakerkd.distill.logits import SoftenedSettings, softened_kl
from speakerkd.distill.objective import Objective
from speakerkd.tensors import Output, Samples


class DKDSettings(SoftenedSettings):
    """`dkd`; reference: alpha 1, beta 8 (2 to 8 by pair), T 4, 20 epochs of warm-up, beside the whole task loss."""

    STANDARDISED: ClassVar[dict[str, Any]] = {"temperature": 2.0, "weight": 9.0}

    name: Literal["dkd"] = "dkd"
    weight: float = Field(1.0, ge=0, description="reference 1; 9 when standardised")
    alpha: float = Field(1.0, ge=0, description="factor of the target-class part")
    beta: float = Field(8.0, ge=0, description="factor of the part over the other classes")
    warm_up: int = Field(20, ge=0, description="epochs over which the terms grow, epoch by epoch; 0: none")


def decoupled(student: Tensor, teacher: Tensor, label: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The two parts of decoupled distillation (Zhao et al. 2022), times T^2, means over rows.

    Parameters
    ----------
    student, teacher: logits (B, K), K at least 2.
    label: (B,) in [0, K).
    temperature: T, above 0.

    Returns
    -------
    KL of the target class against all others, and KL of the K - 1 others among themselves; scalars.
    """
    own = label[:, None]
    rest = torch.arange(student.shape[1] - 1, device=label.device)
    rest = rest + (rest >= own)  # the K - 1 other classes of each row

    def split(logits: Tensor) -> tuple[Tensor, Tensor]:
        soft = logits / temperature
        others = soft.gather(1, rest)
        # the softmax of these two is (p_y, 1 - p_y)
        binary = torch.cat([soft.gather(1, own), others.logsumexp(1, keepdim=True)], 1)
        return binary, others

    (binary_s, others_s), (binary_t, others_t) = split(student), split(teacher)
    square = temperature**2
    return (
        square * softened_kl(binary_s, binary_t, 1.0).mean(),
        square * softened_kl(others_s, others_t, 1.0).mean(),
    )


class DKD(Objective[DKDSettings]):
    """min(epoch / 20, 1) (alpha TCKD + beta NCKD), epochs counted from 1."""

    Settings = DKDSettings
    needs = frozenset({"logits"})

    @property
    def factor(self) -> float:
        warm_up = self.settings.warm_up
        return super().factor * (min((int(self.epoch) + 1) / warm_up, 1.0) if warm_up else 1.0)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        z_s, z_t = self.settings.prepare(student.scores), self.settings.prepare(teacher.scores)
        of_target, of_others = decoupled(z_s, z_t, samples.label, self.settings.temperature)
        return {"dkd_target": self.settings.alpha * of_target, "dkd_others": self.settings.beta * of_others}
