"""The trainable head on the frozen teacher (first paper, Eq. 2-4): F_T = alpha E_T + (1 - alpha) MLP(E_T)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.maths import unit


class ProjectionSettings(Settings):
    """The projection head's shape."""

    alpha: float = Field(0.6, ge=0, le=1, description="share of the unchanged teacher embedding")
    hidden: int | None = Field(None, ge=1, description="hidden units; null: the teacher's embedding size")
    batch_norm: bool = Field(False, description="BatchNorm after the hidden layer")
    pre_normalise: bool = Field(False, description="teacher embeddings at length 1 before mixing")
    skip: Literal["linear", "none"] = Field(
        "linear", description="where the sizes differ: mix with a linear map of E_T, or use the MLP alone"
    )


class ProjectionHead(nn.Module):
    """Maps teacher embeddings (B, D_T) to features (B, D_S) to compare with the student's.

    Gradients reach the MLP and, where the sizes differ, the linear map of the skip; never the teacher.
    """

    def __init__(self, teacher_dim: int, student_dim: int, settings: ProjectionSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or ProjectionSettings()
        hidden = self.settings.hidden or teacher_dim
        self.first = nn.Linear(teacher_dim, hidden)
        self.norm = nn.BatchNorm1d(hidden) if self.settings.batch_norm else nn.Identity()
        self.second = nn.Linear(hidden, student_dim)
        self.skip: nn.Module | None = nn.Identity()
        if teacher_dim != student_dim:
            self.skip = nn.Linear(teacher_dim, student_dim, bias=False) if self.settings.skip == "linear" else None

    def forward(self, embedding: Tensor) -> Tensor:
        embedding = embedding.detach()
        if self.settings.pre_normalise:
            embedding = unit(embedding)
        changed = self.second(self.norm(self.first(embedding)).relu())
        if self.skip is None:
            return changed
        return self.settings.alpha * self.skip(embedding) + (1 - self.settings.alpha) * changed
