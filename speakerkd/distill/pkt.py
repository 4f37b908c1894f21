"""Probabilistic knowledge transfer (Passalis and Tefas 2018): the distribution of similarities around each sample."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from speakerkd.distill.objective import Objective, ObjectiveSettings
from speakerkd.maths import norm
from speakerkd.tensors import Output, Samples

EPS = 1e-7


class PKTSettings(ObjectiveSettings):
    """`pkt` (the first paper's PKD); reference: weight 30000, since the mean over B^2 entries is small."""

    name: Literal["pkt"] = "pkt"
    weight: float = Field(30000.0, ge=0, description="reference 30000; about 1 for form: paper")
    form: Literal["reference", "paper"] = Field(
        "reference", description="the author's code: own sample included, mean; paper: own sample left out, sum"
    )


def neighbourhood(x: Tensor, own: bool = True) -> Tensor:
    """Row i: cosines of sample i to all, mapped to [0, 1] and divided by their sum; (B, D) -> (B, B).

    own: whether a sample is its own neighbour.
    """
    length = norm(x, keepdim=True)
    x = x * torch.where(length > 0, 1 / (length + EPS), 0.0)
    near = (x @ x.T + 1) / 2
    if not own:
        near = near * (1 - torch.eye(len(x), dtype=x.dtype, device=x.device))
    return near / near.sum(1, keepdim=True).clamp(min=EPS)


class PKT(Objective[PKTSettings]):
    """mean_ij q_t log((q_t + eps) / (q_s + eps))."""

    Settings = PKTSettings
    least = 2

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        own = self.settings.form == "reference"
        q_s = neighbourhood(student.embedding, own)
        q_t = neighbourhood(self.teacher_view(teacher.embedding), own)
        divergence = q_t * ((q_t + EPS) / (q_s + EPS)).log()
        return {"pkt": divergence.mean() if own else divergence.sum()}
