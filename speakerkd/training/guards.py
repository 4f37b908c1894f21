"""What stops a run early and says why: figures that are not finite, memory that does not suffice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speakerkd.errors import InputError


@dataclass(slots=True)
class _Record:
    step: int
    names: list[str]
    values: Tensor
    index: Tensor
    event: torch.cuda.Event | None


class FiniteGuard:
    """Watches the terms of every step without making a GPU wait: it looks at copies of them when they have arrived.

    keys: the names of the training samples. A GPU may run `lag` steps ahead; `flush` waits for all.
    """

    def __init__(self, keys: Sequence[str], lag: int = 8) -> None:
        self._keys, self._lag = keys, lag
        self._pending: deque[_Record] = deque()

    def watch(self, step: int, names: list[str], values: Tensor, index: Tensor) -> None:
        """Take the values (n,) of one step's named terms, and the samples (B,) of its batch.

        Raises InputError, at the latest `lag` steps after, for a value that is not finite.
        """
        event = None
        if values.is_cuda:
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            host.copy_(values.detach(), non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            values = host
        self._pending.append(_Record(step, names, values.detach(), index, event))
        while self._pending and (
            self._pending[0].event is None or self._pending[0].event.query() or len(self._pending) > self._lag
        ):
            self._look(self._pending.popleft())

    def flush(self) -> None:
        while self._pending:
            self._look(self._pending.popleft())

    def _look(self, record: _Record) -> None:
        if record.event is not None:
            record.event.synchronize()
        finite = torch.isfinite(record.values)
        if bool(finite.all()):
            return
        bad = [
            f"{n} is {v}"
            for n, v, ok in zip(record.names, record.values.tolist(), finite.tolist(), strict=True)
            if not ok
        ]
        keys = " ".join(str(self._keys[i]) for i in record.index[:20].tolist())
        more = f" and {len(record.index) - 20} more" if len(record.index) > 20 else ""
        raise InputError(
            f"the loss is not finite at step {record.step}: {', '.join(bad)}",
            f"batch {keys}{more}",
            "the last good checkpoint is intact: start from it with train.init, another --name and a lower optim.lr "
            "or train.clip_norm",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """True for the errors that torch raises where memory does not suffice, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def is_compiler_failure(error: BaseException) -> bool:
    """True for what torch.compile raises where it finds no compiler, or that fails."""
    module = type(error).__module__
    return module.startswith(("torch._dynamo", "torch._inductor")) and not is_out_of_memory(error)


def largest_that_fits(trial: Callable[[int], object], units: int) -> int:
    """The largest number of units in [0, units) for which `trial` (a step, forward and backward) finds memory."""
    low, high = 0, units
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        try:
            trial(middle)
            low = middle
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            high = middle
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return low
