"""Attention transfer (Zagoruyko and Komodakis 2017): where in the map the activation is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from speakerkd.distill.hooks import LayersSettings, many_maps, paired_maps, pooled
from speakerkd.distill.objective import Objective, Pair
from speakerkd.maths import norm, total, unit
from speakerkd.tensors import Output, Samples


class ATSettings(LayersSettings):
    """`at`; reference: weight 1000, p 2, all blocks."""

    name: Literal["at"] = "at"
    weight: float = Field(1000.0, ge=0, description="reference 1000")
    p: int = Field(2, ge=1, description="exponent of the activations (an odd one keeps their sign)")
    distance: Literal["square", "norm"] = Field(
        "square",
        description="mean of squared differences, as the code; or their norm, mean of samples, as the paper",
    )


def attention(x: Tensor, p: int = 2) -> Tensor:
    """Map (B, C, H, W) -> unit vectors (B, H W) of the mean of F^p over channels."""
    return unit(x.pow(p).mean(1).flatten(1))


class AT(Objective[ATSettings]):
    """sum_l mean((Q(F_s^l) - Q(F_t^l))^2), Q the attention map at length 1."""

    Settings = ATSettings
    needs = frozenset({"maps", "layout"})

    def __init__(self, settings: ATSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        many_maps(settings, pair)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        return {"at": total(self.by_layer(*paired_maps(self.settings, student, teacher)))}

    def by_layer(self, student: list[Tensor], teacher: list[Tensor]) -> list[Tensor]:
        """One scalar a layer."""
        losses = []
        for f_s, f_t in zip(student, teacher, strict=True):
            apart = [attention(x, self.settings.p) for x in pooled(f_s, f_t)]
            difference = apart[0] - apart[1]
            square = self.settings.distance == "square"
            losses.append(difference.pow(2).mean() if square else norm(difference).mean())
        return losses
