"""Feature-level soft alignment (first paper, Eq. 6): the distance of paired features counts only beyond a margin."""

from __future__ import annotations

import math
import re
from typing import Literal

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.distill.quality import Quality, QualitySettings, weigh
from speakerkd.maths import cosine, unit
from speakerkd.tensors import Output, Samples

Distance = Literal["cos", "l2n", "l2raw", "mse"]


class MarginSettings(ObjectiveSettings):
    """`margin`; its defaults are the paper's for voices: cosine distance, 30 degrees, weight 1."""

    name: Literal["margin"] = "margin"
    project: bool = Field(True, description="compare with F_T of the shared projection head, as the paper does")
    distance: Distance = Field(
        "cos", description="cos: 1 - cosine; l2n: squared L2 of unit features; l2raw: squared L2; mse: its mean"
    )
    margin: float | str | None = Field(
        None, description="cos30 (an angle in degrees, for cos), 0.3^2 or a number; null: cos30, and 0.3^2 for l2"
    )
    margin_reading: Literal["angle", "raw"] = Field(
        "angle", description="cos30 as m = 1 - cos 30 (no loss within 30 degrees) or literally as m = cos 30"
    )
    hinge: Literal["sample", "batch"] = Field("sample", description="margin taken off each distance, or off their mean")
    quality: QualitySettings | None = Field(None, description="weigh samples by feature norm (Eq. 11)")

    @model_validator(mode="after")
    def _read_margin(self) -> MarginSettings:
        try:
            self.bound()
        except ValueError as error:
            raise PydanticCustomError("margin", "{why}", {"why": str(error)}) from error
        return self

    def bound(self) -> float:
        """The margin m in units of the distance. Raises ValueError for one that does not fit the distance."""
        margin = self.margin if self.margin is not None else ("cos30" if self.distance == "cos" else "0.3^2")
        if isinstance(margin, str):
            margin = _parse(margin, self.distance, self.margin_reading)
        if margin < 0:
            raise ValueError(f"a margin is at least 0, not {margin}")
        return margin


def _parse(text: str, distance: Distance, reading: str) -> float:
    number = r"(\d+\.?\d*|\.\d+)"
    if angle := re.fullmatch(rf"cos\s*\(?{number}\)?", text.strip()):
        if distance != "cos":
            raise ValueError(
                f"'{text}' is an angle, for distance cos; give {distance} a number or a square such as 0.3^2"
            )
        value = math.cos(math.radians(float(angle[1])))
        return value if reading == "raw" else 1 - value
    if square := re.fullmatch(rf"{number}\s*(\^|\*\*)\s*2", text.strip()):
        return float(square[1]) ** 2
    if re.fullmatch(number, text.strip()):
        return float(text)
    raise ValueError(f"'{text}' is none of cos30, 0.3^2, 0.09")


def distances(student: Tensor, teacher: Tensor, kind: Distance) -> Tensor:
    """Distance of corresponding rows.

    Parameters
    ----------
    student, teacher: (B, D).
    kind: `cos` in [0, 2]; `l2n`, squared of unit vectors, in [0, 4]; `l2raw` and `mse` from 0 up.

    Returns
    -------
    (B,).

    >>> from torch import tensor
    >>> distances(tensor([[1.0, 0.0], [0.0, 3.0]]), tensor([[0.0, 2.0], [0.0, 1.0]]), "cos").tolist()
    [1.0, 0.0]
    """
    if kind == "cos":
        return 1 - cosine(student, teacher)
    if kind == "l2n":
        return (unit(student) - unit(teacher)).pow(2).sum(-1)
    square = (student - teacher).pow(2)
    return square.sum(-1) if kind == "l2raw" else square.mean(-1)


class Margin(Objective[MarginSettings]):
    """mean_i w_i max(d(F_S,i, F_T,i) - m, 0)."""

    Settings = MarginSettings
    needs = frozenset({"embedding", "equal_dims"})

    def __init__(self, settings: MarginSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.margin = settings.bound()
        self.quality = Quality(settings.quality, pair.face_quality) if settings.quality else None

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        apart = distances(student.embedding, self.teacher_view(teacher.embedding), self.settings.distance)
        weights = torch.ones_like(apart)
        if self.quality is not None:
            weights = weigh(self.quality, student.embedding, teacher.embedding, samples.index)
        return {"margin": hinge(apart, weights, self.margin, self.settings.hinge)}


def hinge(apart: Tensor, weights: Tensor, margin: float, where: Literal["sample", "batch"] = "sample") -> Tensor:
    """What of the distances lies beyond the margin.

    Parameters
    ----------
    apart: distances (B,).
    weights: (B,).
    margin: m, in the distances' unit.
    where: `sample`: weighted mean of max(d_i - m, 0); `batch`: max(weighted mean of d_i - m, 0).

    Returns
    -------
    A scalar.

    >>> from torch import ones, tensor
    >>> [hinge(tensor([0.75, 0.25]), ones(2), 0.375, where).item() for where in ("sample", "batch")]
    [0.1875, 0.125]
    """
    if where == "batch":
        return ((weights * apart).mean() - margin).relu()
    return (weights * (apart - margin).relu()).mean()
