"""Every setting of a training config: default, bounds and meaning, from the settings themselves."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from speakerkd.config import bounds
from speakerkd.distill import METHODS, ProjectionSettings
from speakerkd.losses import LOSSES
from speakerkd.tasks.table import TASKS
from speakerkd.teachers.module import TeacherSettings
from speakerkd.training.experiment import Experiment
from speakerkd.training.settings import OptimSettings, TrainSettings


def reference() -> str:
    """One line a setting, `key: default  # meaning (bounds)`, grouped as in a config; losses and objectives by name."""
    fields = Experiment.model_fields
    lines = [_line(name, fields[name], 0) for name in ("task", "name", "seed")]
    for name, task in TASKS.items():
        lines += [
            f"data:  # task: {name}",
            *_group(task.Data, 1),
            f"student:  # task: {name}",
            *_group(task.Student, 1),
        ]
    for name in dict.fromkeys(LOSSES):
        lines += ["loss:", f"  name: {name}", *_group(LOSSES[name].Settings, 1)]
    lines += ["projection:", *_group(ProjectionSettings, 1)]
    for name, settings in (("teacher", TeacherSettings), ("optim", OptimSettings), ("train", TrainSettings)):
        lines += [f"{name}:", *_group(settings, 1)]
    for name, method in METHODS.items():
        lines += ["distill:", f"  - name: {name}", *_group(method.Settings, 2)]
    return "\n".join(lines)


def _group(settings: type[BaseModel], depth: int) -> list[str]:
    lines = []
    for name, field in settings.model_fields.items():
        if name == "name" and not field.description:  # of a loss or an objective, whose caller has printed it
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines += [f"{'  ' * depth}{name}:", *_group(field.annotation, depth + 1)]
        else:
            lines.append(_line(name, field, depth))
    return lines


def _line(name: str, field: FieldInfo, depth: int) -> str:
    default: Any = field.get_default(call_default_factory=True)
    text = "  # required" if default is PydanticUndefined else f" {_plain(default)}  #"
    meaning = f" {field.description}" if field.description else ""
    between = f" ({', '.join(bounds(field))})" if bounds(field) else ""
    return f"{'  ' * depth}{name}:{text}{meaning}{between}"


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("...\n").strip()
