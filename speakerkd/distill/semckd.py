"""Semantic calibration (Chen et al. 2021): every student map learns from the teacher maps that go with it."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.hooks import LayersSettings, Shape, many_maps, paired_maps, pooled
from speakerkd.distill.objective import Objective, Pair
from speakerkd.errors import InputError
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples


class SemCKDSettings(LayersSettings):
    """`semckd`; reference: weight 400 beside the whole task loss (and 1 of kd), all blocks. It needs batches of one
    size, since the attention reads B x B similarities."""

    name: Literal["semckd"] = "semckd"
    weight: float = Field(400.0, ge=0, description="reference 400")
    soft: float = Field(1.0, gt=0, description="divides the attention's scores, as SimKD's copy of the method does")


class UnitMLP(nn.Module):
    """Rows of a similarity matrix (B, B) to unit vectors (B, B // 4)."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(batch, 2 * (batch // 4))
        self.linear2 = nn.Linear(2 * (batch // 4), batch // 4)

    def forward(self, similarity: Tensor) -> Tensor:
        return unit(self.linear2(self.linear1(similarity).relu()))


def map_regressor(student: Shape, teacher: Shape) -> nn.Sequential:
    """1x1 to twice the teacher's channels, 3x3, 1x1 to the teacher's; BatchNorm and ReLU between."""
    wide = 2 * teacher[0]
    return nn.Sequential(
        nn.Conv2d(student[0], wide, 1, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, teacher[0], 1, bias=False),
    )


class SemCKD(Objective[SemCKDSettings]):
    """(1 / (B L_s)) sum_bij att_bij mean((R_ij(F_s^i) - F_t^j)^2)_b, att the softmax over j of query_i . key_j."""

    Settings = SemCKDSettings
    needs = frozenset({"maps", "layout"})
    least = 4

    def __init__(self, settings: SemCKDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        if pair.batch < self.least:
            raise InputError(f"semckd cannot attend over a batch of {pair.batch}", settings.name, "use 4 or more")
        student, teacher = many_maps(settings, pair, paired=False)
        self.batch = pair.batch
        self.queries = nn.ModuleList(UnitMLP(pair.batch) for _ in student)
        self.keys = nn.ModuleList(UnitMLP(pair.batch) for _ in teacher)
        self.regressors = nn.ModuleList(nn.ModuleList(map_regressor(s, t) for t in teacher) for s in student)

    def attention(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """How much sample b's student map i looks at teacher map j: (B, L_s, L_t), summing to 1 over j."""

        def attend(mlps: nn.ModuleList, maps: list[Tensor]) -> Tensor:
            flat = [f.flatten(1) for f in maps]
            return torch.stack([mlp(f @ f.T) for mlp, f in zip(mlps, flat, strict=True)], 1)

        scores = attend(self.queries, student) @ attend(self.keys, teacher).transpose(1, 2)
        return (scores / self.settings.soft).softmax(2)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        of_student, of_teacher = paired_maps(self.settings, student, teacher)
        if len(student.embedding) != self.batch:
            raise InputError(
                f"semckd was built for batches of {self.batch} and got {len(student.embedding)}",
                "distill",
                "leave out semckd, or drop incomplete and partly paired batches",
            )
        apart = []
        for row, f_s in zip(self.regressors, of_student, strict=True):
            assert isinstance(row, nn.ModuleList)
            for regressor, f_t in zip(row, of_teacher, strict=True):
                small_s, small_t = pooled(f_s, f_t)
                apart.append((regressor(small_s) - small_t).pow(2).flatten(1).mean(1))
        errors = torch.stack(apart, 1).unflatten(1, (len(of_student), -1))
        return {"semckd": (self.attention(of_student, of_teacher) * errors).sum((1, 2)).mean() / len(of_student)}
