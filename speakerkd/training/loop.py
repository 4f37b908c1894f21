"""The one training loop: every task, from one CPU to many nodes."""

from __future__ import annotations

import contextlib
import logging
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.tensors import Batch, Output
from speakerkd.training import checkpoint as saving
from speakerkd.training.averaging import Ema
from speakerkd.training.build import Parts, build_parts, seed_all
from speakerkd.training.distributed import average_gradients, gather_output, share_batchnorm
from speakerkd.training.folder import checkpoints, finish, open_folder, summary_of
from speakerkd.training.guards import FiniteGuard, is_out_of_memory, largest_that_fits
from speakerkd.training.loader import Loader, Ready
from speakerkd.training.log import Log, Means
from speakerkd.training.precision import (
    autocast,
    forward_operations,
    keep_freed_memory,
    working_type,
    worth_compiling,
)
from speakerkd.training.publish import publish
from speakerkd.training.schedule import rate
from speakerkd.training.settings import Experiment

log = logging.getLogger(__name__)
Report = Callable[[dict[str, Any]], None]


def train(
    experiment: Experiment, folder: Path | str, resume: bool = False, report: Report | None = None
) -> dict[str, Any]:
    """Train an experiment into its folder and return a summary: steps, seconds, last figures, peak memory.

    resume: go on from the newest whole checkpoint; the weights at the end are those of an undisturbed run, bit for bit
    on a CPU. report: called with every row of the log. A finished experiment is not trained again: its summary comes
    back with "already_finished". Raises InputError for faults of settings, data, folder or machine.
    """
    folder = Path(folder)
    with _processes(experiment) as accelerator:
        status = open_folder(folder, experiment, resume) if accelerator.is_main_process else ""
        status = _from_main(accelerator, status)
        if status == "finished":
            return {**summary_of(folder), "already_finished": True}
        trainer = Trainer(experiment, accelerator)
        try:
            return trainer.run(folder, report or (lambda row: None))
        finally:
            trainer.close()


@dataclass(slots=True)
class Losses:
    """One batch's terms, unweighted by the task weight; total: what is differentiated. share: of rows that are taught."""

    total: Tensor
    terms: dict[str, Tensor]
    share: float


class Trainer:
    """The state of a run and its step."""

    def __init__(self, experiment: Experiment, accelerator) -> None:
        settings = experiment.train
        self.experiment, self.settings, self.accelerator = experiment, settings, accelerator
        self.device: torch.device = accelerator.device
        self.ranks, self.rank = accelerator.num_processes, accelerator.process_index
        if self.device.type == "cpu":
            keep_freed_memory()
        else:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self.parts = parts = build_parts(experiment, str(self.device))
        self.dtype = working_type(settings.precision, self.device)
        example = parts.task.example()
        operations = (
            forward_operations(parts.student, example) / 2 * parts.sampler.size * settings.accumulate * parts.steps
        )
        self.compiled = worth_compiling(settings.compile, self.device, operations, self.ranks)
        if self.ranks > 1 and settings.sync_batchnorm:
            parts.student = share_batchnorm(parts.student, self.device.type)
        for module in (*parts.modules.values(), *([parts.teacher] if parts.teacher else [])):
            module.to(self.device)
        if settings.channels_last:
            parts.student.to(memory_format=torch.channels_last)
            if parts.teacher is not None:
                parts.teacher.to(memory_format=torch.channels_last)
        self.maps = "maps" in parts.objectives.needs or "layout" in parts.objectives.needs
        self.strong = "strong" in parts.objectives.needs
        self.forward = self._wrapped(parts.student)
        self.optimizer = _optimizer(experiment, parts)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        in_student = {id(p) for p in parts.student.parameters()}
        self.alone = [p for p in self.parameters if id(p) not in in_student]
        self.ema = Ema(parts.student, settings.ema).to(self.device) if settings.ema else None
        self.modules = {**parts.modules, **({"ema": self.ema} if self.ema else {})}
        self.guard = FiniteGuard(parts.source.keys)
        self.means = Means()
        self.loader: Loader | None = None
        self.step = 0

    def _wrapped(self, student: nn.Module) -> nn.Module:
        """The student as the step calls it: compiled, and under DistributedDataParallel where there are several processes."""
        network = torch.compile(student, dynamic=False) if self.compiled else student
        return self.accelerator.prepare_model(network) if self.ranks > 1 else network

    def open_loader(self) -> Loader:
        """Start making batches from the current step on."""
        return Loader(
            self.parts.source,
            self.parts.sampler,
            self.experiment.seed,
            self.device,
            start=self.step * self.settings.accumulate,
            unit=self.parts.unit,
            rank=self.rank,
            ranks=self.ranks,
            whole=self.settings.gather,
        )

    def losses(self, ready: Ready) -> Losses:
        """Student, task loss and teaching terms of one batch."""
        parts, experiment = self.parts, self.experiment
        x, strong = parts.source.view(ready.batch.student, ready.chance)
        seed_all(experiment.seed, 3, ready.number, self.rank)
        with autocast(self.device, self.dtype):
            output = self._student(x, strong if self.strong else None)
        seed_all(experiment.seed, 4, ready.number)
        if self.ranks > 1 and self.settings.gather:
            output = gather_output(output)
        batch = ready.batch
        task_terms, logits = parts.loss(output.embedding, batch.label)
        output.logits = logits
        terms = dict(task_terms)
        total = parts.objectives.task_weight * sum(task_terms.values())
        if logits is not None:
            terms["accuracy"] = (logits.detach().argmax(1) == batch.label).float().mean()
        if len(parts.objectives) and (ready.taught is None or len(ready.taught)):
            taught = self._taught(output, ready)
            terms |= taught
            total = total + sum(taught.values())
        return Losses(total, terms, ready.share)

    def _student(self, x: Tensor, strong: Tensor | None) -> Output:
        if strong is None:
            return _wide(self.forward(x, maps=self.maps))
        both = _wide(self.forward(torch.cat([x, strong]), maps=self.maps))
        half = torch.arange(len(x), device=x.device)
        output = both.rows(half)
        output.strong = both.rows(half + len(x))
        return output

    def _taught(self, output: Output, ready: Ready) -> dict[str, Tensor]:
        """The weighted teaching terms, of the rows that have a teacher input."""
        parts, batch = self.parts, ready.batch
        if output.strong is not None and parts.loss.classifier is not None:
            output.strong.logits = parts.loss.classifier(output.strong.embedding)
        with autocast(self.device, self.dtype) if parts.teacher.network is not None else contextlib.nullcontext():
            teacher = parts.teacher(batch.teacher, maps=self.maps)
        teacher = _wide(teacher)
        # what the objectives see has as many rows everywhere: the input itself is of this process's rows alone
        seen = Batch(output.embedding.detach(), batch.teacher, batch.label, batch.index)
        if ready.taught is not None:
            output, teacher, seen = output.rows(ready.taught), teacher.rows(ready.taught), seen.rows(ready.taught)
        return parts.objectives(output, teacher, seen)

    def train_step(self) -> float:
        """One optimiser step; returns the share of rows that were taught."""
        settings = self.settings
        epoch = self.step / self.parts.steps_per_epoch
        self.parts.loss.start_step(epoch)
        self.parts.objectives.start_step(epoch)
        learning_rate = rate(
            self.experiment.optim.schedule,
            self.experiment.optim.lr,
            self.step,
            self.parts.steps_per_epoch,
            settings.epochs,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        share = 0.0
        gathered: dict[str, Tensor] = {}
        for part in range(settings.accumulate):
            ready = next(self.loader)
            last = part == settings.accumulate - 1
            failed = False
            try:
                with contextlib.nullcontext() if last or self.ranks == 1 else self.forward.no_sync():
                    found = self.losses(ready)
                    (found.total / settings.accumulate if settings.accumulate > 1 else found.total).backward()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failed = True  # left first, so that nothing holds on to the step's memory any more
            if failed:
                found = None
                self._out_of_memory(ready)
            self._watch(found, ready)
            for name, value in {**found.terms, "loss": found.total}.items():
                gathered[name] = gathered[name] + value.detach() if name in gathered else value.detach()
            share += found.share / settings.accumulate
        average_gradients(self.alone)
        if settings.clip_norm is not None:
            gathered["gradient"] = nn.utils.clip_grad_norm_(self.parameters, settings.clip_norm) * settings.accumulate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.parts.student)
        self.means.add({name: value / settings.accumulate for name, value in gathered.items()})
        self.step += 1
        return share

    def _watch(self, found: Losses, ready: Ready) -> None:
        names = [name for name in found.terms if name != "accuracy"]
        self.guard.watch(
            self.step, names, torch.stack([found.terms[name].detach().float() for name in names]), ready.index
        )

    def _out_of_memory(self, ready: Ready) -> None:
        """Find the batch that would have fitted, and say so."""
        self.optimizer.zero_grad(set_to_none=True)
        speakers = len(ready.index) // self.parts.unit
        fits = speakers // 2 // self.ranks * self.ranks
        if self.ranks == 1:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            fits = largest_that_fits(lambda units: self._trial(ready, units), speakers)
        setting = "train.speakers" if self.settings.batch is None else "train.batch"
        if fits < 1:
            raise InputError(
                "out of memory, even for the smallest batch", setting, "take a smaller student or train.crop_frames"
            )
        several = -(-speakers // fits)
        raise InputError(
            f"out of memory with a batch of {speakers}",
            setting,
            f"a batch of {fits} fits: set {setting} to it, and train.accumulate to {several} for as many samples a step",
        )

    def _trial(self, ready: Ready, units: int) -> None:
        """Forward and backward pass over the first units of a batch."""
        if units < 1:
            return
        rows = torch.arange(units * self.parts.unit, device=self.device)
        taught = None if ready.taught is None else ready.taught[ready.taught < len(rows)]
        part = Ready(ready.batch.rows(rows), ready.chance[rows], taught, ready.share, ready.number, ready.index)
        try:
            self.losses(part).total.backward()
        finally:
            self.optimizer.zero_grad(set_to_none=True)

    def run(self, folder: Path, report: Report) -> dict[str, Any]:
        """Train to the end, from the newest checkpoint where there is one."""
        found = saving.load_newest(checkpoints(folder))
        if found is not None:
            saving.restore(found, self.modules, self.optimizer)
            self.step = found.step
        main = self.accelerator.is_main_process
        book = Log(folder, self.step) if main else None

        def write(row: dict[str, Any]) -> None:
            if book is not None:
                book.write(row)
                report(row)

        try:
            write({"step": self.step, "about": self.about(), "resumed": found is not None})
            figures = self._epochs(folder, write, found.state.get("figures", {}) if found else {})
            self.guard.flush()
            seconds = found.state.get("seconds", 0.0) if found else 0.0
            summary = {
                "step": self.step,
                "seconds": round(seconds + self._clock(), 1),
                "figures": figures,
                "peak_gigabytes": round(_peak_bytes(self.device) / 1e9, 3),
                **self.about(),
            }
            if main:
                publish(folder, self.parts, self.ema)
                finish(folder, summary, self.parts.task.latest)
            self.accelerator.wait_for_everyone()
            return summary
        finally:
            if book is not None:
                book.close()

    def _epochs(self, folder: Path, write: Report, figures: dict[str, float]) -> dict[str, float]:
        settings, parts = self.settings, self.parts
        self._began = time.monotonic()
        saved_at = time.monotonic()
        evaluate_every = (
            max(round(settings.evaluate_every * parts.steps_per_epoch), 1) if settings.evaluate_every else 0
        )
        save_every = max(round(settings.checkpoint_every * parts.steps_per_epoch), 1)
        began, first, taught = time.monotonic(), self.step, 0.0
        if self.step < parts.steps:
            self.loader = self.open_loader()
        for module in parts.modules.values():
            module.train()
        while self.step < parts.steps:
            taught += self.train_step()
            last = self.step == parts.steps
            if self.step % settings.log_every == 0 or last:
                means = self.means.read()
                now = time.monotonic()
                count = self.step - first
                seconds_a_step = (now - began) / count
                write(
                    {
                        "step": self.step,
                        "epoch": round(self.step / parts.steps_per_epoch, 4),
                        "terms": {name: _rounded(value) for name, value in means.items()},
                        "lr": _rounded(self.optimizer.param_groups[0]["lr"]),
                        "utterances_per_second": _rounded(parts.sampler.size * settings.accumulate / seconds_a_step),
                        "taught": round(taught / count, 4),
                        "seconds_left": round(seconds_a_step * (parts.steps - self.step), 1),
                    }
                )
                began, first, taught = now, self.step, 0.0
            evaluated = bool(evaluate_every) and (self.step % evaluate_every == 0 or last)
            if evaluated:
                self.guard.flush()
                figures = self.evaluate()
                if figures:
                    write(
                        {"step": self.step, "epoch": round(self.step / parts.steps_per_epoch, 4), "evaluation": figures}
                    )
            by_time = settings.checkpoint_minutes and time.monotonic() - saved_at > 60 * settings.checkpoint_minutes
            if self.step % save_every == 0 or last or by_time:
                self.save(folder, figures if evaluated else {}, figures)
                saved_at = time.monotonic()
            if evaluated or saved_at > began:
                began, first, taught = time.monotonic(), self.step, 0.0
        return figures

    def save(self, folder: Path, fresh: dict[str, float], figures: dict[str, float]) -> None:
        """Write a checkpoint and remove the ones that need not stay; the values before it were all finite."""
        self.guard.flush()
        if not self.accelerator.is_main_process:
            return
        state = {
            "figures": figures,
            "metric": fresh.get(self.parts.task.metric),
            "seconds": self._clock(),
            "settings": self.experiment.model_dump(mode="json"),
        }
        where = checkpoints(folder)
        saving.save_checkpoint(where, self.step, self.modules, self.optimizer, state)
        saving.prune(where, self.settings.keep_last, self.settings.keep_best, self.parts.task.lower_is_better)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The task's figures with the weights that would be published now; every process waits for the first."""
        network = self.ema.network if self.ema is not None else self.parts.student
        figures: dict[str, float] = {}
        if self.accelerator.is_main_process:
            network.eval()

            def embed(x: Tensor) -> Tensor:
                with autocast(self.device, self.dtype):
                    return network(x.to(self.device)).embedding.float().cpu()

            figures = {name: _rounded(value) for name, value in self.parts.task.evaluate(embed).items()}
            if network is self.parts.student:
                network.train()
        self.accelerator.wait_for_everyone()
        return figures

    def about(self) -> dict[str, Any]:
        """How and on what the run computes."""
        return {
            "device": self.device.type,
            "processes": self.ranks,
            "precision": "bf16" if self.dtype == torch.bfloat16 else "fp32",
            "compiled": self.compiled,
            "resident": self.parts.source.device != "cpu",
            "samples": len(self.parts.source.labels),
            "classes": len(self.parts.source.names),
            "batch": self.parts.sampler.size,
            "steps": self.parts.steps,
            "steps_per_epoch": self.parts.steps_per_epoch,
        }

    def _clock(self) -> float:
        return time.monotonic() - self._began

    def close(self) -> None:
        if self.loader is not None:
            self.loader.close()


def _optimizer(experiment: Experiment, parts: Parts) -> torch.optim.Optimizer:
    settings = experiment.optim
    unique = {id(p): p for module in parts.modules.values() for p in module.parameters() if p.requires_grad}
    parameters = list(unique.values())
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": True}
    if settings.name == "sgd":
        nesterov = settings.nesterov and settings.momentum > 0
        return torch.optim.SGD(parameters, momentum=settings.momentum, nesterov=nesterov, **common)
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(parameters, betas=settings.betas, **common)


def _wide(output: Output) -> Output:
    """Embeddings in float32 at least; maps stay as they are."""
    if output.embedding.dtype in (torch.bfloat16, torch.float16):
        output.embedding = output.embedding.float()
    return output


@contextlib.contextmanager
def _processes(experiment: Experiment):
    """Join the processes that torchrun started, or be the only one."""
    import torch.distributed as dist
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    settings = experiment.train
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("no GPU to be had", "train.device", "set it to auto or cpu")
    accelerator = Accelerator(
        cpu=settings.device == "cpu" or not torch.cuda.is_available(),
        mixed_precision="no",
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=timedelta(minutes=settings.timeout_minutes)),
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
        ],
    )
    try:
        yield accelerator
    except (dist.DistBackendError, dist.DistNetworkError) as error:
        raise InputError(
            "another process of the run is gone", "torch.distributed", "see its message; then --resume"
        ) from error
    except RuntimeError as error:
        if accelerator.num_processes > 1 and _lost_peer(error):
            raise InputError(
                "another process of the run is gone", "torch.distributed", "see its message; then --resume"
            ) from error
        raise


def _lost_peer(error: RuntimeError) -> bool:
    text = str(error).lower()
    return any(part in text for part in ("connection closed by peer", "connection reset", "timed out", "broken pipe"))


def _from_main(accelerator, value: str) -> str:
    if accelerator.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _rounded(value: float) -> float:
    """Six significant digits, for the log."""
    return float(f"{value:.6g}")
