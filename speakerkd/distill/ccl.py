"""Compositional contrastive learning (Chen et al. 2021): student, teacher and a composition of both, contrasted."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples


class CCLSettings(ObjectiveSettings):
    """`ccl`; reference: weight 1, temperature .5 (voices) or .1 (images), divergence factor .5."""

    name: Literal["ccl"] = "ccl"
    temperature: float = Field(0.5, gt=0, description="tau; reference .5 for voices, .1 for images")
    divergence: float = Field(0.5, ge=0, description="factor of KL(p||q) + KL(q||p) of the class scores; 0: off")
    student_composition: bool = Field(True, description="contrast the student with the composition")
    student_teacher: bool = Field(True, description="contrast the student with the teacher")
    composition_teacher: bool = Field(True, description="contrast the composition with the teacher")


def contrast(a: Tensor, b: Tensor, label: Tensor, temperature: float) -> Tensor:
    """Contrastive loss with several positives, one way.

    P = softmax_j(cos(a_i, b_j) / tau); per row the mean of -log P_ij over its class, and of -log(1 - P_ij) over the
    others; no others give 0.

    Parameters
    ----------
    a, b: (B, D).
    label: (B,), the class of a row in both.
    temperature: tau, above 0.

    Returns
    -------
    A scalar.
    """
    p = (unit(a) @ unit(b).T / temperature).softmax(1)
    same = (label[:, None] == label).to(p.dtype)
    other = 1 - same
    pull = -((p + 1e-10).log() * same).sum(1) / same.sum(1)
    push = -((1 - p + 1e-10).log() * other).sum(1) / other.sum(1).clamp(min=1)
    return (pull + push).mean()


def jeffreys(z: Tensor, other: Tensor) -> Tensor:
    """mean over rows of KL(p || q) + KL(q || p), p and q the softmax of logits (B, K)."""
    log_p, log_q = z.log_softmax(1), other.log_softmax(1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1).mean()


class CCL(Objective[CCLSettings]):
    """Student: NCE(v,m) + NCE(v,t) + divergence. Composition: CE + NCE(v,m) + NCE(m,t) + divergence, v held fixed.

    m = f_t + W [norm f_t, norm f_v]. As in the reference, the composition's parts learn from both, the student from
    the first alone; its two optimisers become one backward pass.
    """

    Settings = CCLSettings
    needs = frozenset({"embedding", "equal_dims", "student_logits"})

    def __init__(self, settings: CCLSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.mlp = nn.Linear(2 * pair.student_dim, pair.student_dim)
        self.fc = nn.Linear(pair.student_dim, pair.classes)

    @classmethod
    def requirements(cls, settings: CCLSettings, pair: Pair) -> frozenset[str]:
        return cls.needs if settings.divergence else cls.needs - {"student_logits"}

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        f_t = self.teacher_view(teacher.embedding)
        of_student = self.relations(student.embedding, f_t, student.logits, samples.label)
        fixed = None if student.logits is None else student.logits.detach()
        of_composition = self.relations(student.embedding.detach(), f_t, fixed, samples.label)
        return {
            "ccl_student": of_student["vm"] + of_student["vt"] + of_student["divergence"],
            "ccl_composition": of_composition["entropy"]
            + of_composition["vm"]
            + of_composition["mt"]
            + of_composition["divergence"],
        }

    def compose(self, f_v: Tensor, f_t: Tensor) -> Tensor:
        """m (B, D) of both networks' features."""
        return f_t + self.mlp(torch.cat([unit(f_t), unit(f_v)], 1))

    def contrast(self, a: Tensor, b: Tensor, label: Tensor) -> Tensor:
        """One way, at the settings' temperature."""
        return contrast(a, b, label, self.settings.temperature)

    def relations(self, f_v: Tensor, f_t: Tensor, logits: Tensor | None, label: Tensor) -> dict[str, Tensor]:
        """Every part of the two losses, 0 where switched off: entropy, vm, vt, mt, divergence."""
        m = self.compose(f_v, f_t)
        logits_m = self.fc(m)
        settings = self.settings

        def both(a: Tensor, b: Tensor, on: bool) -> Tensor:
            if not on:
                return a.new_zeros(())
            return self.contrast(a, b, label) + self.contrast(b, a, label)

        apart = f_v.new_zeros(())
        if settings.divergence:
            assert logits is not None  # `requirements` asks for them then
            apart = settings.divergence * jeffreys(logits, logits_m)
        return {
            "entropy": F.cross_entropy(logits_m, label),
            "vm": both(f_v, m, settings.student_composition),
            "vt": both(f_v, f_t, settings.student_teacher),
            "mt": both(m, f_t, settings.composition_teacher),
            "divergence": apart,
        }
