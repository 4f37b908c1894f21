"""Contrastive representation distillation (Tian et al. 2020) against a memory of the whole training set."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.errors import InputError
from speakerkd.maths import unit
from speakerkd.tensors import Batch, Output

EPS = 1e-7
BUDGET = 1 << 24  # numbers gathered from the memory at once


class CRDSettings(ObjectiveSettings):
    """`crd`; reference: weight .8, embeddings of 128, 16384 negatives of other classes, temperature .07, momentum .5.

    Memory: 2 x samples x dim x 4 bytes.
    """

    name: Literal["crd"] = "crd"
    weight: float = Field(0.8, ge=0, description="reference .8")
    dim: int = Field(128, ge=1, description="size of the compared embeddings")
    negatives: int = Field(16384, ge=1, description="negatives a sample, drawn from all samples of other classes")
    temperature: float = Field(0.07, gt=0, description="tau")
    momentum: float = Field(0.5, ge=0, lt=1, description="share of the old entry when the memory takes in a new one")
    seed: int = Field(0, ge=0, description="of the draws, which are a function of (seed, step) alone")


class OtherClasses(nn.Module):
    """Draws samples of other classes, evenly and with replacement, in time that does not depend on the corpus.

    Samples are kept sorted by class, so that a class is one stretch: a draw from what lies outside it is a whole
    number below samples - stretch, moved past the stretch where it lies beyond its start. Built once.
    """

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        size = torch.bincount(labels)
        self.samples = len(labels)
        self.register_buffer("order", labels.argsort(stable=True).int(), persistent=False)
        self.register_buffer("size", size, persistent=False)
        self.register_buffer("start", size.cumsum(0) - size, persistent=False)

    def forward(self, label: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Positions (B, count) of samples whose class is not `label` (B,)."""
        start, size = self.start[label][:, None], self.size[label][:, None]
        chance = torch.rand(len(label), count, dtype=torch.float64, device=label.device, generator=generator)
        place = (chance * (self.samples - size)).long()
        return self.order[place + size * (place >= start)].long()


class _AgainstMemory(torch.autograd.Function):
    """The loss of embeddings against memory rows, with its gradient found in the same pass over the rows.

    The rows of a step are too many to keep, and the memory has changed by the time of the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, memory: Tensor, index: Tensor, rule: tuple[Tensor, float]) -> Tensor:
        z, temperature = rule
        rows = index.shape[1]
        share = (rows - 1) / len(memory)  # a = K / n
        step = max(1, BUDGET // (len(v) * v.shape[1]))
        loss, gradient = v.new_zeros(()), torch.zeros_like(v)
        for first in range(0, rows, step):
            held = memory[index[:, first : first + step]]
            odds = (torch.bmm(held, v[:, :, None])[..., 0] / temperature).exp() / z
            whole = odds + share + EPS
            push = odds / whole  # d log(whole) / d(score / temperature)
            loss += whole.log().sum() - math.log(share) * whole.numel()
            if first == 0:  # the sample itself: log(odds), not log(a), is above the line
                loss -= (odds[:, 0].log() - math.log(share)).sum()
                push[:, 0] -= 1
            gradient += torch.bmm(push[:, None], held)[:, 0]
        ctx.save_for_backward(gradient / (temperature * len(v)))
        return loss / len(v)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        return upstream * ctx.saved_tensors[0], None, None, None


def normaliser(v: Tensor, memory: Tensor, index: Tensor, temperature: float) -> Tensor:
    """Z = n times the mean of exp(M[index] . v / tau)."""
    step = max(1, BUDGET // (len(v) * v.shape[1]))
    total = v.new_zeros(())
    for columns in index.split(step, dim=1):
        total += (torch.bmm(memory[columns], v[:, :, None]) / temperature).exp().sum()
    return total / index.numel() * len(memory)


class CRD(Objective):
    """l(M_t . v_s) + l(M_s . v_t), with l the noise-contrastive loss of the own entry against K of other classes.

    Z is fixed by the first step. The memories, Z and the count of steps are in the state dict; a step writes the
    batch's entries after their use.
    """

    Settings = CRDSettings
    needs = frozenset({"embedding", "labels"})

    def __init__(self, settings: CRDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        if len(torch.unique(pair.labels)) < 2:
            raise InputError("crd draws negatives of other classes, and there is one class", "crd", "use more classes")
        self.of_student = nn.Linear(pair.student_dim, settings.dim)
        self.of_teacher = nn.Linear(pair.student_dim if settings.project else pair.teacher_dim, settings.dim)
        self.others = OtherClasses(pair.labels)
        reach = 1 / math.sqrt(settings.dim / 3)
        for name in ("memory_student", "memory_teacher"):
            self.register_buffer(name, torch.empty(pair.samples, settings.dim).uniform_(-reach, reach))
        self.register_buffer("z", torch.zeros(2))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def terms(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        generator = torch.Generator(batch.index.device).manual_seed(self.settings.seed << 32 | int(self.steps))
        drawn = self.others(batch.label, self.settings.negatives, generator)
        contrast = torch.cat([batch.index[:, None], drawn], 1)
        return {"crd": self.contrast(student.embedding, self.teacher_view(teacher.embedding), contrast)}

    def contrast(self, f_s: Tensor, f_t: Tensor, index: Tensor) -> Tensor:
        """The loss of (B, D_S), (B, D_T) given memory rows (B, 1 + K), the own one first; then the memories' update."""
        v_s, v_t = unit(self.of_student(f_s)), unit(self.of_teacher(f_t))
        tau = self.settings.temperature
        if int(self.steps) == 0:
            with torch.no_grad():
                self.z[0] = normaliser(v_s, self.memory_teacher, index, tau)
                self.z[1] = normaliser(v_t, self.memory_student, index, tau)
        loss = _AgainstMemory.apply(v_s, self.memory_teacher, index, (self.z[0], tau))
        loss = loss + _AgainstMemory.apply(v_t, self.memory_student, index, (self.z[1], tau))
        if self.training:
            self._remember(self.memory_student, v_s, index[:, 0])
            self._remember(self.memory_teacher, v_t, index[:, 0])
            self.steps += 1
        return loss

    @torch.no_grad()
    def _remember(self, memory: Tensor, v: Tensor, index: Tensor) -> None:
        keep = self.settings.momentum
        memory[index] = unit(keep * memory[index] + (1 - keep) * v)
