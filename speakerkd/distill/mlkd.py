"""Multi-level logit distillation (Jin et al. 2023): by sample, sample pair and class pair, at five temperatures."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from speakerkd.distill.logits import SoftenedSettings, softened_kl
from speakerkd.distill.objective import Objective
from speakerkd.maths import total
from speakerkd.tensors import Output, Samples


class MLKDSettings(SoftenedSettings):
    """`mlkd`; reference: .9 (standardised: 9) of the three levels beside .1 of the task loss on both views.

    The weak view's task loss is the run's own, at `task_weight`; the strong view's is in here, at `ce_weight`.
    """

    STANDARDISED: ClassVar[dict[str, Any]] = {"temperature": 2.0, "kd_weight": 9.0}

    name: Literal["mlkd"] = "mlkd"
    task_weight: float = Field(0.1, ge=0, description="factor of the task loss on the weak view; reference .1")
    ce_weight: float = Field(0.1, ge=0, description="factor of the cross-entropy on the strong view; reference .1")
    kd_weight: float = Field(0.9, ge=0, description="factor of the three levels; reference .9, 9 when standardised")
    others: list[float] = Field([3.0, 5.0, 2.0, 6.0], min_length=1, description="temperatures beside T")
    quirks: Literal["reference", "none"] = Field(
        "reference",
        description="reference: as the released code computes it; none: masks by sample, every strong term counts",
    )


def by_sample(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL of each row, (B, K), (B, K) -> (B,)."""
    return temperature**2 * softened_kl(student, teacher, temperature)


def by_pairs(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Row sums of (P_s P_s^T - P_t P_t^T)^2, (B,), and of (P_s^T P_s - P_t^T P_t)^2, (K,), P = softmax(z / T).

    The second needs no K x K matrix: row k is p_k^T (P P^T) p_k of each side, less twice the mixed one.
    """
    p, q = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    of_student, of_teacher, mixed = p @ p.T, q @ q.T, p @ q.T
    classes = (p * (of_student @ p)).sum(0) + (q * (of_teacher @ q)).sum(0) - 2 * (p * (mixed @ q)).sum(0)
    return (of_student - of_teacher).pow(2).sum(1), classes


def by_pairs_mean(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The means of both, from B x B products alone."""
    p, q = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    of_student, of_teacher, mixed = p @ p.T, q @ q.T, p @ q.T
    classes = (of_student.pow(2) + of_teacher.pow(2) - 2 * mixed.pow(2)).sum() / p.shape[1]
    return (of_student - of_teacher).pow(2).sum(1).mean(), classes


def unsure(teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (B,) whose greatest, and classes (K,) whose summed, teacher probability is at most the median."""
    probability = teacher.softmax(1)
    confidence, mass = probability.amax(1), probability.sum(0)
    return confidence <= confidence.quantile(0.5), mass <= mass.quantile(0.5)


Scores = tuple[Tensor, Tensor]  # the student's and the teacher's, both (B, K)


class MLKD(Objective[MLKDSettings]):
    """KL by sample, ||P_s P_s^T - P_t P_t^T||^2 / B and ||P_s^T P_s - P_t^T P_t||^2 / K, summed over temperatures.

    The weak view's terms count for the samples and classes of which the teacher is unsure. The released code takes
    the mean first and multiplies it by the mean of the mask, uses the weak logits for the strong view's last two
    temperatures, and leaves the strong view's pair terms out. LSKD concerns the term by sample alone.
    """

    Settings = MLKDSettings
    needs = frozenset({"logits", "strong"})

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        assert student.strong is not None  # `needs` has been checked
        weak = student.scores, teacher.scores
        strong = student.strong.scores, (teacher.strong or teacher).scores  # a cached teacher has one view for both
        with torch.no_grad():
            rows, columns = (mask.to(weak[0].dtype) for mask in unsure(weak[1]))
        parts = self._reference if self.settings.quirks == "reference" else self._intended
        kd, cc, bc = parts(weak, strong, rows, columns)
        return {
            "mlkd_ce": self.settings.ce_weight * F.cross_entropy(strong[0], samples.label),
            "mlkd_sample": self.settings.kd_weight * kd,
            "mlkd_class": self.settings.kd_weight * cc,
            "mlkd_batch": self.settings.kd_weight * bc,
        }

    def _temperatures(self) -> list[float]:
        return [self.settings.temperature, *self.settings.others]

    def _prepared(self, view: Scores) -> Scores:
        return self.settings.prepare(view[0]), self.settings.prepare(view[1])

    def _reference(self, weak: Scores, strong: Scores, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        temperatures = self._temperatures()
        weak_kd, strong_kd = self._prepared(weak), self._prepared(strong)
        of_weak = [by_sample(*weak_kd, t).mean() for t in temperatures]
        of_strong = [by_sample(*strong_kd, t).mean() for t in temperatures[:-2]]
        kd = rows.mean() * total(of_weak) + total([*of_strong, *of_weak[-2:]])
        pairs = [by_pairs_mean(*weak, t) for t in temperatures]
        cc = columns.mean() * total(of_classes for _, of_classes in pairs)
        bc = rows.mean() * total(of_samples for of_samples, _ in pairs)
        return kd, cc, bc

    def _intended(self, weak: Scores, strong: Scores, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        temperatures = self._temperatures()
        weak_kd, strong_kd = self._prepared(weak), self._prepared(strong)
        kd = total((rows * by_sample(*weak_kd, t)).mean() + by_sample(*strong_kd, t).mean() for t in temperatures)
        pairs = [(by_pairs(*weak, t), by_pairs(*strong, t)) for t in temperatures]
        cc = total((columns * of_weak).mean() + of_strong.mean() for (_, of_weak), (_, of_strong) in pairs)
        bc = total((rows * of_weak).mean() + of_strong.mean() for (of_weak, _), (of_strong, _) in pairs)
        return kd, cc, bc
