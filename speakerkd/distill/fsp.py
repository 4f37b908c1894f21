"""Flow of the solution procedure (Yim et al. 2017): how channels of one map go with channels of the next."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from speakerkd.distill.hooks import LayersSettings, many_maps, paired_maps, pooled
from speakerkd.distill.objective import Objective, Pair
from speakerkd.errors import InputError
from speakerkd.maths import total
from speakerkd.tensors import Output, Samples


class FSPSettings(LayersSettings):
    """`fsp`; reference: 30 epochs of this alone (weight 1), then the task alone; here the joint form is the default.

    The joint form's weight 50 is the one that the reference's script names and never uses.
    """

    name: Literal["fsp"] = "fsp"
    weight: float = Field(50.0, ge=0, description="joint 50; two-stage 1")
    adapter: bool = Field(True, description="1x1 convolutions on the student's maps where the channels differ")
    two_stage: bool = Field(False, description="this alone for `init_epochs`, then the task alone, as the reference")
    init_epochs: int = Field(30, ge=0, description="epochs of the first stage")

    @model_validator(mode="before")
    @classmethod
    def _stage_weight(cls, values: Any) -> Any:
        return {"weight": 1.0, **values} if isinstance(values, dict) and values.get("two_stage") else values


def flow(lower: Tensor, upper: Tensor) -> Tensor:
    """FSP matrices of two maps of a network, (B, C, H, W), (B, C', H', W') -> (B, C', C), mean over positions."""
    lower, upper = (x.flatten(2) for x in pooled(lower, upper))
    return upper @ lower.transpose(1, 2) / lower.shape[2]


class FSP(Objective[FSPSettings]):
    """sum_l mean((M_s^l - M_t^l)^2) over consecutive maps. The networks' maps may differ in size, not in number."""

    Settings = FSPSettings
    needs = frozenset({"maps"})

    def __init__(self, settings: FSPSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        student, teacher = many_maps(settings, pair)
        if len(student) < 2:
            raise InputError("fsp needs at least two maps of each network", settings.name, "choose more layers")
        if not settings.adapter and [s[0] for s in student] != [t[0] for t in teacher]:
            raise InputError(
                f"fsp: channels {[s[0] for s in student]} and {[t[0] for t in teacher]} differ",
                settings.name,
                "set adapter: true",
            )
        self.adapters = nn.ModuleList(
            nn.Identity() if s[0] == t[0] else nn.Conv2d(s[0], t[0], 1) for s, t in zip(student, teacher, strict=True)
        )

    @property
    def _first_stage(self) -> bool:
        return self.epoch < self.settings.init_epochs

    @property
    def factor(self) -> float:
        return 0.0 if self.settings.two_stage and not self._first_stage else super().factor

    @property
    def task_weight(self) -> float:
        return 0.0 if self.settings.two_stage and self._first_stage else super().task_weight

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        return {"fsp": total(self.by_pair(*paired_maps(self.settings, student, teacher)))}

    def by_pair(self, student: list[Tensor], teacher: list[Tensor]) -> list[Tensor]:
        """One scalar a pair of consecutive maps."""
        student = [adapter(f) for adapter, f in zip(self.adapters, student, strict=True)]
        flows_s = [flow(*two) for two in pairwise(student)]
        flows_t = [flow(*two) for two in pairwise(teacher)]
        return [(m_s - m_t).pow(2).mean() for m_s, m_t in zip(flows_s, flows_t, strict=True)]
