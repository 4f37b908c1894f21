"""Fusion and orthogonal projection (Saeed et al. 2022, arXiv 2112.10483), the baseline of the FAME challenge."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples


class FOPSettings(ObjectiveSettings):
    """`fop`; reference: alpha 1, .7 on pairs of two people, 128 hidden units, both sides at length 1, then tanh."""

    name: Literal["fop"] = "fop"
    project: bool = Field(True, description="the teacher through the shared head, which is its branch")
    alpha: float = Field(1.0, ge=0, description="factor of the orthogonal projection")
    apart: float = Field(0.7, ge=0, description="share of the pairs of two people in it")
    hidden: int = Field(128, ge=1, le=4096, description="hidden units of the gate")


class GatedFusion(nn.Module):
    """tanh(face) g + tanh(voice) (1 - g), the gate g in (0, 1) seen from both: (B, D), (B, D) -> (B, D)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(2 * dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, dim), nn.Sigmoid()
        )

    def forward(self, face: Tensor, voice: Tensor) -> Tensor:
        gate = self.gate(torch.cat([face, voice], 1))
        return face.tanh() * gate + voice.tanh() * (1 - gate)


def orthogonal_projection(features: Tensor, label: Tensor, apart: float = 0.7) -> Tensor:
    """1 - mean cosine of pairs of one class + `apart` times the mean absolute cosine of pairs of two.

    Ranasinghe et al. 2021.

    Parameters
    ----------
    features: (B, D).
    label: (B,).
    apart: factor of the second mean.

    Returns
    -------
    A scalar; a mean over no pair is 0.
    """
    cosines = unit(features) @ unit(features).T
    same = label[:, None] == label
    other = ~same
    same = same & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    together = (cosines * same).sum() / (same.sum() + 1e-6)
    between = (cosines.abs() * other).sum() / (other.sum() + 1e-6)
    return 1 - together + apart * between


class FOP(Objective[FOPSettings]):
    """Cross-entropy of a classifier over fused embeddings, and their orthogonal projection."""

    Settings = FOPSettings
    needs = frozenset({"embedding", "equal_dims"})
    least = 2

    def __init__(self, settings: FOPSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.fusion = GatedFusion(pair.student_dim, settings.hidden)
        self.classifier = nn.Linear(pair.student_dim, pair.classes)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        fused = self.fusion(unit(self.teacher_view(teacher.embedding)), unit(student.embedding))
        projection = orthogonal_projection(fused, samples.label, self.settings.apart)
        return {
            "fop_classes": functional.cross_entropy(self.classifier(fused), samples.label),
            "fop_projection": self.settings.alpha * projection,
        }
