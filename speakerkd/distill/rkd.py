"""Relational distillation (Park et al. 2019): distances of pairs and angles of triples of samples."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from speakerkd.distill.objective import Objective, ObjectiveSettings
from speakerkd.maths import unit
from speakerkd.tensors import Batch, Output


class RKDSettings(ObjectiveSettings):
    """`rkd`; reference: weight 1 with 25 for distances and 50 for angles."""

    name: Literal["rkd"] = "rkd"
    distance: float = Field(25.0, ge=0, description="factor of the distance part; 0: off")
    angle: float = Field(50.0, ge=0, description="factor of the angle part; 0: off")


def differences(x: Tensor) -> Tensor:
    """x_j - x_i of all pairs: (B, D) -> (B, B, D)."""
    return x[None] - x[:, None]


def relative_distances(between: Tensor) -> Tensor:
    """Distances (B, B) of differences (B, B, D), divided by their mean over the B(B - 1) pairs.

    Points that coincide are 1e-6 apart and give no gradient.
    """
    count = len(between)
    apart = between.pow(2).sum(2).clamp(min=1e-12).sqrt()
    apart = apart * (1 - torch.eye(count, dtype=apart.dtype, device=apart.device))
    return apart * (count * (count - 1) / apart.sum())


def angles(between: Tensor) -> Tensor:
    """cos of the angle at i between j and k, (B, B, D) -> (B, B, B)."""
    direction = unit(between)
    return direction @ direction.transpose(1, 2)


class RKD(Objective):
    """25 smooth-L1 of relative distances, mean over B^2, plus 50 smooth-L1 of cosines, mean over B^3."""

    Settings = RKDSettings
    least = 2

    def terms(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        between_s = differences(student.embedding.flatten(1))
        between_t = differences(self.teacher_view(teacher.embedding).flatten(1))
        found = {}
        for name, factor, relation in (
            ("rkd_distance", self.settings.distance, relative_distances),
            ("rkd_angle", self.settings.angle, angles),
        ):
            if factor:
                found[name] = factor * F.smooth_l1_loss(relation(between_s), relation(between_t))
        return found
