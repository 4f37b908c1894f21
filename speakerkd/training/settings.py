"""The settings of an experiment: what a training config may say, with bounds, defaults and meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from speakerkd.config import Settings, apply_overrides, merge, parse, read_yaml
from speakerkd.errors import InputError, nearest
from speakerkd.training.schedule import ScheduleSettings


class DataSettings(Settings):
    """Where the training data is and what a sample is made of (tasks `speaker` and `face`)."""

    train: str | list[str] = Field(
        description="data directory, or several: speakers of different directories count as different people"
    )
    dev: str | None = Field(None, description="data directory with trials_* for the early evaluation; null: none")
    crop_frames: int = Field(200, ge=8, le=10_000, description="frames of a training crop; 100 are a second")
    resident: Literal["auto", True, False] = Field(
        "auto", description="keep the features in the GPU's memory; auto: where they fit"
    )
    fraction: float = Field(1.0, gt=0, le=1, description="share of every speaker's utterances that is used")
    max_utterances: int | None = Field(None, ge=1, description="utterances of a speaker and epoch at most; null: all")
    time_mask: int = Field(0, ge=0, description="SpecAugment: widest strip of masked frames")
    band_mask: int = Field(0, ge=0, description="SpecAugment: widest strip of masked bands")
    shift: int = Field(4, ge=0, le=32, description="face crops: moved by up to this many pixels")
    flip: bool = Field(True, description="face crops: half of them mirrored")

    @property
    def directories(self) -> list[str]:
        return [self.train] if isinstance(self.train, str) else list(self.train)


class TeacherSettings(Settings):
    """Where the teacher's view of a sample comes from. Read only where `distill` names an objective."""

    archive: str | None = Field("teacher.scp", description="cached embeddings in the training directory; null: none")
    head: str | None = Field(
        None,
        description="linear classifier over them, from `speakerkd teach --head`: teacher_head.safetensors, or a path",
    )
    online: bool = Field(False, description="run the teacher in every step, for methods that need its maps")
    trainable: bool = Field(False, description="train the online teacher too, from fresh weights (disentangled)")
    width: float = Field(1.0, gt=0, le=2, description="channels of a trainable one, as a share of the full network's")
    name: str | None = Field(None, description="the online teacher's network, as `speakerkd teach --teacher`")
    weights: str | None = Field(None, description="the online teacher's weights, as `speakerkd teach --weights`")


class OptimSettings(Settings):
    """The optimiser and its learning rate."""

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="sgd: with Nesterov momentum")
    lr: float = Field(1e-3, gt=0, le=100, description="learning rate")
    lr_batch: int | None = Field(
        None, ge=1, description="samples a step that lr is meant for; other batches scale it in proportion; null: never"
    )
    weight_decay: float = Field(5e-5, ge=0, le=1, description="L2 term of adam and sgd, decoupled decay of adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd: momentum")
    nesterov: bool = Field(True, description="sgd: Nesterov's form")
    betas: tuple[float, float] = Field((0.9, 0.999), description="adam, adamw: decay of the moments")
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings, description="how the rate changes")

    def rate_for(self, batch: int) -> float:
        """The rate of steps of `batch` samples, scaled linearly (Goyal et al. 2017) where `lr_batch` says so."""
        return self.lr if self.lr_batch is None else self.lr * batch / self.lr_batch


class TrainSettings(Settings):
    """The run itself."""

    epochs: float = Field(36, gt=0, le=100_000, description="passes over the data, or times steps_per_epoch")
    steps_per_epoch: int | None = Field(None, ge=1, description="steps of an epoch; null: one pass over the data")
    speakers: int = Field(100, ge=1, le=100_000, description="speakers a batch, over all processes")
    utterances: int = Field(2, ge=1, le=100, description="utterances of each speaker in a batch")
    batch: int | None = Field(
        None, ge=1, le=1_000_000, description="samples a batch in any mix of classes; null: speakers x utterances"
    )
    precision: Literal["auto", "bf16", "fp32", "fp64"] = Field(
        "auto", description="auto: bf16 where the machine computes in it; fp64: weights and all, for checks"
    )
    compile: Literal["auto", True, False] = Field(
        "auto", description="torch.compile; auto: where the run is long enough"
    )
    channels_last: bool = Field(True, description="the memory order of convolutions that is fastest under bf16")
    gather: bool = Field(True, description="several processes: losses over the whole batch, not each process's rows")
    sync_batchnorm: bool = Field(True, description="several processes: BatchNorm over the whole batch")
    accumulate: int = Field(1, ge=1, le=1000, description="batches whose gradients are averaged in one step")
    clip_norm: float | None = Field(
        None, gt=0, description="gradients longer than this are shortened to it; null: never"
    )
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay of a moving average of the weights, which is then kept"
    )
    average_last: int = Field(
        0, ge=0, le=100, description="keep the mean weights of this many last checkpoints; 0: the last"
    )
    init: str | None = Field(None, description="experiment whose weights to start from (large-margin fine-tuning)")
    evaluate_every: float = Field(1.0, ge=0, description="epochs between early evaluations; 0: never")
    checkpoint_every: float = Field(1.0, gt=0, description="epochs between checkpoints")
    checkpoint_minutes: float | None = Field(30.0, gt=0, description="and after this many minutes; null: not by time")
    keep_last: int = Field(3, ge=1, description="newest checkpoints that stay")
    keep_best: int = Field(1, ge=0, description="checkpoints with the best early evaluation that stay")
    publish: Literal["last", "best"] = Field(
        "last", description="the weights in model.safetensors: the last (or their average), or the best checkpoint's"
    )
    log_every: int = Field(20, ge=1, description="steps between lines of the log")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    timeout_minutes: float = Field(
        30.0, gt=0, description="several processes: a silent one is given up after this long"
    )

    @model_validator(mode="after")
    def _enough_kept(self) -> TrainSettings:
        if self.average_last > self.keep_last:
            raise ValueError(f"average_last {self.average_last} needs keep_last of at least as many")
        if self.average_last and self.ema:
            raise ValueError("ema and average_last exclude each other, set one of them")
        return self


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
    from speakerkd.training.task import TASKS

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
