"""Recordings to embeddings: crops of many recordings in batches of one shape, in bf16, compiled where that pays."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings
from speakerkd.evaluation.protocol import SHORTEST, Protocol
from speakerkd.evaluation.recordings import Recordings

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel

log = logging.getLogger(__name__)
CPU_BATCH, DEVICE_BATCH = 20, 256  # crops at a time; on a processor 40 are slower than 20
COMPILE_SECONDS = 120.0  # of work left, from which compiling (10 to 30 s, a third faster) surely pays
TRIAL_BATCHES = 3  # timed before that is known
AHEAD = 2  # batches prepared while the network runs


@dataclass(frozen=True, slots=True)
class _Work:
    """Crops (B, T, F), and the recording and crop number of those that count."""

    x: NDArray[np.float32]
    recording: NDArray[np.int64]
    crop: NDArray[np.int64]


def embed(
    package: TrainedModel,
    recordings: Recordings,
    protocol: Protocol,
    *,
    places: Sequence[int] | None = None,
    compile: bool | None = None,
    refuse: Callable[[str, InputError], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embeddings:
    """Embed recordings under a protocol; crops of a batch do not see each other, so an embedding depends on its own
    recording alone.

    Parameters
    ----------
    package: the model, on the device that computes.
    recordings: N of them, by key; features or sound.
    protocol: `whole` gives one embedding a recording, `crops` and `mean` one a crop.
    places: which of the recordings, by position in [0, N); all by default.
    compile: torch.compile the network; None decides by the time that is left after the first batches.
    refuse: called with key and reason for a recording that cannot be read or whose embedding is not finite.
    progress: called with recordings done and in all.

    Returns
    -------
    Embeddings, float32, not normalised: (N, D) for `whole`, else (N, crops, D).

    Raises
    ------
    InputError: for such a recording, where there is no `refuse`.
    """
    places = list(range(len(recordings.keys))) if places is None else list(places)
    count = protocol.crops if protocol.name != "whole" else 1
    values = np.full((len(places), count, package.dim), np.nan, np.float32)
    seconds = np.zeros(len(places))
    if protocol.name == "whole":
        compile = False  # no two recordings have one shape, and a compiler would start again for each
        package.to(package.device, package.dtype)
    runner = _Runner(package, compile)
    make = _whole if protocol.name == "whole" else _crops
    refused: dict[int, InputError] = {}
    total, done = len(places), 0
    frame = (package.frontend or {}).get("frame_shift", 10.0) / 1000

    def loaded() -> Iterator[tuple[int, NDArray[np.float32]]]:
        for row, position in enumerate(places):
            try:
                features = recordings.features(position)
            except InputError as error:
                refused[row] = error
                continue
            seconds[row] = len(features) * frame
            yield row, features

    for work in _ahead(make(loaded(), protocol, runner.batch)):
        share = len(np.unique(work.recording))
        # only a compiled network needs the full shape
        x = work.x if package.compiled else work.x[: len(work.recording)]
        values[work.recording, work.crop] = runner(x, share, total - done)[: len(work.recording)]
        done = int(work.recording.max()) + 1
        if progress is not None:
            progress(done, total)
    if protocol.name != "whole":
        _repeat_short(values)
    for row in np.flatnonzero(~np.isfinite(values).all((1, 2))).tolist():
        key = recordings.keys[places[row]]
        refused.setdefault(row, InputError("the embedding is not finite", key, "check the recording and the model"))
    for row in sorted(refused):
        if refuse is None:
            raise refused[row]
        refuse(recordings.keys[places[row]], refused[row])
    kept = np.array([row not in refused for row in range(len(places))], bool)
    if not kept.all():
        values, seconds = values[kept], seconds[kept]
    keys = [recordings.keys[position] for position, keep in zip(places, kept.tolist(), strict=True) if keep]
    origin: dict[str, str | int] = {"protocol": protocol.name, "model": str(package.directory or "")}
    origin |= {"digest": package.digest, "data": str(recordings), "version": package.version}
    if protocol.name != "whole":
        origin |= {"crops": protocol.crops, "frames": protocol.frames}
    return Embeddings(keys, values[:, 0] if protocol.name == "whole" else values, origin, seconds)


def _crops(loaded: Iterator[tuple[int, NDArray]], protocol: Protocol, batch: int) -> Iterator[_Work]:
    """Batches of exactly `batch` crops over recordings; the last one is filled up with zeros.

    A recording no longer than a crop has one crop only, which `_repeat_short` copies.
    """
    x: NDArray | None = None
    recording, crop = np.empty(batch, np.int64), np.empty(batch, np.int64)
    filled = 0
    for row, features in loaded:
        starts = protocol.starts(len(features))
        for number, start in enumerate(starts.tolist() if len(features) > protocol.frames else [0]):
            if x is None:
                x = np.zeros((batch, protocol.frames, features.shape[1]), np.float32)
            x[filled] = wrapped(features[start : start + protocol.frames], protocol.frames)
            recording[filled], crop[filled] = row, number
            filled += 1
            if filled == batch:
                yield _Work(x, recording.copy(), crop.copy())
                x, filled = None, 0
    if x is not None and filled:
        yield _Work(x, recording[:filled].copy(), crop[:filled].copy())


def _whole(loaded: Iterator[tuple[int, NDArray]], _: Protocol, batch: int) -> Iterator[_Work]:
    """Each recording whole, on its own: padding to a common length would change its embedding."""
    for row, features in loaded:
        x = features if len(features) >= SHORTEST else wrapped(features, SHORTEST)
        yield _Work(x[None], np.array([row]), np.zeros(1, np.int64))


def wrapped(features: NDArray, frames: int) -> NDArray:
    """Features (T, F) repeated from their beginning to so many frames."""
    return features[np.arange(frames) % len(features)]


def _repeat_short(values: NDArray) -> None:
    single = np.isnan(values[:, 1:]).all((1, 2)) & ~np.isnan(values[:, 0]).any(1) if values.shape[1] > 1 else []
    rows = np.flatnonzero(single)
    values[rows, 1:] = values[rows, :1]


def _ahead(batches: Iterator[_Work]) -> Iterator[_Work]:
    """The same batches, prepared by another thread while the network runs."""
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[_Work | None]] = [pool.submit(next, batches, None) for _ in range(AHEAD)]
        while (work := waiting.pop(0).result()) is not None:
            waiting.append(pool.submit(next, batches, None))
            yield work


class _Runner:
    """Runs batches, and compiles the network once it is clear that enough work is left."""

    def __init__(self, package: TrainedModel, compile: bool | None) -> None:
        self.package = package
        self.batch = CPU_BATCH if package.device.type == "cpu" else DEVICE_BATCH
        self.undecided = compile is None and not package.compiled
        self.times: list[float] = []
        if package.device.type == "cpu":
            from speakerkd.models.precision import keep_freed_memory

            keep_freed_memory()
        if compile and not package.compiled:
            package.compile()

    def __call__(self, x: NDArray[np.float32], recordings: int, left: int) -> NDArray[np.float32]:
        """Embeddings (B, D) of x (B, T, F), of which so many recordings are part, with so many left."""
        start = time.perf_counter()
        try:
            result = self._outputs(x)
        except Exception as error:
            if not self.package.compiled:
                raise
            # no compiler on this machine, or a network that it cannot take: the plain network gives the same
            log.warning("compiling failed (%s); running without", str(error).splitlines()[0])
            self.package.to(self.package.device, self.package.dtype)
            result = self._outputs(x)
        if self.undecided:
            self.times.append((time.perf_counter() - start) / max(1, recordings))
            if len(self.times) == TRIAL_BATCHES:
                self.undecided = False
                if min(self.times) * left > COMPILE_SECONDS:
                    self.package.compile()
        return result

    def _outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        return self.package.outputs(torch.from_numpy(x)).embedding.float().cpu().numpy()
