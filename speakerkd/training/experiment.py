"""A whole training config: read, checked, and compared with another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, SerializeAsAny, field_validator

from speakerkd.config import Settings, apply_overrides, merge, parse, read_yaml
from speakerkd.distill import ObjectiveSettings, ProjectionSettings, parse_specs
from speakerkd.errors import InputError, nearest
from speakerkd.losses import LOSSES, LossSettings, parse_loss
from speakerkd.tasks.base import TrainingData
from speakerkd.tasks.table import TASKS
from speakerkd.teachers.module import TeacherSettings
from speakerkd.training.settings import OptimSettings, TrainSettings
from speakerkd.work.shipped import find_config

S = TypeVar("S", bound=Settings)


class Experiment(Settings):
    """A training config, every part typed: `data` and `student` as the task has them, `loss` as the loss has it."""

    task: str = Field("speaker", description="what is trained")
    name: str = Field("", description="the experiment's name, its folder below exp/; empty: the config's file name")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="of weights, batches and crops")
    data: SerializeAsAny[TrainingData] = Field(description="the training data")
    student: SerializeAsAny[Settings] = Field(description="the network")
    loss: SerializeAsAny[LossSettings] = Field(description="the task's own loss")
    teacher: TeacherSettings = Field(default_factory=TeacherSettings, description="the teacher")
    projection: ProjectionSettings = Field(
        default_factory=ProjectionSettings, description="the teacher's projection head"
    )
    distill: list[SerializeAsAny[ObjectiveSettings]] = Field(
        default_factory=list, description="the teaching objectives; []: no teaching"
    )
    optim: OptimSettings = Field(default_factory=OptimSettings, description="the optimiser")
    train: TrainSettings = Field(default_factory=TrainSettings, description="the run")

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        if name and (not re.fullmatch(r"[^/\\\0]+", name) or name in {".", "..", "latest"}):
            raise ValueError("an experiment's name is one folder name, other than `latest`")
        return name


def read_experiment(
    config: Path | str, overrides: Iterable[str] = (), name: str | None = None, *, over: Iterable[Path | str] = ()
) -> Experiment:
    """Read and check a training config, `--set` strings on top.

    Parameters
    ----------
    config: path of a YAML file.
    overrides: `a.b=c` strings, which win over the files.
    name: the experiment's, before the config's own and the file's.
    over: further configs, each laid over those before.

    Raises
    ------
    InputError that names a misspelt key, its nearest right one, or the bound that a value breaks.
    """
    config = find_config(config)
    values = read_yaml(config)
    for path in over:
        values = merge(values, read_yaml(find_config(path)))
    values = apply_overrides(values, overrides)
    values["name"] = str(name or values.get("name") or Path(config).stem)
    return check_experiment(values, config)


def check_experiment(values: Mapping[str, Any], where: object) -> Experiment:
    """The experiment that a mapping describes, every part typed and complete with defaults; raises InputError."""
    name = values.get("task", Experiment.model_fields["task"].default)
    if not isinstance(name, str) or name not in TASKS:
        raise InputError(f"unknown task '{name}'", where, nearest(str(name), TASKS))
    task = TASKS[name]
    values = _with_teachers(values, where)
    train = _part(TrainSettings, values, "train", where)
    experiment = parse(
        Experiment,
        {
            **values,
            "data": _part(task.Data, values, "data", where),
            "student": _part(task.Student, values, "student", where),
            "loss": _loss(values.get("loss", {}), train.utterances),
            "distill": parse_specs(values.get("distill", [])),
            "train": train,
        },
        where,
    )
    _refuse_other_rows(experiment, where)
    return experiment


def _with_teachers(values: Mapping[str, Any], where: object) -> dict[str, Any]:
    """`teachers: [face, speech]`, or a mapping of them, as `teacher.several`."""
    values = dict(values)
    teachers = values.pop("teachers", None)
    if teachers is None:
        return values
    if isinstance(teachers, list):
        double = next((n for n in teachers if teachers.count(n) > 1), None)
        if double is not None:
            raise InputError(f"two teachers of one name '{double}'", f"{where}: teachers", "give each its own")
        teachers = {str(n): {} for n in teachers}
    if not isinstance(teachers, Mapping) or not teachers:
        raise InputError("not a list of teachers", f"{where}: teachers", "write `teachers: [face, speech]`")
    several = {str(n): one or {} for n, one in teachers.items()}
    return {**values, "teacher": {**(values.get("teacher") or {}), "several": several}}


def _part(kind: type[S], values: Mapping[str, Any], name: str, where: object) -> S:
    """The settings of one group of a config."""
    return parse(kind, values.get(name, {}), where, under=name)


def _loss(values: Mapping[str, Any] | LossSettings, utterances: int) -> LossSettings:
    """The loss's settings; one that takes the batch's utterances a speaker has them from the batch."""
    if isinstance(values, Mapping) and "utterances" not in values and utterances > 1:
        kind = LOSSES[parse_loss({k: v for k, v in values.items() if k == "name"}).name].Settings
        values = {**values, "utterances": utterances} if "utterances" in kind.model_fields else values
    return parse_loss(values)


def _refuse_other_rows(experiment: Experiment, where: object) -> None:
    """A loss over several utterances a speaker needs batches that hold them side by side."""
    wanted, train = getattr(experiment.loss, "utterances", None), experiment.train
    if wanted is not None and (train.batch is not None or wanted != train.utterances):
        batch = "batches of any mix" if train.batch is not None else f"{train.utterances} utterances of a speaker"
        raise InputError(
            f"the loss '{experiment.loss.name}' wants {wanted} utterances of a speaker, a batch has {batch}",
            where,
            "set train.utterances to at least 2 and train.batch to null, or take loss.name: softmax or aam",
        )
    if wanted is not None and train.speakers == 1:
        raise InputError(
            f"the loss '{experiment.loss.name}' tells a batch's speakers apart, and a batch has one",
            where,
            "set train.speakers to at least 2, or take loss.name: softmax or aam and give train.batch",
        )


def flat(settings: Settings) -> dict[str, Any]:
    """Settings as {dotted key: plain value}."""
    return flatten(settings.model_dump(mode="json"))


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings, and lists of mappings, as {dotted key: value}."""
    if isinstance(values, dict) and values:
        items = [(str(key), inner) for key, inner in values.items()]
    elif isinstance(values, list) and any(isinstance(inner, dict) for inner in values):
        items = [(str(number), inner) for number, inner in enumerate(values)]
    else:
        return {prefix: values}
    return {k: v for key, inner in items for k, v in flatten(inner, f"{prefix}.{key}" if prefix else key).items()}


def changed(old: dict[str, Any], new: dict[str, Any], harmless: Iterable[str] = ()) -> list[str]:
    """`key: old -> new` for every setting that differs and is not harmless, sorted."""
    keys = sorted((old.keys() | new.keys()) - set(harmless))
    missing = "(not set)"
    return [
        f"{key}: {old.get(key, missing)} -> {new.get(key, missing)}"
        for key in keys
        if old.get(key, missing) != new.get(key, missing)
    ]
