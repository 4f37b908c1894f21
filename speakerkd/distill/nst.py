"""Neuron selectivity transfer (Huang and Wang 2017): which positions the channels answer to, as a distribution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from speakerkd.distill.hooks import LayersSettings, many_maps, paired_maps, pooled
from speakerkd.distill.objective import Objective, Pair
from speakerkd.maths import total, unit
from speakerkd.tensors import Output, Samples


class NSTSettings(LayersSettings):
    """`nst`; reference: weight 50, all blocks, polynomial kernel of degree 2."""

    name: Literal["nst"] = "nst"
    weight: float = Field(50.0, ge=0, description="reference 50")


def kernel_mean(a: Tensor, b: Tensor) -> Tensor:
    """Mean of (a_c . b_c')^2 over samples and pairs of channels; (B, C, N), (B, C', N) -> scalar."""
    return (a @ b.transpose(1, 2)).pow(2).mean()


class NST(Objective[NSTSettings]):
    """sum_l MMD^2 between the students' and the teacher's unit channel maps under k(a, b) = (a . b)^2."""

    Settings = NSTSettings
    needs = frozenset({"maps", "layout"})

    def __init__(self, settings: NSTSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        many_maps(settings, pair)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        return {"nst": total(self.by_layer(*paired_maps(self.settings, student, teacher)))}

    def by_layer(self, student: list[Tensor], teacher: list[Tensor]) -> list[Tensor]:
        """One scalar a layer."""
        losses = []
        for f_s, f_t in zip(student, teacher, strict=True):
            u_s, u_t = (unit(x.flatten(2)) for x in pooled(f_s, f_t))
            losses.append(kernel_mean(u_t, u_t) + kernel_mean(u_s, u_s) - 2 * kernel_mean(u_s, u_t))
        return losses
