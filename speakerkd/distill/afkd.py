"""Adversarial distillation of features (Wang et al. 2018)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.discriminator import Discriminator, Network, mlp
from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.tensors import Output, Samples


class AFKDSettings(ObjectiveSettings):
    """`afkd`; no reference code is known. Weight .1, our choice; the paper adds kd, here a second list item."""

    name: Literal["afkd"] = "afkd"
    weight: float = Field(0.1, ge=0, description="factor of the adversarial term")
    hidden: list[int] = Field([256, 256], min_length=1, description="hidden units of the discriminator")
    lr: float = Field(1e-4, gt=0, description="learning rate of its own Adam (betas .5 and .999)")
    form: Literal["non_saturating", "minimax"] = Field(
        "non_saturating", description="the student's term: -log D(f_s), or the paper's log(1 - D(f_s))"
    )


class AFKD(Objective[AFKDSettings]):
    """-mean log D(f_s); D climbs mean log D(f_t) + mean log(1 - D(f_s)), one step a student's step.

    Where the sizes differ, f_s goes through a linear layer first, trained with the student.
    """

    Settings = AFKDSettings

    def __init__(self, settings: AFKDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        size = pair.student_dim if settings.project else pair.teacher_dim
        self.widen = nn.Identity() if size == pair.student_dim else nn.Linear(pair.student_dim, size)
        self.discriminator = Discriminator(mlp([size, *settings.hidden, 1]), settings.lr)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        f_s = self.widen(student.embedding)
        fixed_s, fixed_t = f_s.detach(), self.teacher_view(teacher.embedding).detach()

        def loss(network: Network) -> Tensor:
            return F.softplus(-network(fixed_t)).mean() + F.softplus(network(fixed_s)).mean()

        self.discriminator.improve(loss)
        score = self.discriminator(f_s)
        if self.settings.form == "minimax":
            return {"afkd": -F.softplus(score).mean()}
        return {"afkd": F.softplus(-score).mean()}
