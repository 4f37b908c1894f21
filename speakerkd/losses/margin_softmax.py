"""Softmax over scaled cosines with a margin on the target: additive angular (ArcFace) or additive cosine (CosFace)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from speakerkd.losses.base import LossSettings, TaskLoss
from speakerkd.losses.prototypical import Prototypical, PrototypicalSettings
from speakerkd.maths import unit


class MarginSoftmaxSettings(LossSettings):
    """`aam` (cos(theta + m)) or `am` (cos theta - m), times s."""

    name: Literal["aam", "am", "aam_prototypical"] = "aam"
    margin: float = Field(0.2, ge=0, lt=math.pi / 2, description="margin m, in radians for aam")
    scale: float = Field(30.0, gt=0, description="scale s")
    sub_centres: int = Field(1, ge=1, le=10, description="centres a class; the nearest one counts")
    easy: bool = Field(False, description="aam: the margin only for targets within 90 degrees")
    beyond: Literal["sine", "cosine"] = Field(
        "sine", description="aam, theta > pi - m: cos theta less m sin(pi - m), or less 1 + cos(pi - m)"
    )
    margin_from: float = Field(0.0, ge=0, description="epoch at which the margin starts to grow from 0")
    margin_full: float = Field(0.0, ge=0, description="epoch from which it is whole; 0: always")

    @model_validator(mode="after")
    def _ordered(self) -> MarginSoftmaxSettings:
        if self.margin_full < self.margin_from:
            raise PydanticCustomError("schedule", "margin_full comes before margin_from")
        return self


class AamPrototypicalSettings(MarginSoftmaxSettings):
    """`aam` plus an angular prototypical term, which teaches from the first step, before classes have directions."""

    name: Literal["aam_prototypical"] = "aam_prototypical"
    utterances: int = Field(2, ge=2, description="utterances M of a speaker, adjacent in the batch")
    prototypical_weight: float = Field(1.0, ge=0, description="factor of the prototypical term")


class CosineClassifier(nn.Linear):
    """Class scores s cos(x, W_k), (B, D) -> (B, K); with sub-centres the greatest of a class's cosines."""

    def __init__(self, dim: int, classes: int, scale: float = 30.0, sub_centres: int = 1) -> None:
        super().__init__(dim, classes * sub_centres, bias=False)
        self.scale, self.sub_centres = scale, sub_centres
        nn.init.xavier_normal_(self.weight)

    def cosines(self, x: Tensor) -> Tensor:
        scores = F.linear(unit(x), unit(self.weight))
        return scores if self.sub_centres == 1 else scores.unflatten(1, (-1, self.sub_centres)).amax(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.cosines(x)


def angular_margin(
    cosine: Tensor, margin: float, easy: bool = False, beyond: Literal["sine", "cosine"] = "sine"
) -> Tensor:
    """cos(theta + m) of cos theta (any shape); beyond theta = pi - m, where it would rise again, a line that falls.

    The gradient stays finite at cosine 1 and -1.
    """
    square = 1 - cosine.pow(2)
    sine = square.clamp(min=1e-9).sqrt()
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    if easy:
        return torch.where(cosine > 0, moved, cosine)
    fall = margin * math.sin(math.pi - margin) if beyond == "sine" else 1 + math.cos(math.pi - margin)
    return torch.where(cosine > math.cos(math.pi - margin), moved, cosine - fall)


class MarginSoftmax(TaskLoss):
    """Cross-entropy of s cos theta, the target's with a margin; the margin may grow from 0 over a span of epochs."""

    Settings = MarginSoftmaxSettings
    settings: MarginSoftmaxSettings
    classifier: CosineClassifier

    def __init__(self, settings: MarginSoftmaxSettings, dim: int, classes: int) -> None:
        super().__init__(settings, dim, classes)
        self.classifier = CosineClassifier(dim, classes, settings.scale, settings.sub_centres)
        self.margin = settings.margin if not settings.margin_full else 0.0

    def start_step(self, epoch: float) -> None:
        first, last = self.settings.margin_from, self.settings.margin_full
        share = 1.0 if epoch >= last else 0.0 if epoch <= first else (epoch - first) / (last - first)
        self.margin = share * self.settings.margin

    def with_margin(self, cosines: Tensor, label: Tensor) -> Tensor:
        """Scaled scores (B, K) of cosines (B, K), the target's moved by the margin."""
        target = cosines.gather(1, label[:, None])
        if self.settings.name == "am":
            moved = target - self.margin
        else:
            moved = angular_margin(target, self.margin, self.settings.easy, self.settings.beyond)
        return self.settings.scale * cosines.scatter(1, label[:, None], moved)

    def terms(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        cosines = self.classifier.cosines(embedding)
        loss = F.cross_entropy(self.with_margin(cosines, label), label)
        return {self.settings.name: loss}, self.settings.scale * cosines


class AamPrototypical(MarginSoftmax):
    """Additive angular margin over all utterances, plus the prototypical loss."""

    Settings = AamPrototypicalSettings
    settings: AamPrototypicalSettings

    def __init__(self, settings: AamPrototypicalSettings, dim: int, classes: int) -> None:
        super().__init__(settings, dim, classes)
        self.prototypical = Prototypical(PrototypicalSettings(utterances=settings.utterances), dim, classes)

    def terms(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        margin, logits = super().terms(embedding, label)
        beside, _ = self.prototypical.terms(embedding, label)
        return {
            "aam": margin[self.settings.name],
            "prototypical": self.settings.prototypical_weight * beside["prototypical"],
        }, logits
