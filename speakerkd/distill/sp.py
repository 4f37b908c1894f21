"""Similarity preserving (Tung and Mori 2019): which samples of the batch are alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from speakerkd.distill.hooks import HookSettings, hook_needs, hooked, hooked_shapes
from speakerkd.distill.objective import Objective, Pair
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples


class SPSettings(HookSettings):
    """`sp`; reference: weight 3000, last map."""

    name: Literal["sp"] = "sp"
    weight: float = Field(3000.0, ge=0, description="reference 3000")


def similarity(x: Tensor) -> Tensor:
    """Gram matrix (B, B) of the flattened samples, rows at length 1."""
    x = x.flatten(1)
    return unit(x @ x.T)


class SP(Objective[SPSettings]):
    """||G_t - G_s||_F^2 / B^2, G the row-normalised X X^T."""

    Settings = SPSettings

    def __init__(self, settings: SPSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        hooked_shapes(settings, pair, "maps" in self.needs)

    @classmethod
    def requirements(cls, settings: SPSettings, pair: Pair) -> frozenset[str]:
        return hook_needs(settings.hook, pair, layout=False)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        f_s, f_t = hooked(self, student, teacher)
        return {"sp": (similarity(f_t) - similarity(f_s)).pow(2).mean()}
