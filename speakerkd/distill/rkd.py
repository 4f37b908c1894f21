"""Relational distillation (Park et al. 2019): distances of pairs and angles of triples of samples."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from speakerkd.distill.objective import Objective, ObjectiveSettings
from speakerkd.tensors import Output, Samples


class RKDSettings(ObjectiveSettings):
    """`rkd`; reference: weight 1 with 25 for distances and 50 for angles."""

    name: Literal["rkd"] = "rkd"
    distance: float = Field(25.0, ge=0, description="factor of the distance part; 0: off")
    angle: float = Field(50.0, ge=0, description="factor of the angle part; 0: off")


def squared_distances(x: Tensor) -> Tensor:
    """||x_i - x_j||^2 of all pairs, (B, D) -> (B, B); exactly 0, without gradient, where two points coincide.

    From products in float64 about the mean, so that near points keep their digits at the cost of a matrix product.
    """
    wide = x.double()
    size = wide.detach().pow(2).sum(1)
    wide = wide - wide.mean(0)
    gram = wide @ wide.T
    square = gram.diagonal()[:, None] + gram.diagonal() - 2 * gram
    apart = square > 1e-13 * (size[:, None] + size)
    return torch.where(apart, square, 0.0).to(x.dtype)


def relative_distances(square: Tensor) -> Tensor:
    """Distances divided by their mean over the B(B - 1) pairs.

    Parameters
    ----------
    square: squared distances (B, B).

    Returns
    -------
    (B, B), 0 on the diagonal. Points that coincide are 1e-6 apart and give no gradient.
    """
    count = len(square)
    apart = square.clamp(min=1e-12).sqrt()
    apart = apart * (1 - torch.eye(count, dtype=apart.dtype, device=apart.device))
    return apart * (count * (count - 1) / apart.sum())


def angles(square: Tensor) -> Tensor:
    """Cosine of the angle at i between j and k, by the law of cosines.

    Parameters
    ----------
    square: squared distances (B, B).

    Returns
    -------
    (B, B, B) in [-1, 1]; 0 where j or k coincides with i.
    """
    apart = square > 0
    inverse = torch.where(apart, torch.where(apart, square, 1.0).rsqrt(), 0.0)
    doubled = square[:, :, None] + square[:, None] - square
    return doubled * (0.5 * inverse[:, :, None]) * inverse[:, None]


class RKD(Objective[RKDSettings]):
    """25 smooth-L1 of relative distances, mean over B^2, plus 50 smooth-L1 of cosines, mean over B^3."""

    Settings = RKDSettings
    least = 2

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        apart_s = squared_distances(student.embedding.flatten(1))
        apart_t = squared_distances(self.teacher_view(teacher.embedding).flatten(1))
        terms = {}
        for name, factor, relation in (
            ("rkd_distance", self.settings.distance, relative_distances),
            ("rkd_angle", self.settings.angle, angles),
        ):
            if factor:
                terms[name] = factor * F.smooth_l1_loss(relation(apart_s), relation(apart_t))
        return terms
