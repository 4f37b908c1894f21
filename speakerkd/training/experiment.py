"""A whole training config: read, checked, and compared with another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from speakerkd.config import Settings, apply_overrides, merge, parse, read_yaml
from speakerkd.errors import InputError, nearest
from speakerkd.teachers.module import TeacherSettings
from speakerkd.training.settings import OptimSettings, TrainSettings


class Experiment(Settings):
    """A training config. `data` and `student` are of the task's own kind, `loss` of the loss's."""

    task: str = Field("speaker", description="what is trained")
    name: str = Field("", description="the experiment's name, its folder below exp/; empty: the config's file name")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="of weights, batches and crops")
    data: Any = Field(description="the training data")
    student: Any = Field(default_factory=dict, description="the network")
    loss: dict[str, Any] = Field(default_factory=dict, description="the task's own loss")
    teacher: TeacherSettings = Field(default_factory=TeacherSettings, description="the teacher")
    projection: dict[str, Any] = Field(default_factory=dict, description="the teacher's projection head")
    distill: list[dict[str, Any]] = Field(default_factory=list, description="the teaching objectives; []: no teaching")
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
    """Read and check a training config, `--set` strings on top; every part is parsed into its own typed settings.

    name: the experiment's, before the config's own and the file's. over: further configs, each laid over those before.

    Raises InputError that names a misspelt key, its nearest right one, or the bound that a value breaks.
    """
    values = read_yaml(config)
    for path in over:
        values = merge(values, read_yaml(path))
    values = apply_overrides(values, overrides)
    values["name"] = str(name or values.get("name") or Path(config).stem)
    return check_experiment(values, config)


def check_experiment(values: dict[str, Any], where: object) -> Experiment:
    """The experiment that a mapping describes, every part typed and complete with defaults; raises InputError."""
    from speakerkd.distill import parse_specs
    from speakerkd.distill.projection import ProjectionSettings
    from speakerkd.losses import parse_loss
    from speakerkd.tasks.table import TASKS

    experiment = parse(Experiment, values, where)
    if experiment.task not in TASKS:
        raise InputError(f"unknown task '{experiment.task}'", where, nearest(experiment.task, TASKS))
    kind = TASKS[experiment.task]
    experiment.data = _part(kind.Data, experiment.data, "data", where)
    experiment.student = _part(kind.Student, experiment.student, "student", where)
    if "utterances" not in experiment.loss and experiment.train.utterances > 1:
        experiment.loss = _with_utterances(experiment.loss, experiment.train.utterances)
    experiment.loss = parse_loss(experiment.loss).model_dump(mode="json")
    _check_rows(experiment, where)
    projection = _part(ProjectionSettings, experiment.projection, "projection", where)
    experiment.projection = projection.model_dump(mode="json")
    experiment.distill = [spec.model_dump(mode="json") for spec in parse_specs(experiment.distill)]
    return experiment


def _with_utterances(loss: dict[str, Any], utterances: int) -> dict[str, Any]:
    """The loss's settings with the batch's utterances a speaker, where it takes that number."""
    from speakerkd.losses import LOSSES, parse_loss

    name = parse_loss({k: v for k, v in loss.items() if k == "name"}).name
    return {**loss, "utterances": utterances} if "utterances" in LOSSES[name].Settings.model_fields else loss


def _check_rows(experiment: Experiment, where: object) -> None:
    wanted, given = experiment.loss.get("utterances"), experiment.train.utterances
    if wanted is not None and (experiment.train.batch is not None or wanted != given):
        batch = "batches of any mix" if experiment.train.batch is not None else f"{given} utterances of a speaker"
        raise InputError(
            f"the loss '{experiment.loss['name']}' wants {wanted} utterances of a speaker, a batch has {batch}",
            where,
            "set train.utterances to at least 2 and train.batch to null, or take loss.name: softmax or aam",
        )


def _part(kind: type[Settings], values: Any, name: str, where: object) -> Settings:
    if not isinstance(values, dict):
        raise InputError(f"'{name}' is a mapping of keys to values", where, "see recipes/voxceleb/conf/base.yaml")
    try:
        return parse(kind, values, where)
    except InputError as error:
        raise InputError(error.what.replace("setting '", f"setting '{name}.", 1), error.where, error.fix) from error


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
