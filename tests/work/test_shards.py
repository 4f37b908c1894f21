"""Work over shards: losing order, swallowing faults or hanging on a dead worker would corrupt every data verb."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import soundfile

from speakerkd.data.tables import read_table, write_table
from speakerkd.errors import InputError
from speakerkd.frontend.extract import extract_fbank
from speakerkd.work import shards


def square(number):
    if number == 3:
        raise InputError("odd one out", f"item {number}", "leave it out")
    time.sleep(0.02 * (number % 2))  # later items overtake earlier ones inside the pool
    return number * number


def divide(number):
    return 1 // number


def process(_):
    return os.getpid()


def die(_):
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_keep_the_order_and_refusals_take_their_place(jobs):
    pairs = list(shards.each(square, range(7), jobs=jobs))
    assert [item for item, _ in pairs] == list(range(7))
    assert [result for item, result in pairs if item != 3] == [0, 1, 4, 16, 25, 36]
    refused = pairs[3][1]
    assert isinstance(refused, InputError)
    assert (refused.what, refused.where, refused.fix) == ("odd one out", "item 3", "leave it out")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_of_the_program_is_not_swallowed(jobs):
    with pytest.raises(ZeroDivisionError):
        list(shards.each(divide, [1, 0, 2], jobs=jobs))


def test_work_leaves_this_process_only_when_asked():
    assert {pid for _, pid in shards.each(process, range(3), jobs=1)} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in shards.each(process, range(3), jobs=2)}


def test_items_are_taken_lazily():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield len(taken)

    stream = shards.each(divide, endless())
    next(stream), next(stream)
    assert len(taken) == 2


def test_a_killed_worker_is_an_error_not_a_hang():
    with pytest.raises(InputError, match="worker process died"):
        list(shards.each(die, range(2), jobs=2))


def test_bad_number_of_jobs():
    with pytest.raises(InputError, match="--jobs"):
        list(shards.each(square, [1], jobs=-1))


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    import distributed

    def refuse(address, **_):
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(InputError, match=r"tcp://127\.0\.0\.1:9"):
        list(shards.each(square, [1], cluster="tcp://127.0.0.1:9"))


def test_cluster_support_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="speakerkd\\[cluster\\]"):
        list(shards.each(square, [1], cluster="tcp://127.0.0.1:9"))


@pytest.mark.slow
def test_the_same_work_on_a_dask_cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False
    ) as cluster:
        pairs = list(shards.each(square, range(5), cluster=cluster.scheduler_address))
    assert [(i, r) for i, r in pairs if i != 3] == [(0, 0), (1, 1), (2, 4), (4, 16)]
    assert isinstance(pairs[3][1], InputError)


@pytest.fixture
def two_workers():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_leaves_the_bytes_of_an_undisturbed_run(two_workers, tmp_path):
    """Eight shards on two workers; one is killed after the first shard. A shard is done or not done, none by halves."""
    rng = np.random.default_rng(0)
    path = tmp_path / "long.wav"
    soundfile.write(path, 0.1 * rng.normal(size=16000 * 40), 16000)
    for name in ("disturbed", "calm"):
        write_table(tmp_path / name / "wav.scp", {f"s/v/{n:04d}": str(path) for n in range(8 * 64)})
    folder = tmp_path / "disturbed/fbank"
    killed = []

    def kill():
        while not list(folder.glob("*.json")):
            time.sleep(0.01)
        killed.append(two_workers.workers[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    rejected = extract_fbank(tmp_path / "disturbed", cluster=two_workers.scheduler_address)
    killer.join()
    assert len(killed) == 1 and (rejected.taken, len(rejected)) == (512, 0)
    assert {worker.pid for worker in two_workers.workers.values()}.isdisjoint(killed)  # another took its place
    extract_fbank(tmp_path / "calm", jobs=1)
    for ark in sorted((tmp_path / "calm/fbank").glob("*.ark")):
        assert ark.read_bytes() == (folder / ark.name).read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in (tmp_path / "calm/fbank").iterdir())
    frames = [read_table(tmp_path / name / "utt2num_frames") for name in ("disturbed", "calm")]
    assert frames[0] == frames[1] and len(frames[0]) == 512
