"""Contrastive representation distillation (Tian et al. 2020) against a memory of the whole training set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.errors import InputError
from speakerkd.maths import total, unit
from speakerkd.tensors import Output, Samples

EPS = 1e-7
BUDGET = 1 << 24  # numbers gathered from the memory at once


class CRDSettings(ObjectiveSettings):
    """`crd`; reference: weight .8, embeddings of 128, 16384 negatives of other classes, temperature .07, momentum .5.

    Memory: 2 x samples x dim x 4 bytes. The reference draws anew for each sample; one draw for the batch gives each
    sample negatives of the same distribution at a small part of the cost.
    """

    name: Literal["crd"] = "crd"
    weight: float = Field(0.8, ge=0, description="reference .8")
    dim: int = Field(128, ge=1, description="size of the compared embeddings")
    negatives: int = Field(16384, ge=1, description="negatives K a sample, drawn from all samples of other classes")
    draw: Literal["batch", "sample"] = Field(
        "batch", description="one draw a step, of which each sample uses the other classes; or one for each sample"
    )
    temperature: float = Field(0.07, gt=0, description="tau")
    momentum: float = Field(0.5, ge=0, lt=1, description="share of the old entry when the memory takes in a new one")
    seed: int = Field(0, ge=0, description="of the draws, which are a function of (seed, step) alone")


class OtherClasses(nn.Module):
    """Draws samples of other classes, evenly and with replacement, in time that does not depend on the corpus.

    Samples are kept sorted by class, so that a class is one stretch: a draw from what lies outside it is a whole
    number below samples - stretch, moved past the stretch where it lies beyond its start. Built once; a corpus that
    is sorted by class, as one in the order of its keys is, needs no table of its size.
    """

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        size = torch.bincount(labels)
        self.samples = len(labels)
        in_order = bool((labels.diff() >= 0).all())
        order = None if in_order else labels.argsort(stable=True).int()
        self.order: Tensor | None
        self.size: Tensor
        self.start: Tensor
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("size", size, persistent=False)
        self.register_buffer("start", size.cumsum(0) - size, persistent=False)

    def for_each(self, label: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Positions (B, count) of samples whose class is not `label` (B,)."""
        start, size = self.start[label][:, None], self.size[label][:, None]
        chance = torch.rand(len(label), count, dtype=torch.float64, device=label.device, generator=generator)
        position = (chance * (self.samples - size)).long()
        return self._samples_at(position + size * (position >= start))

    def for_all(self, label: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Positions (count,) of any samples, and (B, count) where they are of another class than `label` (B,)."""
        position = torch.randint(self.samples, (count,), device=label.device, generator=generator)
        drawn_class = torch.searchsorted(self.start, position, right=True) - 1
        return self._samples_at(position), drawn_class != label[:, None]

    def _samples_at(self, position: Tensor) -> Tensor:
        return position if self.order is None else self.order[position].long()


@dataclass(slots=True)
class Rule:
    """share: a = K / n. z: the constant Z. temperature: tau."""

    share: float
    z: Tensor
    temperature: float


class _AgainstEach(torch.autograd.Function):
    """The loss of v (B, d) against memory rows `index` (B, 1 + K), the own one first, K of each sample's own drawing.

    The gradient is found in the same pass over the rows: a step has too many to keep, and by the time of the backward
    pass the memory has changed.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, memory: Tensor, index: Tensor, rule: Rule) -> Tensor:
        step = max(1, BUDGET // (len(v) * v.shape[1]))
        loss, gradient = v.new_zeros(()), torch.zeros_like(v)
        for first in range(0, index.shape[1], step):
            held = memory[index[:, first : first + step]]
            odds = (torch.bmm(held, v[:, :, None])[..., 0] / rule.temperature).exp() / rule.z
            whole = odds + rule.share + EPS
            push = odds / whole  # d log(whole) / d(score / tau)
            loss += whole.log().sum() - math.log(rule.share) * whole.numel()
            if first == 0:  # the sample itself: odds, not a, stands above the line
                loss -= (odds[:, 0].log() - math.log(rule.share)).sum()
                push[:, 0] -= 1
            gradient += torch.bmm(push[:, None], held)[:, 0]
        ctx.save_for_backward(gradient / (rule.temperature * len(v)))
        return loss / len(v)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        return upstream * ctx.saved_tensors[0], None, None, None


def against_shared(v: Tensor, own: Tensor, drawn: Tensor, other: Tensor, rule: Rule) -> Tensor:
    """The loss of v (B, d) against its own entries (B, d) and K drawn ones (K, d), those where `other` (B, K).

    The mean over a sample's drawn ones of other classes stands for the mean over K of its own drawing.
    """
    positive = ((v * own).sum(1) / rule.temperature).exp() / rule.z
    negative = (v @ drawn.T / rule.temperature).exp() / rule.z
    pull = (positive + rule.share + EPS).log() - positive.log()
    push = ((negative + rule.share + EPS).log() - math.log(rule.share)) * other
    return (pull + len(drawn) * push.sum(1) / other.sum(1).clamp(min=1)).mean()


def mean_odds_each(v: Tensor, memory: Tensor, index: Tensor, temperature: float) -> Tensor:
    """mean exp(M[index] . v / tau) over samples and rows, (B, d), (n, d), (B, 1 + K) -> scalar."""
    step = max(1, BUDGET // (len(v) * v.shape[1]))
    parts = [(torch.bmm(memory[c], v[:, :, None]) / temperature).exp().sum() for c in index.split(step, dim=1)]
    return torch.stack(parts).sum() / index.numel()


def mean_odds_shared(v: Tensor, own: Tensor, drawn: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The same for one drawing that all samples use."""
    positive = ((v * own).sum(1) / temperature).exp()
    negative = ((v @ drawn.T / temperature).exp() * other).sum(1) / other.sum(1).clamp(min=1)
    return ((positive + len(drawn) * negative) / (1 + len(drawn))).mean()


class CRD(Objective[CRDSettings]):
    """l(M_t . v_s) + l(M_s . v_t), with l the noise-contrastive loss of the own entry against K of other classes.

    Z is fixed by the first step. The memories, Z and the count of steps are in the state dict; a step writes the
    batch's entries after their use.
    """

    Settings = CRDSettings
    needs = frozenset({"embedding", "labels"})

    def __init__(self, settings: CRDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        assert pair.labels is not None  # `needs` has been checked
        if len(torch.unique(pair.labels)) < 2:
            raise InputError("crd draws negatives of other classes, and there is one class", "crd", "use more classes")
        self.of_student = nn.Linear(pair.student_dim, settings.dim)
        self.of_teacher = nn.Linear(pair.student_dim if settings.project else pair.teacher_dim, settings.dim)
        self.others = OtherClasses(pair.labels)
        reach = 1 / math.sqrt(settings.dim / 3)
        self.memory_student: Tensor
        self.memory_teacher: Tensor
        self.z: Tensor
        self.steps: Tensor
        for name in ("memory_student", "memory_teacher"):
            self.register_buffer(name, torch.empty(pair.samples, settings.dim).uniform_(-reach, reach))
        self.register_buffer("z", torch.zeros(2))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        generator = torch.Generator(samples.index.device).manual_seed(self.settings.seed << 32 | int(self.steps))
        f_s, f_t = student.embedding, self.teacher_view(teacher.embedding)
        if self.settings.draw == "sample":
            drawn = self.others.for_each(samples.label, self.settings.negatives, generator)
            return {"crd": self.contrast(f_s, f_t, torch.cat([samples.index[:, None], drawn], 1))}
        drawn, other = self.others.for_all(samples.label, self.settings.negatives, generator)
        return {"crd": self.contrast_shared(f_s, f_t, samples.index, drawn, other)}

    def contrast(self, f_s: Tensor, f_t: Tensor, index: Tensor) -> Tensor:
        """The loss of (B, D_S), (B, D_T) given memory rows (B, 1 + K), the own one first; then the memories' update."""
        sides = self._sides(f_s, f_t)
        losses = []
        for side, (v, memory) in enumerate(sides):
            if self._is_first_step:
                self._fix_constant(side, mean_odds_each(v.detach(), memory, index, self.settings.temperature))
            losses.append(_AgainstEach.apply(v, memory, index, self._rule(side, index.shape[1] - 1)))
        self._remember(sides, index[:, 0])
        return total(losses)

    def contrast_shared(self, f_s: Tensor, f_t: Tensor, index: Tensor, drawn: Tensor, other: Tensor) -> Tensor:
        """The same given the own rows (B,), rows (K,) drawn for all, and (B, K) where those are of another class."""
        sides = self._sides(f_s, f_t)
        losses = []
        for side, (v, memory) in enumerate(sides):
            own, negatives = memory[index], memory[drawn]
            if self._is_first_step:
                odds = mean_odds_shared(v.detach(), own, negatives, other, self.settings.temperature)
                self._fix_constant(side, odds)
            losses.append(against_shared(v, own, negatives, other, self._rule(side, len(drawn))))
        self._remember(sides, index)
        return total(losses)

    def _sides(self, f_s: Tensor, f_t: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The student's embeddings with the teacher's memory, and the other way round."""
        v_s, v_t = unit(self.of_student(f_s)), unit(self.of_teacher(f_t))
        return [(v_s, self.memory_teacher), (v_t, self.memory_student)]

    def _rule(self, side: int, negatives: int) -> Rule:
        return Rule(negatives / len(self.memory_student), self.z[side].clone(), self.settings.temperature)

    @property
    def _is_first_step(self) -> bool:
        return int(self.steps) == 0

    def _fix_constant(self, side: int, mean_odds: Tensor) -> None:
        """Z = n times the mean odds of the first step."""
        self.z[side] = mean_odds * len(self.memory_student)

    @torch.no_grad()
    def _remember(self, sides: list[tuple[Tensor, Tensor]], index: Tensor) -> None:
        if not self.training:
            return
        keep = self.settings.momentum
        (v_s, of_teacher), (v_t, of_student) = sides
        for memory, v in ((of_student, v_s), (of_teacher, v_t)):
            memory[index] = unit(keep * memory[index] + (1 - keep) * v)
        self.steps += 1
