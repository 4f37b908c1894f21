"""What the methods on class scores have in common: softened divergence, and standardisation (LSKD) before it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from speakerkd.distill.objective import ObjectiveSettings


class LogitSettings(ObjectiveSettings):
    """For a method on logits; `standardise: true` also changes the defaults named in `STANDARDISED`."""

    STANDARDISED: ClassVar[dict[str, Any]] = {}

    standardise: bool = Field(False, description="LSKD: each row of logits to mean 0 and deviation 1 first")
    deviation: Literal["unbiased", "biased"] = Field(
        "unbiased", description="LSKD's deviation over K - 1, as in its code, or over K, as in its paper"
    )

    @model_validator(mode="before")
    @classmethod
    def _standardised_defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("standardise"):
            return {**cls.STANDARDISED, **values}
        return values

    def prepare(self, logits: Tensor) -> Tensor:
        """Logits (B, K) as the method softens them."""
        return standardise(logits, self.deviation) if self.standardise else logits


class SoftenedSettings(LogitSettings):
    """For a method that divides logits by a temperature."""

    temperature: float = Field(4.0, gt=0, description="T; reference 4, 2 when standardised")


def standardise(logits: Tensor, deviation: Literal["unbiased", "biased"] = "unbiased", eps: float = 1e-7) -> Tensor:
    """(z - mean) / (std + eps) of each row (Sun et al. 2024); a constant row gives 0 with gradient 0."""
    centred = logits - logits.mean(1, keepdim=True)
    count = max(logits.shape[1] - (deviation == "unbiased"), 1)
    variance = centred.pow(2).sum(1, keepdim=True) / count
    varied = variance > torch.finfo(logits.dtype).tiny
    spread = torch.where(varied, torch.where(varied, variance, 1.0).sqrt() + eps, 1.0)
    return torch.where(varied, centred / spread, 0.0)


def softened_kl(student: Tensor, teacher: Tensor, temperature: float | Tensor) -> Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)) of each row, (B, K), (B, K) -> (B,)."""
    of_student = (student / temperature).log_softmax(1)
    of_teacher = (teacher / temperature).log_softmax(1)
    return (of_teacher.exp() * (of_teacher - of_student)).sum(1)
