"""One process at a time works in a folder; the other is named, and a dead one is in nobody's way."""

import subprocess
import sys

import pytest

from speakerkd.errors import InputError
from speakerkd.work.lock import locked, working_in

HOLD = """
import sys, time
from speakerkd.work.lock import working_in
with working_in(sys.argv[1], "speakerkd train"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_another_process_is_refused_by_its_number_machine_and_verb(tmp_path, holder):
    with pytest.raises(InputError, match=f"speakerkd train, process {holder.pid} on ") as error:
        working_in(tmp_path, "speakerkd train").__enter__()
    assert str(tmp_path) in str(error.value)


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    (tmp_path / ".000001.ark.abc.part").write_text("half")
    with working_in(tmp_path, "speakerkd fbank"):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_without_locks_of_the_file_system_the_file_says_whether_its_holder_lives(tmp_path, holder, monkeypatch):
    def no_locks(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(InputError, match=f"process {holder.pid}"), locked(tmp_path / ".lock", "speakerkd train"):
        pass
    holder.kill()
    holder.wait()
    with locked(tmp_path / ".lock", "speakerkd train"):
        pass


def test_who_waits_goes_on_when_the_lock_is_free(tmp_path):
    first = locked(tmp_path / ".lock", "speakerkd score")
    first.__enter__()
    with pytest.raises(InputError), locked(tmp_path / ".lock", "speakerkd score", wait=0.1):
        pass
    first.__exit__(None, None, None)
    with locked(tmp_path / ".lock", "speakerkd score", wait=0.1):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', "9" * 9000])
def test_a_damaged_lock_file_is_in_nobodys_way(tmp_path, content):
    (tmp_path / ".lock").write_text(content)
    with working_in(tmp_path, "speakerkd train"):
        pass
    assert list(tmp_path.iterdir()) == []
