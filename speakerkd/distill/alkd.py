"""Adversarial distillation of class scores (Xu, Hsu and Huang 2017)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from speakerkd.distill.discriminator import Discriminator, Network, mlp
from speakerkd.distill.logits import LogitSettings
from speakerkd.distill.objective import Objective, Pair
from speakerkd.tensors import Output, Samples


class ALKDSettings(LogitSettings):
    """`alkd`; no reference code is known. Weight 1 of the L1 distance, .1 of the adversarial part (our choice)."""

    name: Literal["alkd"] = "alkd"
    l1: float = Field(1.0, ge=0, description="factor of mean |z_s - z_t|; 0: off")
    adversarial: float = Field(0.1, ge=0, description="factor of what the discriminator is to be told; 0: off")
    hidden: list[int] = Field([128, 256, 128], min_length=1, description="hidden units of the discriminator")
    lr: float = Field(1e-4, gt=0, description="learning rate of its own Adam (betas .5 and .999)")


def likelihood(answer: Tensor, real: bool, label: Tensor) -> Tensor:
    """0.5 (log P(real or fake) + log P(y)), mean over rows, of a discriminator.

    Parameters
    ----------
    answer: (B, K + 2): K class scores, then the scores of fake and of real.
    real: which of the last two is asked for.
    label: y, (B,) in [0, K).

    Returns
    -------
    A scalar, at most 0.
    """
    origin = torch.full_like(label, int(real))
    return -0.5 * (F.cross_entropy(answer[:, -2:], origin) + F.cross_entropy(answer[:, :-2], label))


class ALKD(Objective[ALKDSettings]):
    """mean |z_s - z_t| - .1 L(D(z_s), real, y); D climbs L(D(z_t), real, y) + L(D(z_s), fake, y), one step each."""

    Settings = ALKDSettings
    needs = frozenset({"logits"})

    def __init__(self, settings: ALKDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        self.discriminator = Discriminator(mlp([pair.classes, *settings.hidden, pair.classes + 2]), settings.lr)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        z_s, z_t = self.settings.prepare(student.scores), self.settings.prepare(teacher.scores)
        terms = {}
        if self.settings.l1:
            terms["alkd_l1"] = self.settings.l1 * (z_s - z_t).abs().mean()
        if self.settings.adversarial:
            fixed_s, fixed_t = z_s.detach(), z_t.detach()

            def loss(network: Network) -> Tensor:
                truth = likelihood(network(fixed_t), True, samples.label)
                return -(truth + likelihood(network(fixed_s), False, samples.label))

            self.discriminator.improve(loss)
            fooled = likelihood(self.discriminator(z_s), True, samples.label)
            terms["alkd_adversarial"] = -self.settings.adversarial * fooled
        return terms
