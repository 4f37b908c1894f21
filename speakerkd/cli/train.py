"""Train a network as a config says; on several GPUs or machines through torchrun.

Writes exp/NAME: config.yaml, checkpoints, log.jsonl, TensorBoard files, and at the end model.safetensors and
model.json. A finished experiment is not trained again. `speakerkd train --settings` lists every setting.

Example: speakerkd train recipes/voxceleb/conf/margin.yaml --set train.epochs=36

Example of several processes: torchrun --nproc-per-node 4 --no-python speakerkd train CONFIG
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from speakerkd.cli.options import verb
from speakerkd.config import Settings
from speakerkd.work.progress import Update, bar, is_shown


class TrainOptions(Settings):
    """Which config is trained, and where."""

    config: list[Path] = Field(default_factory=list, description="training config (YAML), and others laid over it")
    overrides: list[str] = Field(
        default_factory=list, alias="set", description="change settings, such as optim.lr=0.001 train.epochs=9"
    )
    resume: bool = Field(False, description="go on from the newest whole checkpoint")
    check: bool = Field(False, description="check settings, data and networks, train nothing")
    name: str | None = Field(None, description="the experiment's folder below exp/")
    exp: Path | None = Field(None, description="the experiment's folder, wherever it is")
    list_settings: bool = Field(False, alias="settings", description="list every setting, then stop")

    @model_validator(mode="after")
    def _has_config(self) -> TrainOptions:
        if not self.config and not self.list_settings:
            raise ValueError("no config: give a YAML file, such as recipes/voxceleb/conf/margin.yaml")
        return self


@verb("config")
def train(settings: TrainOptions) -> None:
    """Train, check, or list the settings."""
    if settings.list_settings:
        from speakerkd.training.reference import reference

        print(reference())
        return
    # torch's rendezvous would print a C++ backtrace at every try; what is wrong comes as an exception, told in one line
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    from speakerkd.training.experiment import read_experiment

    label = settings.name or (settings.exp.resolve().name if settings.exp is not None else None)
    experiment = read_experiment(settings.config[0], settings.overrides, label, over=settings.config[1:])
    folder = settings.exp if settings.exp is not None else Path("exp") / experiment.name
    if settings.check:
        _check(experiment)
        return
    from speakerkd.training.loop import train as train_experiment

    with bar() as start:
        report = _Report(start)
        summary = train_experiment(experiment, folder, resume=settings.resume, report=report.row)
    if summary.get("already_finished"):
        print(
            f"{folder} is trained already, {summary['step']} steps; nothing to do (choose another --name to train anew)"
        )
    elif report.rows:
        figures = ", ".join(f"{key} {value:.4g}" for key, value in summary["figures"].items())
        print(
            f"trained {folder}: {summary['step']} steps in {_duration(summary['seconds'])}, "
            f"peak memory {summary['peak_gigabytes']:.1f} GB{', ' + figures if figures else ''}"
        )


def _check(experiment: Any) -> None:
    from speakerkd.training.build import build_parts
    from speakerkd.training.precision import STEP_OVER_FORWARD, forward_operations

    parts = build_parts(experiment)
    operations = STEP_OVER_FORWARD * forward_operations(parts.student, parts.task.example()) / 2
    parameters = sum(p.numel() for p in parts.student.parameters())
    paired = parts.source.paired
    taught = 0.0 if parts.teacher is None else 1.0 if paired is None else float(paired.mean())
    print(f"settings   {experiment.name}: task {experiment.task}, seed {experiment.seed}")
    print(f"data       {len(parts.source.labels)} samples of {len(parts.source.names)} classes")
    print(
        f"student    {experiment.student.name}, {parameters} parameters, {operations / 1e9:.3g} GFLOP a sample and step"
    )
    print(f"loss       {experiment.loss.name}")
    methods = " ".join(objective.name for objective in experiment.distill) or "none"
    print(f"teaching   {methods}, {taught:.1%} of the samples")
    print(f"run        {parts.steps} steps of {parts.sampler.size}, {parts.steps_per_epoch} an epoch")
    print("all is well")


class _Report:
    """Says the rows that the loop reports: a bar with the terms on a terminal, elsewhere a line each."""

    def __init__(self, start: Callable[[str], Update]) -> None:
        self.rows = 0
        self._start = start
        self._bar: Update | None = None
        self._steps = 0

    def row(self, row: dict[str, Any]) -> None:
        """Say one row of the log."""
        self.rows += 1
        if "about" in row:
            self._begin(row)
        elif "evaluation" in row:
            print(
                f"epoch {row['epoch']:g}: " + ", ".join(f"{k} {v:.4g}" for k, v in row["evaluation"].items()),
                flush=True,
            )
        elif self._bar is not None:
            self._bar(row["step"], self._steps, _terms(row))
        else:
            print(f"step {row['step']}/{self._steps} epoch {row['epoch']:.2f} {_terms(row)}", flush=True)

    def _begin(self, row: dict[str, Any]) -> None:
        about = row["about"]
        self._steps = about["steps"]
        notes = [
            f"{'resumed at' if row['resumed'] else 'from'} step {row['step']} of {about['steps']}",
            f"{about['samples']} samples of {about['classes']} classes",
            f"batches of {about['batch']}",
            f"{about['device']} {about['precision']}",
            *(["compiled"] if about["compiled"] else []),
            *(["features resident"] if about["resident"] else []),
            *([f"{about['processes']} processes"] if about["processes"] > 1 else []),
        ]
        print(", ".join(notes), flush=True)
        if is_shown():
            self._bar = self._start("")
            self._bar(row["step"], self._steps)


def _terms(row: dict[str, Any]) -> str:
    terms = " ".join(f"{name} {value:.3f}" for name, value in row["terms"].items())
    taught = f" taught {row['taught']:.0%}" if 0 < row["taught"] < 1 else ""
    return f"{terms}{taught} | {row['utterances_per_second']:.0f} samples/s | {_duration(row['seconds_left'])} left"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
