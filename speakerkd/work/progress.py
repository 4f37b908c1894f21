"""Progress bars, the one place that draws them: on a terminal, beside the output; elsewhere silent."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Update(Protocol):
    """What a bar is told: how much is done, of how much, and another label where it changes."""

    def __call__(self, done: int, total: int | None, label: str | None = None) -> None: ...


def is_shown() -> bool:
    """Whether bars are drawn: where the error stream is a terminal."""
    return sys.stderr.isatty()


@contextlib.contextmanager
def bar() -> Iterator[Callable[[str], Update]]:
    """A function that opens a bar under a label and returns what is `Told`; what is printed meanwhile stands above."""
    if not is_shown():
        yield lambda label: lambda done, total, label=None: None
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
    # lines that go to a file must not be drawn on the terminal in its place
    redirect = sys.stdout.isatty()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), redirect_stdout=redirect) as bars:

        def start(label: str) -> Update:
            task = bars.add_task(label, total=None)

            def update(done: int, total: int | None, label: str | None = None) -> None:
                bars.update(task, completed=done, total=total, description=label)

            return update

        yield start


def counted(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """The items, with a bar that says how many have passed; without one where there is no label."""
    if not label:
        yield from items
        return
    with bar() as start:
        update = start(label)
        for count, item in enumerate(items, 1):
            yield item
            update(count, total)
