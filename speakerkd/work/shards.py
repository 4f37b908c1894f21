"""The same work over shards: processes on this machine, or a Dask cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from speakerkd.errors import InputError
from speakerkd.work.progress import counted

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    jobs: int = 1,
    cluster: str | None = None,
    label: str = "",
) -> Iterator[tuple[Item, Result | InputError]]:
    """Apply `function` to every item and give `(item, result)` in the order of `items`, as results come in.

    An `InputError` that `function` raises for an item takes the place of its result, so that the caller can list what
    was refused; any other exception is a fault of the program and stops the work. `function` and items must be
    picklable when `jobs` is not 1 or a cluster is named; whatever is dear to make (a network, a detector) is best
    kept by `function` in a module-level cache, one a process.

    jobs: processes on this machine; 0 means one a usable core. 1 works in this process.
    cluster: address of a Dask scheduler (`tcp://host:8786`), which then takes the place of the processes here.
    label: shown beside the progress bar; the bar appears on a terminal only.
    Raises InputError when a worker process dies or the cluster does not answer.
    """
    if jobs < 0:
        raise InputError(f"{jobs} processes asked for", "--jobs", "give 0 (one a core) or more")
    total = len(items) if isinstance(items, Sized) else None
    if cluster is None and jobs != 1:
        import joblib

        jobs = min(jobs or joblib.cpu_count(), total or 2)  # starting a process takes longer than one item
    pairs: Iterator[tuple[Item, Result | InputError]]
    if cluster is None and jobs == 1:
        pairs = ((item, _attempt(function, item)) for item in items)
    else:
        pairs = _parallel(function, items, jobs, cluster)
    yield from counted(pairs, total, label)


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | InputError:
    try:
        return function(item)
    except InputError as error:
        return error


def _attempt_pair(function: Callable[[Item], Result], item: Item) -> tuple[Item, Result | InputError]:
    return item, _attempt(function, item)


def _parallel(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int, cluster: str | None
) -> Iterator[tuple[Item, Result | InputError]]:
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    with _backend(jobs, cluster):
        # The generator hands results on in order and takes items as workers come free, so memory stays flat.
        parallel = joblib.Parallel(return_as="generator", pre_dispatch="4*n_jobs")
        try:
            yield from parallel(joblib.delayed(_attempt_pair)(function, item) for item in items)
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process died",
                f"--jobs {jobs}",
                "it may have run out of memory: give fewer jobs, then run again",
            ) from error


@contextlib.contextmanager
def _backend(jobs: int, cluster: str | None) -> Iterator[None]:
    import joblib

    if cluster is None:
        with joblib.parallel_config("loky", n_jobs=jobs):
            yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "Dask is not installed", f"--cluster {cluster}", "install the extra: pip install 'speakerkd[cluster]'"
        ) from error
    try:
        client = Client(cluster, timeout="20s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            "no Dask scheduler answers",
            f"--cluster {cluster}",
            "start one with `dask scheduler`, or leave --cluster out",
        ) from error
    with client, joblib.parallel_config("dask", client=client):
        yield
