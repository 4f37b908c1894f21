"""The settings of an experiment: what a training config may say, with bounds, defaults and meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from speakerkd.config import DeviceName, Settings
from speakerkd.training.schedule import ScheduleSettings


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
    best: str | None = Field(
        None, description="figure of the early evaluation that names the best checkpoint; null: the task's own"
    )
    log_every: int = Field(20, ge=1, description="steps between lines of the log")
    samples: int = Field(0, ge=0, le=64, description="training samples shown as pictures in TensorBoard, at the start")
    device: DeviceName = Field("auto", description="auto (a GPU where there is one), cpu, cuda, cuda:N or mps")
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
