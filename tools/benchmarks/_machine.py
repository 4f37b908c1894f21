"""The machine's own ceiling, measured in the same run as the figures it stands beside."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object], repeats: int = 5, warm_up: int = 1) -> float:
    """Median wall time of `work` in seconds, after `warm_up` calls that do not count."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matrix_rate(dtype: torch.dtype, device: str = "cpu", size: int | None = None) -> float:
    """Floating-point operations a second of a square matrix product of this dtype, the median over a second of them."""
    size = size or (8192 if device != "cpu" else 2048)
    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)
    rates, end = [], time.perf_counter() + 1
    while not rates or time.perf_counter() < end:
        rates.append(2 * size**3 / seconds(lambda: a @ b, repeats=3))
    return statistics.median(rates)


def describe(device: str = "cpu") -> str:
    """One line naming the machine: device, threads, torch."""
    name = torch.cuda.get_device_name() if device != "cpu" else f"{torch.get_num_threads()} CPU threads"
    return f"{name}, torch {torch.__version__}"
