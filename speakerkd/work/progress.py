"""Progress bars, the one place that draws them: on a terminal, beside the output; elsewhere silent."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Told = Callable[[int, int | None], None]  # done, and of how many


@contextlib.contextmanager
def bar() -> Iterator[Callable[[str], Told]]:
    """A function that opens a bar under a label and returns what is told (done, total)."""
    if not sys.stderr.isatty():
        yield lambda label: lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:

        def start(label: str) -> Told:
            task = bars.add_task(label, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield start


def counted(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """The items, with a bar that says how many have passed; without one where there is no label."""
    if not label:
        yield from items
        return
    with bar() as start:
        told = start(label)
        for count, item in enumerate(items, 1):
            yield item
            told(count, total)
