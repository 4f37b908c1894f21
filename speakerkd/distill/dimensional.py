"""Dimensional structure (second paper): decorrelated output dimensions (SEM), spread intermediate features (DCM)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.hooks import HookSettings, hook_needs, hooked, hooked_shapes, vector_projector
from speakerkd.distill.objective import Objective, Pair
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples


class DimensionalSettings(HookSettings):
    """`dimensional`; the paper gives no numbers: gamma .01 on both modules and lambda .0051 are our choice."""

    name: Literal["dimensional"] = "dimensional"
    gamma_sem: float = Field(0.01, ge=0, description="factor of SEM; tune over .001, .01, .1")
    gamma_dcm: float = Field(0.01, ge=0, description="factor of DCM; the paper has one gamma for both")
    off_diagonal: float = Field(0.0051, ge=0, description="lambda, factor of the off-diagonal part in SEM")
    dim: int = Field(512, ge=1, description="SEM: size of the projected embeddings")
    hidden: int | None = Field(None, ge=1, description="SEM: hidden units of the projectors; null: dim")
    center: bool = Field(False, description="SEM: subtract column means first, as Barlow Twins; the paper's Eq. 6: not")
    freeze_teacher_projector: bool = Field(False, description="SEM: leave the teacher's projector as it starts")
    student_layer: int = Field(1, description="DCM: which student map, from 0, or from the last with -1")
    teacher_layer: int = Field(1, description="DCM: which teacher map, likewise")
    sigma: float = Field(math.sqrt(0.5), gt=0, description="DCM: width of the kernel")
    normalise: bool = Field(True, description="DCM: features at length 1")
    cross_sign: Literal[1, -1] = Field(1, description="DCM: Eq. 10 as printed repels student and teacher; -1 attracts")
    sem_1: bool = Field(True, description="the diagonal of SEM")
    sem_2: bool = Field(True, description="its off-diagonal")
    dcm_1: bool = Field(True, description="student against student in DCM")
    dcm_2: bool = Field(True, description="student against teacher in DCM")


def column_cosines(z_s: Tensor, z_t: Tensor, center: bool = False, eps: float = 0.0) -> Tensor:
    """C_ij = cos of column i of the student's and column j of the teacher's features, Eq. 6.

    Parameters
    ----------
    z_s, z_t: (B, d).
    center: take each column's mean off first.
    eps: added to each column's mean square, as BatchNorm does in Barlow Twins.

    Returns
    -------
    (d, d) in [-1, 1]; a zero column gives 0.

    >>> from torch import tensor
    >>> column_cosines(tensor([[1.0, 0.0], [0.0, 2.0]]), tensor([[0.0, 3.0], [4.0, 0.0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if center:
        z_s, z_t = z_s - z_s.mean(0), z_t - z_t.mean(0)
    if eps:
        z_s, z_t = (z / (z.pow(2).mean(0) + eps).sqrt() / math.sqrt(len(z)) for z in (z_s, z_t))
    else:
        z_s, z_t = unit(z_s, 0), unit(z_t, 0)
    return z_s.T @ z_t


def on_and_off_diagonal(c: Tensor) -> tuple[Tensor, Tensor]:
    """sum_i (1 - C_ii)^2 and sum_{i != j} C_ij^2, the two parts of Eq. 7."""
    diagonal = c.diagonal()
    return (1 - diagonal).pow(2).sum(), c.pow(2).sum() - diagonal.pow(2).sum()


def log_mean_kernel(u: Tensor, v: Tensor, sigma: float) -> Tensor:
    """log (1/N^2) sum_ij exp(-||u_i - v_j||^2 / sigma^2), the diagonal included (Eq. 8); (N, n), (N, n) -> scalar."""
    square = u.pow(2).sum(1)[:, None] + v.pow(2).sum(1) - 2 * u @ v.T
    return (-square.clamp(min=0) / sigma**2).flatten().logsumexp(0) - math.log(square.numel())


class Dimensional(Objective[DimensionalSettings]):
    """gamma (SEM + DCM), Eq. 12; the projectors of both sides are trained, the teacher is not."""

    Settings = DimensionalSettings
    least = 2

    def __init__(self, settings: DimensionalSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        hidden, teacher_dim = settings.hidden or settings.dim, pair.teacher_dim
        if settings.project:
            teacher_dim = pair.student_dim
        self.of_student = vector_projector(pair.student_dim, hidden, settings.dim)
        self.of_teacher = vector_projector(teacher_dim, hidden, settings.dim)
        if settings.freeze_teacher_projector:
            self.of_teacher.requires_grad_(False)
        student, teacher = hooked_shapes(settings, pair, "maps" in self.needs)
        self.widen: nn.Module = nn.Identity()
        if student[0] != teacher[0]:
            self.widen = nn.Linear(student[0], teacher[0])

    @classmethod
    def requirements(cls, settings: DimensionalSettings, pair: Pair) -> frozenset[str]:
        return hook_needs(settings.hook, pair, layout=False) | {"embedding"}

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        return {**self._sem(student, teacher), **self._dcm(student, teacher)}

    def _sem(self, student: Output, teacher: Output) -> dict[str, Tensor]:
        settings = self.settings
        if not (settings.sem_1 or settings.sem_2) or not settings.gamma_sem:
            return {}
        z_s = self.of_student(student.embedding)
        z_t = self.of_teacher(self.teacher_view(teacher.embedding))
        on, off = on_and_off_diagonal(column_cosines(z_s, z_t, settings.center))
        parts = {"sem_1": on, "sem_2": settings.off_diagonal * off}
        return {name: settings.gamma_sem * value for name, value in parts.items() if getattr(settings, name)}

    def _dcm(self, student: Output, teacher: Output) -> dict[str, Tensor]:
        settings = self.settings
        if not (settings.dcm_1 or settings.dcm_2) or not settings.gamma_dcm:
            return {}
        t_s, t_t = hooked(self, student, teacher)
        t_s, t_t = (t.mean((2, 3)) if t.ndim == 4 else t for t in (t_s, t_t))
        t_s = self.widen(t_s)
        if settings.normalise:
            t_s, t_t = unit(t_s), unit(t_t)
        terms = {}
        if settings.dcm_1:
            terms["dcm_1"] = settings.gamma_dcm * log_mean_kernel(t_s, t_s, settings.sigma)
        if settings.dcm_2:
            terms["dcm_2"] = settings.gamma_dcm * settings.cross_sign * log_mean_kernel(t_s, t_t, settings.sigma)
        return terms
