"""Batches made ready in a background thread: gathered, pinned and copied to the device while the step computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.sampler import Sampler, rank_rows, uniform_draws
from speakerkd.tasks.source import Source
from speakerkd.tensors import Batch


@dataclass(slots=True)
class LoadedBatch:
    """One batch on the device.

    batch: this rank's student input; teacher, label and index of this rank's rows, or of the whole batch where losses
    are gathered. draws: of this rank's rows, for `Source.view`. taught: rows with a teacher input (int64), or None
    where all have one. share: their share of the rows. number: the batch's, counted over all passes. index: the whole
    batch's samples on the host, for messages. copied: when the copies to a GPU are there.
    """

    batch: Batch
    draws: Tensor
    taught: Tensor | None
    share: float
    number: int
    index: np.ndarray
    copied: torch.cuda.Event | None = None


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
        self._queue: queue.Queue[LoadedBatch | BaseException] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._thread = threading.Thread(target=self._run, args=(start,), name="loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[LoadedBatch]:
        return self

    def __next__(self) -> LoadedBatch:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        if self._stream is not None:
            # the copies run on their own stream; the step must not start before them, nor their memory be reused
            # before the step has run
            main = torch.cuda.current_stream(self._device)
            main.wait_event(item.copied)
            for tensor in (*_tensors(item.batch), item.draws, item.taught):
                if tensor is not None:
                    tensor.record_stream(main)
        return item

    def close(self) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.05)

    def make(self, number: int) -> LoadedBatch:
        """The batch with this number, on the device."""
        index = self._sampler.batch(number)
        drawn = uniform_draws(self._seed, number, len(index), self._source.draws)
        mine, rows = index[self._rows], self._rows
        raw = self._source.student(mine, drawn[rows])
        seen, seen_draw = (index, drawn) if self._whole else (mine, drawn[rows])
        teacher = self._source.teacher(*((mine, drawn[rows]) if self._online else (seen, seen_draw)))
        paired = None if self._source.paired is None else self._source.paired[seen]
        taught = None if paired is None or paired.all() else torch.from_numpy(np.flatnonzero(paired))
        label = torch.from_numpy(self._source.labels[seen])
        batch = Batch(
            self._move(raw),
            None if teacher is None else self._move(teacher),
            self._move(label),
            self._move(torch.from_numpy(seen)),
        )
        share = 0.0 if teacher is None else 1.0 if paired is None else float(paired.mean())
        moved = None if taught is None else self._move(taught)
        return LoadedBatch(
            batch, self._move(torch.from_numpy(drawn[rows].astype(np.float32))), moved, share, number, index
        )

    def _move(self, tensor: Tensor) -> Tensor:
        if self._device.type == "cpu" or tensor.device.type != "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _run(self, number: int) -> None:
        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)
            while not self._stop.is_set():
                with torch.cuda.stream(self._stream):
                    item = self.make(number)
                    if self._stream is not None:
                        item.copied = self._stream.record_event()
                self._put(item)
                number += 1
        except BaseException as error:
            self._put(error)

    def _put(self, item: LoadedBatch | BaseException) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue


def _tensors(batch: Batch) -> tuple[Tensor | None, ...]:
    return batch.student, batch.teacher, batch.label, batch.index
