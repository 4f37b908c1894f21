"""Batches made ready in a background thread: gathered, pinned and copied to the device while the step computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.sampler import Sampler, rank_rows, uniform_draws
from speakerkd.tasks.source import Source
from speakerkd.tensors import Batch


class Loader:
    """Iterates over batches from number `start` on, without end; `close` stops its thread.

    unit: rows that stay on one rank together (utterances of a speaker). whole: label, index and cached teacher
    embeddings are given for the whole batch on every rank. online: the teacher's input is pictures, of this rank's
    rows alone. depth: batches made ahead.
    """

    def __init__(
        self,
        source: Source,
        sampler: Sampler,
        seed: int,
        device: torch.device,
        *,
        start: int = 0,
        unit: int = 1,
        rank: int = 0,
        ranks: int = 1,
        whole: bool = True,
        online: bool = False,
        depth: int = 3,
    ) -> None:
        self._source, self._sampler, self._seed, self._device = source, sampler, seed, device
        self._rows = rank_rows(sampler.size, unit, rank, ranks)
        self._whole = whole or ranks == 1
        self._online = online
        self._queue: queue.Queue[tuple[Batch, torch.cuda.Event | None] | BaseException] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._thread = threading.Thread(target=self._run, args=(start,), name="loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        batch, copied = item
        if copied is not None:
            # the copies run on their own stream; the step must not start before them, nor their memory be reused
            # before the step has run
            main = torch.cuda.current_stream(self._device)
            main.wait_event(copied)
            tensors = (batch.student, batch.teacher, batch.label, batch.index, batch.draws, batch.taught)
            for tensor in (*tensors, batch.teacher_label):
                if tensor is not None:
                    tensor.record_stream(main)
        return batch

    def close(self) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.05)

    def make(self, number: int) -> Batch:
        """The batch with this number, on the device."""
        source, mine = self._source, self._rows
        index = self._sampler.batch(number)  # (B,), the same on every rank
        draws = source.drawn(self._seed, number // self._sampler.batches, index)  # (B, n)
        if draws is None:
            draws = uniform_draws(self._seed, number, len(index), source.draws)

        # the student's input is of this rank's rows; what the losses compare, of the whole batch where it is gathered
        seen = np.arange(len(index)) if self._whole else mine
        taught_by = mine if self._online else seen
        teacher = source.teacher(index[taught_by], draws[taught_by])
        paired = None if source.paired is None else source.paired[index[seen]]
        taught = None if paired is None or paired.all() else np.flatnonzero(paired)
        others = None if teacher is None else source.teacher_labels(index[seen], draws[seen])

        return Batch(
            student=self._move(source.student(index[mine], draws[mine])),
            teacher=None if teacher is None else self._move(teacher),
            label=self._move(torch.from_numpy(source.labels[index[seen]])),
            index=self._move(torch.from_numpy(index[seen])),
            draws=self._move(torch.from_numpy(draws[mine].astype(np.float32))),
            taught=None if taught is None else self._move(torch.from_numpy(taught)),
            number=number,
            teacher_label=None if others is None else self._move(torch.from_numpy(others)),
        )

    def _move(self, tensor: Tensor) -> Tensor:
        if self._device.type == "cpu" or tensor.device.type != "cpu":
            return tensor
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _run(self, number: int) -> None:
        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)
            while not self._stop.is_set():
                with torch.cuda.stream(self._stream):
                    batch = self.make(number)
                    copied = None if self._stream is None else self._stream.record_event()
                self._put((batch, copied))
                number += 1
        except BaseException as error:
            self._put(error)

    def _put(self, item: tuple[Batch, torch.cuda.Event | None] | BaseException) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
