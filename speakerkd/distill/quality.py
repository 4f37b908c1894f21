"""Sample weights from quality (first paper, Eq. 11): w_i = w_base + h (Q_i - mu) / sigma; Q is a feature norm there."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.errors import InputError
from speakerkd.maths import norm

FACE = ("score", "size", "sharpness")  # columns of what `speakerkd faces` measured


class QualitySettings(Settings):
    """How samples are weighed; the defaults are the paper's, with AdaFace's clipping and moving statistics."""

    source: Literal["teacher", "student", "mean", "score", "size", "sharpness"] = Field(
        "teacher",
        description="whose norm: the teacher's before the head, the student's, or the mean of both scores; or what "
        "`speakerkd faces` kept of the picture: the detector's score, the face's size in pixels, its sharpness",
    )
    h: float = Field(1 / 3, ge=0, description="weight change for one standard deviation of the norm")
    base: float = Field(1.0, ge=0, description="weight of a sample of mean quality")
    momentum: float = Field(0.99, ge=0, lt=1, description="of the moving mean and deviation; 0: of the batch alone")
    clip: float | None = Field(1.0, gt=0, description="bound on |h (Q - mu) / sigma|; null: none")
    initial: tuple[float, float] | None = Field(
        None, description="mean and deviation to start from (AdaFace: [20, 100]); null: the first batch's"
    )
    norm_range: tuple[float, float] | None = Field(
        None, description="norms are clipped to this range first (AdaFace: [0.001, 100]); null: not"
    )


class Quality(nn.Module):
    """Weights (B,) of samples, without gradient; its moving statistics are buffers, updated in training mode only.

    faces: (samples, 3), what was measured of every training sample's face, where the source is one of its columns; a
    sample without a face (NaN) has the base weight.
    """

    def __init__(self, settings: QualitySettings, faces: Tensor | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.measured: Tensor | None
        wanted = settings.source in FACE
        if wanted and faces is None:
            fix = "run `speakerkd faces`, which measures them, or take the source teacher"
            raise InputError(f"no quality of the faces ({settings.source})", "quality.source", fix)
        column = faces[:, FACE.index(settings.source)].clone() if wanted and faces is not None else None
        self.register_buffer("measured", column, persistent=False)
        self.last: Tensor | None = None  # weights (B,) of the last batch, for the log
        mean, deviation = settings.initial or (0.0, 0.0)
        # one entry a modality: student, teacher or its picture
        self.mean: Tensor
        self.deviation: Tensor
        self.started: Tensor
        self.register_buffer("mean", torch.full((2,), float(mean)))
        self.register_buffer("deviation", torch.full((2,), float(deviation)))
        self.register_buffer("started", torch.full((2,), settings.initial is not None))

    @torch.no_grad()
    def forward(self, student: Tensor, teacher: Tensor, index: Tensor | None = None) -> Tensor:
        """(B, D_S), (B, D_T) un-normalised embeddings -> (B,) weights; index: (B,) positions in the training set."""
        if self.measured is not None and index is not None:
            quality = self.measured[index].to(student.dtype)
            seen = ~quality.isnan()
            change = torch.zeros_like(quality)
            if seen.any():
                change[seen] = self.settings.h * self._score(1, quality[seen])
            return self._bounded(change)
        sources = {"student": [(0, student)], "teacher": [(1, teacher)], "mean": [(0, student), (1, teacher)]}
        scores = [self._score(which, norm(x)) for which, x in sources[self.settings.source]]
        return self._bounded(self.settings.h * torch.stack(scores).mean(0))

    def _bounded(self, change: Tensor) -> Tensor:
        if self.settings.clip is not None:
            change = change.clamp(-self.settings.clip, self.settings.clip)
        self.last = self.settings.base + change
        return self.last

    def _score(self, which: int, quality: Tensor) -> Tensor:
        """Standardised quality (B,) under the moving statistics, which this batch has entered."""
        if self.settings.norm_range is not None:
            quality = quality.clamp(*self.settings.norm_range)
        if self.training and len(quality) > 1:
            keep = torch.where(self.started[which], self.settings.momentum, 0.0)
            self.mean[which] = keep * self.mean[which] + (1 - keep) * quality.mean()
            self.deviation[which] = keep * self.deviation[which] + (1 - keep) * quality.std()
            self.started[which] = True
        deviation = self.deviation[which]
        known = deviation > 1e-6 * self.mean[which].abs()  # below this it is the rounding of equal norms
        return torch.where(known, (quality - self.mean[which]) / torch.where(known, deviation, 1.0), 0.0)


def weigh(quality: nn.Module, student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
    """Weights (B,) of the samples of a batch.

    Parameters
    ----------
    quality: the module that weighs.
    student, teacher: (B, D_S), (B, D_T) un-normalised embeddings.
    index: (B,) positions in the training set, which what was measured of faces is known by.
    """
    if getattr(quality, "measured", None) is not None:
        return quality(student, teacher, index)
    return quality(student, teacher)
