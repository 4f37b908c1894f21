"""Inter-channel correlation (Liu et al. 2021): which channels of a map go together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.hooks import HookSettings, as_map, hook_needs, hooked, hooked_shapes
from speakerkd.distill.objective import Objective, Pair
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples


class ICKDSettings(HookSettings):
    """`ickd`; reference: weight 2.5, last map. The maps' sizes need not agree, so a face's and a voice's will do."""

    name: Literal["ickd"] = "ickd"
    weight: float = Field(2.5, ge=0, description="reference 2.5 (its shell script: 4)")
    vector_mode: Literal["batch", "sample"] = Field(
        "batch", description="embeddings: correlate dimensions over the batch; sample: the literal, degenerate formula"
    )
    reduction: Literal["cifar", "imagenet"] = Field(
        "cifar", description="sum over (C B) as in the CIFAR code, or over (C B^2) as in the ImageNet code"
    )


def correlation(x: Tensor) -> Tensor:
    """Rows at length 1 of X X^T: (N, C, P) -> (N, C, C)."""
    return unit(x @ x.transpose(1, 2))


class ICKD(Objective[ICKDSettings]):
    """sum((G_s - G_t)^2) / (C B), G_s of the student's map after a 1x1 convolution and BatchNorm."""

    Settings = ICKDSettings
    least = 2

    def __init__(self, settings: ICKDSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        student, teacher = hooked_shapes(settings, pair, "maps" in self.needs)
        self.conv = nn.Conv2d(student[0], teacher[0], 1, bias=False)
        self.norm = nn.BatchNorm2d(teacher[0])

    @classmethod
    def requirements(cls, settings: ICKDSettings, pair: Pair) -> frozenset[str]:
        return hook_needs(settings.hook, pair, layout=False)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        f_s, f_t = hooked(self, student, teacher)
        f_s, f_t = self.norm(self.conv(as_map(f_s))).flatten(2), as_map(f_t).flatten(2)
        if "maps" not in self.needs and self.settings.vector_mode == "batch":
            f_s, f_t = (x[:, :, 0].T[None] for x in (f_s, f_t))  # (1, D, B): the batch takes the positions' place
        square = (correlation(f_s) - correlation(f_t)).pow(2).sum() / (f_t.shape[1] * len(f_t))
        return {"ickd": square / len(f_t) if self.settings.reduction == "imagenet" else square}
