"""One optimiser step: student, task loss and teaching of its batches, on any number of processes."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from speakerkd.errors import InputError
from speakerkd.models.precision import channels_last, compile_network
from speakerkd.tensors import Batch, Output, Samples
from speakerkd.training.averaging import Ema
from speakerkd.training.build import Parts, seed_all
from speakerkd.training.distributed import average_gradients, gather_output, share_batchnorm
from speakerkd.training.guards import FiniteGuard, is_compiler_failure, is_out_of_memory, largest_that_fits
from speakerkd.training.loader import Loader
from speakerkd.training.precision import autocast, forward_operations, prepare_device, working_type, worth_compiling
from speakerkd.training.processes import OneProcess
from speakerkd.training.schedule import rate

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Losses:
    """One batch's terms; total: what is differentiated."""

    total: Tensor
    terms: dict[str, Tensor]


class Trainer:
    """What learns: networks on their device, optimiser, moving average; and the step that changes them.

    step: steps taken. modules: what a checkpoint holds. dtype: that the networks run in. compiled: whether the student
    is. guard: watches every batch's terms.
    """

    def __init__(self, parts: Parts, accelerator: OneProcess | Accelerator) -> None:
        settings = parts.experiment.train
        self.parts, self.settings, self.accelerator = parts, settings, accelerator
        self.device: torch.device = accelerator.device
        self.ranks, self.rank = accelerator.num_processes, accelerator.process_index
        self.dtype = working_type(settings.precision, self.device)
        prepare_device(self.device)
        samples = parts.sampler.size * settings.accumulate * parts.steps
        operations = forward_operations(parts.student, parts.task.example()) / 2 * samples
        self.compiled = worth_compiling(settings.compile, self.device, operations, self.ranks)
        if self.ranks > 1 and settings.sync_batchnorm:
            parts.student = share_batchnorm(parts.student, self.device.type)
            if parts.teacher is not None and parts.teacher.trainable:
                parts.teacher = share_batchnorm(parts.teacher, self.device.type)
        for module in (*parts.modules.values(), *([parts.teacher] if parts.teacher else [])):
            module.to(self.device)
            if settings.channels_last:
                channels_last(module)
            if self.dtype == torch.float64:
                module.double()
        needs = parts.objectives.needs
        self.maps, self.strong, self.apart = bool(needs & {"maps", "layout"}), "strong" in needs, "parts" in needs
        if self.apart and parts.source.paired is not None and self.ranks > 1:
            fix = "train in one process, or on samples that all have a teacher's input"
            raise InputError("samples without a teacher's input take part in one process alone", "data.train", fix)
        network = compile_network(parts.student) if self.compiled else parts.student
        self.network = accelerator.prepare_model(network) if self.ranks > 1 else network
        self.optimizer = build_optimizer(parts)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        of_student = {id(p) for p in parts.student.parameters()}
        self.alone = [p for p in self.parameters if id(p) not in of_student]  # DistributedDataParallel has the others
        self.ema = Ema(parts.published, settings.ema).to(self.device) if settings.ema else None
        self.modules = {**parts.modules, **({"ema": self.ema} if self.ema else {})}
        self.guard = FiniteGuard(parts.source.keys)
        self.lr = parts.experiment.optim.rate_for(parts.sampler.size * self.settings.accumulate)
        self.step = self.began = 0

    def open_loader(self) -> Loader:
        """Start making batches from the current step on."""
        self.began = self.step
        return Loader(
            self.parts.source,
            self.parts.sampler,
            self.parts.experiment.seed,
            self.device,
            start=self.step * self.settings.accumulate,
            unit=self.parts.unit,
            rank=self.rank,
            ranks=self.ranks,
            whole=self.settings.gather,
            online=self.parts.teacher is not None and self.parts.teacher.network is not None,
        )

    def train_mode(self) -> None:
        for module in self.parts.modules.values():
            module.train()

    def take_step(self, loader: Loader) -> tuple[dict[str, Tensor], float]:
        """One optimiser step: mean terms of its batches, on the device, and the share of rows that were taught."""
        settings, parts = self.settings, self.parts
        epoch = self.step / parts.steps_per_epoch
        parts.loss.start_step(epoch)
        parts.objectives.start_step(epoch)

        optim = parts.experiment.optim
        for group in self.optimizer.param_groups:
            group["lr"] = rate(optim.schedule, self.lr, self.step, parts.steps_per_epoch, settings.epochs)

        terms: dict[str, Tensor] = {}
        share = 0.0
        for part in range(settings.accumulate):
            batch = next(loader)
            losses = self._differentiate(batch, last=part == settings.accumulate - 1)
            if losses is None:  # left the handler first, so that nothing holds on to the step's memory any more
                self._refuse_batch(batch)

            names = [name for name in losses.terms if name != "accuracy"]
            values = torch.stack([losses.terms[name].detach().float() for name in names])
            self.guard.watch(self.step, names, values, batch.index)

            for name, value in {**losses.terms, "loss": losses.total}.items():
                mean = value.detach() / settings.accumulate
                terms[name] = terms[name] + mean if name in terms else mean
            share += batch.taught_share / settings.accumulate

        average_gradients(self.alone)
        if settings.clip_norm is not None:
            terms["gradient"] = nn.utils.clip_grad_norm_(self.parameters, settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(parts.published)
        self.step += 1
        return terms, share

    def _differentiate(self, batch: Batch, last: bool) -> Losses | None:
        """Forward and backward pass of one batch; None where memory did not suffice."""
        waiting: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if isinstance(self.network, DistributedDataParallel) and not last:
            waiting = self.network.no_sync()
        try:
            with waiting:
                losses = self.losses(batch)
                (losses.total / self.settings.accumulate if self.settings.accumulate > 1 else losses.total).backward()
            return losses
        except (RuntimeError, MemoryError) as error:
            if self.compiled and self.step == self.began and is_compiler_failure(error):
                self._without_compiler(error)
            elif is_out_of_memory(error):
                return None
            else:
                raise
        return self._differentiate(batch, last)

    def _without_compiler(self, error: Exception) -> None:
        """Go on with the network as it is, where compiling was our own idea."""
        if self.settings.compile != "auto":
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"cannot compile the network ({reason})", "train.compile", "set it to false") from error
        log.warning("cannot compile the network, training goes on without: %s", str(error).strip().splitlines()[0])
        self.compiled = False
        self.optimizer.zero_grad(set_to_none=True)
        student = self.parts.student
        self.network = self.accelerator.prepare_model(student) if self.ranks > 1 else student

    def losses(self, batch: Batch) -> Losses:
        """Terms of one batch: the task's, and the teaching of the rows that have a teacher input."""
        parts, seed = self.parts, self.parts.experiment.seed
        # this process's rows, each in a random view: (b, T, F) or (b, C, H, W)
        x, strong = parts.source.view(batch.student, batch.draws)

        seed_all(seed, 3, batch.number, self.rank)  # dropout differs from row to row, so also from rank to rank
        output = self._see(self.network, x, strong)  # embedding (B, D), maps (B, C, H, W)
        seed_all(seed, 4, batch.number)  # what is drawn over the whole batch is the same on every rank

        task_terms, logits = parts.loss(output.embedding, batch.label)  # scalars, (B, K) or None
        if output.logits is None:
            output.logits = logits
        terms = dict(task_terms)
        total = parts.objectives.task_weight * sum(task_terms.values())
        if output.logits is not None:
            terms["accuracy"] = (output.logits.detach().argmax(1) == batch.label).float().mean()

        if len(parts.objectives) and (self.apart or batch.taught is None or len(batch.taught)):
            teaching = self._learn_together(output, batch) if self.apart else self._teach(output, batch)
            terms |= teaching
            total = total + sum(teaching.values())
        return Losses(total, terms)

    def exact(self, x: Tensor) -> Tensor:
        """Input in float64 for a run in it; else as it is."""
        return x.double() if self.dtype == torch.float64 and x.is_floating_point() else x

    def _see(self, network: nn.Module, x: Tensor, strong: Tensor | None) -> Output:
        """A network's Output of its input, and as `Output.strong` that of a second view, in one pass."""
        if strong is None or not self.strong:
            return self._whole_batch(self._run(network, x))
        both = self._run(network, torch.cat([x, strong]))  # (2b, ...)
        half = torch.arange(len(x), device=x.device)
        output = both.rows(half)
        output.strong = both.rows(half + len(x))
        return self._whole_batch(output)

    def _teach(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """The weighted teaching terms of the b' of B rows that have a teacher input."""
        parts, network, raw = self.parts, self.parts.teacher, batch.teacher
        assert network is not None and raw is not None  # objectives come with a teacher
        if output.strong is not None and output.strong.logits is None and parts.loss.classifier is not None:
            output.strong.logits = parts.loss.classifier(output.strong.embedding)

        # cached embeddings (B, D_T) are there for the whole batch; a network sees this process's pictures (b, H, W, 3)
        if network.network is None:
            teacher = network(self.exact(raw))
        else:
            teacher = self._see(network, *parts.source.teacher_view(raw, batch.draws))

        if batch.taught is not None:
            output, teacher = output.rows(batch.taught), teacher.rows(batch.taught)
        return parts.objectives(output, teacher, batch.samples())

    def _learn_together(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """The terms of networks that learn side by side: the second's rows need not be the student's samples.

        Samples without its input leave it out of the batch, so that no blank picture reaches its BatchNorm.
        """
        parts = self.parts
        raw, draws = batch.teacher, batch.draws
        assert parts.teacher is not None and raw is not None
        labels = batch.label if batch.teacher_label is None else batch.teacher_label
        if batch.taught is not None:  # in one process alone, where a row of the batch is a row of the input
            raw, draws, labels = raw[batch.taught], draws[batch.taught], labels[batch.taught]
        if len(raw) > 1:
            teacher = self._see(parts.teacher, *parts.source.teacher_view(raw, draws))
        else:  # too few for BatchNorm
            teacher = Output(output.embedding[:0].detach())
        return parts.objectives(output, teacher, Samples(batch.label, batch.index, labels))

    def _run(self, network: nn.Module, x: Tensor) -> Output:
        with autocast(self.device, self.dtype):
            return network(self.exact(x), maps=self.maps)

    def _whole_batch(self, output: Output) -> Output:
        """A network's Output for losses: of all processes' rows where they are gathered, in float32 or float64."""
        if self.ranks > 1 and self.settings.gather:
            output = gather_output(output)
        return output.at_least_float32()

    def _refuse_batch(self, batch: Batch) -> NoReturn:
        """Find the batch that would have fitted the memory, and say so."""
        self.optimizer.zero_grad(set_to_none=True)
        units = self.parts.sampler.size // self.parts.unit
        fits = units // 2 // self.ranks * self.ranks
        if self.ranks == 1:  # trials on one of several processes would leave the others waiting
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            fits = largest_that_fits(lambda count: self._try(batch.first(count * self.parts.unit)), units)
        setting = "train.speakers" if self.settings.batch is None else "train.batch"
        if fits < 1:
            raise InputError("out of memory, even for the smallest batch", setting, "take a smaller student or crop")
        several = -(-units // fits) * self.settings.accumulate
        raise InputError(
            f"out of memory with a batch of {units}",
            setting,
            f"a batch of {fits} fits: set {setting} to {fits}, and train.accumulate to {several} for as many a step",
        )

    def _try(self, batch: Batch) -> None:
        """Forward and backward pass over a batch, which leave nothing behind."""
        try:
            self.losses(batch).total.backward()
        finally:
            self.optimizer.zero_grad(set_to_none=True)


def build_optimizer(parts: Parts) -> torch.optim.Optimizer:
    """The optimiser over everything that learns, each parameter once."""
    settings = parts.experiment.optim
    unique = {id(p): p for module in parts.modules.values() for p in module.parameters() if p.requires_grad}
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": True}
    if settings.name == "sgd":
        nesterov = settings.nesterov and settings.momentum > 0
        return torch.optim.SGD(unique.values(), momentum=settings.momentum, nesterov=nesterov, **common)
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(unique.values(), betas=settings.betas, **common)
