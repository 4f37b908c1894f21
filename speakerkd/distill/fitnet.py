"""Hints (Romero et al. 2015): the student's features, through a regressor, at the teacher's place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.hooks import HookSettings, Shape, hook_needs, hooked, hooked_shapes, pooled
from speakerkd.distill.objective import Objective, Pair
from speakerkd.errors import InputError
from speakerkd.tensors import Output, Samples


class FitNetSettings(HookSettings):
    """`fitnet`; reference: weight 100, second block's map, regressor with BatchNorm and ReLU, one stage with the task.

    On embeddings, which may be negative, the regressor is linear, and there is none where the sizes are equal.
    """

    name: Literal["fitnet"] = "fitnet"
    weight: float = Field(100.0, ge=0, description="reference 100")
    student_layer: int = Field(1, description="hint layer: which student map, from 0, or from the last with -1")
    teacher_layer: int = Field(1, description="hint layer: which teacher map, likewise")
    regressor: Literal["auto", "relu", "linear", "none"] = Field(
        "auto", description="on the student, ending in ReLU or not; auto: relu for maps, linear or none for embeddings"
    )
    geometry: Literal["auto", "pool"] = Field(
        "auto", description="maps: the convolution that brings the sizes together, or 3x3 and averaging of the larger"
    )


def map_regressor(student: Shape, teacher: Shape, relu: bool, geometry: Literal["auto", "pool"]) -> nn.Sequential:
    """Convolution, BatchNorm and perhaps ReLU from the student's (C, H, W) to the teacher's.

    Twice the size: 3x3 with stride 2. Half: transposed 4x4 with stride 2. At least as large: the unpadded kernel that
    fits. Raises InputError for other sizes, unless `geometry` leaves it to pooling.
    """
    (c_s, h_s, w_s), (c_t, h_t, w_t) = student, teacher
    if geometry == "pool":
        conv: nn.Module = nn.Conv2d(c_s, c_t, 3, padding=1)
    elif (h_s, w_s) == (2 * h_t, 2 * w_t):
        conv = nn.Conv2d(c_s, c_t, 3, stride=2, padding=1)
    elif (2 * h_s, 2 * w_s) == (h_t, w_t):
        conv = nn.ConvTranspose2d(c_s, c_t, 4, stride=2, padding=1)
    elif h_s >= h_t and w_s >= w_t:
        conv = nn.Conv2d(c_s, c_t, (1 + h_s - h_t, 1 + w_s - w_t))
    else:
        raise InputError(
            f"fitnet: no regressor takes maps of {h_s}x{w_s} to {h_t}x{w_t}",
            "student_layer and teacher_layer",
            "choose other layers or geometry: pool",
        )
    return nn.Sequential(conv, nn.BatchNorm2d(c_t), nn.ReLU() if relu else nn.Identity())


class FitNet(Objective[FitNetSettings]):
    """mean((r(F_s) - F_t)^2)."""

    Settings = FitNetSettings
    least = 2

    def __init__(self, settings: FitNetSettings, pair: Pair) -> None:
        super().__init__(settings, pair)
        maps = "maps" in self.needs
        student, teacher = hooked_shapes(settings, pair, maps)
        choice = settings.regressor
        if choice == "auto":
            choice = "relu" if maps else "none" if student == teacher else "linear"
        self.regressor: nn.Module = nn.Identity()
        if choice == "none" and student != teacher:
            raise InputError(
                f"fitnet: features of {student} and {teacher} differ and regressor is none",
                "regressor",
                "set it to linear" if maps else "set it to linear, or project: true",
            )
        if choice != "none" and maps:
            self.regressor = map_regressor(student, teacher, choice == "relu", settings.geometry)
        elif choice != "none":
            linear = nn.Linear(student[0], teacher[0])
            self.regressor = nn.Sequential(linear, nn.ReLU()) if choice == "relu" else nn.Sequential(linear)

    @classmethod
    def requirements(cls, settings: FitNetSettings, pair: Pair) -> frozenset[str]:
        return hook_needs(settings.hook, pair, layout=True)

    def terms(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        f_s, f_t = hooked(self, student, teacher)
        f_s = self.regressor(f_s)
        if f_s.ndim == 4:
            f_s, f_t = pooled(f_s, f_t)
        return {"fitnet": (f_s - f_t).pow(2).mean()}
