"""Where a method looks: at the embeddings, or at maps of chosen blocks, paired and brought to one size."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.errors import InputError
from speakerkd.tensors import Output

Shape = tuple[int, int, int]
HOOK = "embedding, or maps; auto: maps where both networks give comparable ones, else the embedding"


class HookSettings(ObjectiveSettings):
    """For a method that compares either one map or the embeddings."""

    hook: Literal["auto", "maps", "embedding"] = Field("auto", description=HOOK)
    student_layer: int = Field(-1, description="which student map, from 0, or from the last with -1")
    teacher_layer: int = Field(-1, description="which teacher map, likewise")


class LayersSettings(ObjectiveSettings):
    """For a method that compares lists of maps."""

    student_layers: list[int] | None = Field(None, min_length=1, description="which student maps; null: all")
    teacher_layers: list[int] | None = Field(None, min_length=1, description="which teacher maps; null: all")


def hook_needs(hook: Literal["auto", "maps", "embedding"], pair: Pair, layout: bool) -> frozenset[str]:
    """What a method with a `hook` needs; `layout`: its maps are compared position by position."""
    of_maps = frozenset({"maps", "layout"} if layout else {"maps"})
    if hook == "maps":
        return of_maps
    has_maps = bool(pair.student_maps and pair.teacher_maps) and (pair.same_layout or not layout)
    return of_maps if hook == "auto" and has_maps else frozenset({"embedding"})


def one_map(settings: HookSettings, pair: Pair) -> tuple[Shape, Shape]:
    """Shapes (C, H, W) of the chosen student and teacher map. Raises InputError where there is no such map."""
    student = _named(pair.student_maps, [settings.student_layer], f"{settings.name}.student_layer", "student")
    teacher = _named(pair.teacher_maps, [settings.teacher_layer], f"{settings.name}.teacher_layer", "teacher")
    return student[0], teacher[0]


def many_maps(settings: LayersSettings, pair: Pair, paired: bool = True) -> tuple[list[Shape], list[Shape]]:
    """Shapes of the chosen maps of both. Raises InputError for an absent map, and for `paired` lists that differ."""
    student = _named(pair.student_maps, settings.student_layers, f"{settings.name}.student_layers", "student")
    teacher = _named(pair.teacher_maps, settings.teacher_layers, f"{settings.name}.teacher_layers", "teacher")
    if paired and len(student) != len(teacher):
        raise InputError(
            f"the student has {len(student)} maps and the teacher {len(teacher)}",
            settings.name,
            "choose as many of each with student_layers and teacher_layers",
        )
    return student, teacher


def _named(maps: list[Shape], layers: list[int] | None, where: str, whose: str) -> list[Shape]:
    if layers is None:
        return list(maps)
    for layer in layers:
        if not -len(maps) <= layer < len(maps):
            raise InputError(f"the {whose} has no map {layer} among its {len(maps)}", where, "count from 0")
    return [maps[layer] for layer in layers]


def paired_maps(settings: LayersSettings, student: Output, teacher: Output) -> tuple[list[Tensor], list[Tensor]]:
    """The maps that `many_maps` gave the shapes of."""
    of_student, of_teacher = student.maps, teacher.maps
    if settings.student_layers is not None:
        of_student = [of_student[layer] for layer in settings.student_layers]
    if settings.teacher_layers is not None:
        of_teacher = [of_teacher[layer] for layer in settings.teacher_layers]
    return of_student, of_teacher


def hooked(objective: Objective, student: Output, teacher: Output) -> tuple[Tensor, Tensor]:
    """What a method with a `hook` compares: maps (B, C, H, W), or embeddings (B, D), the teacher's as viewed."""
    if "maps" in objective.needs:
        return student.maps[objective.settings.student_layer], teacher.maps[objective.settings.teacher_layer]
    return student.embedding, objective.teacher_view(teacher.embedding)


def hooked_shapes(settings: HookSettings, pair: Pair, maps: bool) -> tuple[Shape, Shape]:
    """Shapes of what `hooked` gives, an embedding as (D, 1, 1)."""
    if maps:
        return one_map(settings, pair)
    teacher = pair.student_dim if settings.project else pair.teacher_dim
    return (pair.student_dim, 1, 1), (teacher, 1, 1)


def as_map(x: Tensor) -> Tensor:
    """An embedding (B, D) as a map (B, D, 1, 1); a map as it is."""
    return x[:, :, None, None] if x.ndim == 2 else x


def pooled(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps averaged adaptively to the smaller height and the smaller width of both."""
    size = (min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3]))
    first, second = (x if x.shape[2:] == size else F.adaptive_avg_pool2d(x, size) for x in (a, b))
    return first, second


def vector_projector(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Three linear layers with BatchNorm and ReLU between, (B, inputs) to (B, outputs)."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )
