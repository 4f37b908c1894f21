"""The one training loop: every task, from one CPU to many nodes."""

from __future__ import annotations

import contextlib
import logging
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speakerkd.errors import InputError, nearest
from speakerkd.models.network import Network
from speakerkd.tasks.base import Embed, TrainsTogether
from speakerkd.training.build import build_parts
from speakerkd.training.checkpoint import load_newest, prune, restore, save_checkpoint
from speakerkd.training.experiment import Experiment
from speakerkd.training.folder import begin_folder, checkpoints, enter_folder, finish, summary_of
from speakerkd.training.loader import Loader
from speakerkd.training.log import Log, Means
from speakerkd.training.precision import autocast
from speakerkd.training.processes import from_main, join_processes
from speakerkd.training.publish import publish
from speakerkd.training.samples import sample_pictures
from speakerkd.training.trainer import Trainer
from speakerkd.work.machine import code_version, command_line, processor

Report = Callable[[dict[str, Any]], None]
log = logging.getLogger(__name__)
ONE_WAY = 0.98  # mean cosine of projected teacher embeddings from which they say nothing of who it is


def train(
    experiment: Experiment, folder: Path | str, resume: bool = False, report: Report | None = None
) -> dict[str, Any]:
    """Train an experiment into its folder and return a summary: steps, seconds, last figures, peak memory.

    resume: go on from the newest whole checkpoint; the weights at the end are those of an undisturbed run, bit for bit
    on a CPU. report: called with every row of the log. A finished experiment is not trained again: its summary comes
    back with "already_finished". Raises InputError for faults of settings, data, folder or machine.
    """
    folder = Path(folder)
    with join_processes(experiment.train) as accelerator, contextlib.ExitStack() as held:
        main = accelerator.is_main_process
        status = from_main(accelerator, enter_folder(folder, experiment, resume, held) if main else "")
        if status == "finished":
            return {**(summary_of(folder) or {}), "already_finished": True}
        trainer = Trainer(build_parts(experiment, str(accelerator.device)), accelerator)
        if main and status == "new":
            begin_folder(folder, experiment, held)
        return TrainingLoop(trainer, folder, report or (lambda row: None)).run()


class TrainingLoop:
    """A trainer on its way through the epochs: log, early evaluation, checkpoints, and the model at the end."""

    def __init__(self, trainer: Trainer, folder: Path, report: Report) -> None:
        self.trainer, self.folder, self.report = trainer, folder, report
        self.parts, self.settings = trainer.parts, trainer.settings
        self.main = trainer.accelerator.is_main_process
        self.figures: dict[str, float] = {}
        self.before = 0.0  # seconds that an interrupted run has taken
        self.began = time.monotonic()
        self.book: Log | None = None
        self.warned = False

    def run(self) -> dict[str, Any]:
        """Train from the newest checkpoint, or from the start; publish the model and return the summary."""
        newest = load_newest(checkpoints(self.folder))
        if newest is not None:
            restore(newest, self.trainer.modules, self.trainer.optimizer)
            self.trainer.step = newest.step
            self.figures, self.before = newest.state.figures, newest.state.seconds
        with contextlib.ExitStack() as stack:
            if self.main:
                self.book = stack.enter_context(contextlib.closing(Log(self.folder, newest.step if newest else -1)))
            about = self.about()
            self.write({"step": self.trainer.step, "about": about, "resumed": newest is not None})
            if self.book is not None and self.settings.samples:
                for name, pictures in sample_pictures(self.parts, self.settings.samples).items():
                    self.book.pictures(f"samples/{name}", pictures, self.trainer.step)
            if self.trainer.step < self.parts.steps:
                self._steps(stack.enter_context(contextlib.closing(self.trainer.open_loader())))
            summary = {
                "step": self.trainer.step,
                "seconds": round(self.seconds(), 1),
                "figures": self.figures,
                "peak_gigabytes": round(_peak_bytes(self.trainer.device) / 1e9, 3),
                **about,
            }
            if self.main:
                publish(self.folder, self.parts, self.trainer.ema)
                finish(self.folder, summary, self.parts.task.latest)
            self.trainer.accelerator.wait_for_everyone()
        return summary

    def _steps(self, loader: Loader) -> None:
        trainer, settings, steps = self.trainer, self.settings, self.parts.steps
        evaluate_every = self._steps_of(settings.evaluate_every) if settings.evaluate_every else 0
        save_every = self._steps_of(settings.checkpoint_every)
        means, pace = Means(), _Pace(trainer.step)
        saved_at = time.monotonic()
        trainer.train_mode()
        while trainer.step < steps:
            terms, share = trainer.take_step(loader)
            means.add(terms)
            pace.taught += share
            step, last = trainer.step, trainer.step == steps
            if step % settings.log_every == 0 or last:
                self._log_terms(means.read(), pace)
            evaluated = bool(evaluate_every) and (step % evaluate_every == 0 or last)
            if evaluated:
                trainer.guard.flush()
                self.figures = self.evaluate()
                if self.figures:
                    self.write({"step": step, "epoch": self.epoch, "evaluation": self.figures})
            minutes = settings.checkpoint_minutes
            due = minutes is not None and time.monotonic() - saved_at > 60 * minutes
            regular = step % save_every == 0 or last
            if regular or due:
                self.save(self.figures if evaluated else {}, regular)
                saved_at = time.monotonic()
            if evaluated or saved_at > pace.since:
                pace.restart(step)

    def _steps_of(self, epochs: float) -> int:
        return max(round(epochs * self.parts.steps_per_epoch), 1)

    def _log_terms(self, means: dict[str, float], pace: _Pace) -> None:
        trainer, parts = self.trainer, self.parts
        each = pace.seconds_a_step(trainer.step)
        projection_collapse = parts.objectives.projection_collapse()
        weights = parts.objectives.quality_weights()
        if projection_collapse is not None and projection_collapse > ONE_WAY and not self.warned and self.main:
            self.warned = True
            log.warning(
                "step %d: the projection head gives nearly one vector for all teacher embeddings (mean cosine %.2f), "
                "which teaches nothing; raise projection.alpha (to 0.9, or 1), or lower optim.lr",
                trainer.step,
                projection_collapse,
            )
        self.write(
            {
                "step": trainer.step,
                "epoch": self.epoch,
                "terms": {name: _rounded(value) for name, value in means.items()},
                "lr": _rounded(trainer.optimizer.param_groups[0]["lr"]),
                "utterances_per_second": _rounded(parts.sampler.size * self.settings.accumulate / each),
                "taught": round(pace.taught / (trainer.step - pace.first), 4),
                **({} if projection_collapse is None else {"projection_collapse": _rounded(projection_collapse)}),
                **({"quality_weight": {k: _rounded(v) for k, v in weights.items()}} if weights else {}),
                "seconds_left": round(each * (parts.steps - trainer.step), 1),
            }
        )
        pace.restart(trainer.step)

    @property
    def epoch(self) -> float:
        return round(self.trainer.step / self.parts.steps_per_epoch, 4)

    def write(self, row: dict[str, Any]) -> None:
        """Put a row into the log and report it; the main process alone does."""
        if self.book is not None:
            self.book.write(row)
            self.report(row)

    def save(self, fresh: dict[str, float], regular: bool) -> None:
        """Write a checkpoint and remove those that need not stay.

        fresh: figures of this very step's weights. regular: one that the settings ask for; else the clock did.
        """
        self.trainer.guard.flush()  # no weights are kept that a value which is not finite has reached
        if not self.main:
            return
        task = self.parts.task
        metric = self.settings.best or task.metric
        if fresh and metric not in fresh:
            raise InputError(f"no figure '{metric}'", "train.best", nearest(metric, fresh))
        state = {"figures": self.figures, "metric": fresh.get(metric), "seconds": self.seconds()}
        own = self.parts.own_figures
        state |= {"regular": regular, "metrics": {name: fresh[name] for name in own if name in fresh}}
        where = checkpoints(self.folder)
        save_checkpoint(where, self.trainer.step, self.trainer.modules, self.trainer.optimizer, state)
        prune(where, self.settings.keep_last, self.settings.keep_best, task.lower_is_better, own)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The task's figures under the weights that would be published now; every process waits for the first."""
        trainer = self.trainer
        networks = self.parts.published if trainer.ema is None else trainer.ema.network
        figures: dict[str, float] = {}
        if self.main:
            networks.eval()

            def embed_with(module: Network) -> Embed:
                def embed(x: Tensor) -> Tensor:
                    with autocast(trainer.device, trainer.dtype):
                        return module(trainer.exact(x.to(trainer.device))).embedding.float().cpu()

                return embed

            task = self.parts.task
            if networks.teacher is not None:
                assert isinstance(task, TrainsTogether)
                values = task.evaluate_together(embed_with, networks.student, networks.teacher)
            else:
                values = task.evaluate(embed_with(networks.student), networks.loss.classifier)
            figures = {name: _rounded(value) for name, value in values.items()}
            trainer.train_mode()
        trainer.accelerator.wait_for_everyone()
        return figures

    def about(self) -> dict[str, Any]:
        """How and on what the run computes, and by which code and command."""
        trainer, parts = self.trainer, self.parts
        return {
            "command": command_line(),
            "speakerkd": code_version(),
            "processor": processor(),
            "gpu": torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else None,
            "device": trainer.device.type,
            "processes": trainer.ranks,
            "precision": {torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}[trainer.dtype],
            "compiled": trainer.compiled,
            "resident": parts.source.device != "cpu",
            "samples": len(parts.source.labels),
            "classes": len(parts.source.names),
            "batch": parts.sampler.size,
            "steps": parts.steps,
            "steps_per_epoch": parts.steps_per_epoch,
        }

    def seconds(self) -> float:
        """Wall time of the run so far, interruptions left out."""
        return self.before + time.monotonic() - self.began


class _Pace:
    """Time and taught rows since a step, evaluations and checkpoints left out."""

    def __init__(self, step: int) -> None:
        self.restart(step)

    def restart(self, step: int) -> None:
        self.first, self.since, self.taught = step, time.monotonic(), 0.0

    def seconds_a_step(self, step: int) -> float:
        return (time.monotonic() - self.since) / (step - self.first)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _rounded(value: float) -> float:
    """Six significant digits, for the log."""
    return float(f"{value:.6g}")
