"""DisCoM-KD (third paper): networks trained together, a modality each, each splitting what it sees into three parts.

A network of this method gives `Output.parts` = (z_inv, z_inf, z_irr), each (B, d): what both kinds of input share, what
this one adds to the task, and the rest; its logits are its own classifier's on [z_inv | z_inf], or on one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.distill.reversal import scale_gradient
from speakerkd.errors import InputError
from speakerkd.maths import cosine, total
from speakerkd.tensors import Output, Samples


class DisentangledSettings(ObjectiveSettings):
    """`disentangled`; reference: all factors 1. It holds every network's task loss, so the run's own counts 0."""

    name: Literal["disentangled"] = "disentangled"
    task_weight: float = Field(0.0, ge=0, description="factor of the run's own task loss; all are in here already")
    targets: Literal["paper", "official"] = Field(
        "paper",
        description="paper: hard modality labels and sums over the networks; official: the released code's soft "
        "labels, [1, 1] for the first network and [0, 0] for the second, and means over both (of two networks)",
    )
    task: float = Field(1.0, ge=0, description="factor of L_cl, the class on what a network keeps; 0: off")
    adversarial: float = Field(1.0, ge=0, description="factor of L_adv, the network told from z_inv; 0: off")
    modality: float = Field(1.0, ge=0, description="factor of L_mod, the network told from z_inf and z_irr; 0: off")
    auxiliary: float = Field(1.0, ge=0, description="factor of L_aux, the class on z_inv and z_inf alone; 0: off")
    orthogonal: float = Field(1.0, ge=0, description="factor of L_perp, cosines between the parts; 0: off")
    reversal: float = Field(1.0, ge=0, description="strength of the reversed gradient in L_adv")


@dataclass(slots=True)
class Parts:
    """One network's split of a batch: z_inv, z_inf, z_irr (B, d), class scores (B, K) and labels (B,)."""

    inv: Tensor
    inf: Tensor
    irr: Tensor
    logits: Tensor
    label: Tensor


class Disentangled(Objective[DisentangledSettings]):
    """L_cl + L_adv + L_mod + L_aux + L_perp (Eq. 2-7), of two networks or more.

    Their batches need not be paired, nor of one size. The `teacher` Output has the rows of all networks but the
    first, in turns: with three, row 0 is the second network's, row 1 the third's, row 2 the second's again.
    """

    Settings = DisentangledSettings
    needs = frozenset({"embedding", "equal_dims", "parts"})
    least = 2

    def __init__(self, settings: DisentangledSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        if settings.targets == "official" and pair.networks != 2:
            what = f"the released code's labels are of two networks, here are {pair.networks}"
            raise InputError(what, "distill.targets", "set it to paper")
        size = pair.part_dim or pair.student_dim // 2
        self.of_inv = nn.Linear(size, pair.networks)
        self.of_inf = nn.Linear(size, pair.networks)
        self.of_irr = nn.Linear(size, pair.networks)
        self.of_class = nn.Linear(size, pair.classes)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        labels = samples.label if samples.teacher_label is None else samples.teacher_label
        others = self.of_inv.out_features - 1
        networks = [_parts(student, samples.label)]
        if teacher.parts:  # there are none where no row of the batch has another modality
            networks += [_parts(teacher, labels, slice(which, None, others)) for which in range(others)]
        return self.losses(*networks)

    def losses(self, *networks: Parts) -> dict[str, Tensor]:
        """The five terms of the networks' parts, those with factor 0 left out."""
        settings = self.settings
        reduce = _sum_of_means if settings.targets == "paper" else _mean_of_all
        tell = _hard if settings.targets == "paper" else _soft

        def entropy(scores: list[Tensor]) -> Tensor:
            return reduce(
                [F.cross_entropy(z, p.label, reduction="none") for z, p in zip(scores, networks, strict=True)]
            )

        def by_class(head: nn.Linear, parts: list[Tensor]) -> Tensor:
            return reduce([tell(head(z), which) for which, z in enumerate(parts)])

        half = 1.0 if settings.targets == "paper" else 0.5
        terms = {
            "task": lambda: entropy([p.logits for p in networks]),
            "adversarial": lambda: by_class(self.of_inv, [scale_gradient(p.inv, -settings.reversal) for p in networks]),
            "modality": lambda: (
                half
                * (by_class(self.of_inf, [p.inf for p in networks]) + by_class(self.of_irr, [p.irr for p in networks]))
            ),
            "auxiliary": lambda: (
                entropy([self.of_class(p.inv) for p in networks]) + entropy([self.of_class(p.inf) for p in networks])
            ),
            "orthogonal": lambda: reduce([cosine(p.inv, p.inf) + cosine(p.inf, p.irr) for p in networks]),
        }
        factors = {name: getattr(settings, name) for name in terms}
        return {f"disentangled_{name}": factors[name] * term() for name, term in terms.items() if factors[name]}


def _parts(output: Output, label: Tensor, rows: slice = slice(None)) -> Parts:
    """One network's rows of an Output."""
    inv, inf, irr = (part[rows] for part in output.parts)
    return Parts(inv, inf, irr, output.scores[rows], label[rows])


def _sum_of_means(values: list[Tensor]) -> Tensor:
    return total(v.mean() for v in values)


def _mean_of_all(values: list[Tensor]) -> Tensor:
    return torch.cat(values).mean()


def _hard(scores: Tensor, which: int) -> Tensor:
    """Cross-entropy (B,) of scores (B, 2) against the network's number."""
    return F.cross_entropy(scores, scores.new_full((len(scores),), which, dtype=torch.int64), reduction="none")


def _soft(scores: Tensor, which: int) -> Tensor:
    """The released code's: against the shares [1, 1] for the first network, [0, 0] for the second."""
    return -(1 - which) * scores.log_softmax(1).sum(1)
