"""Files are whole or absent, the old one stays until the new one is there, and killed runs leave nothing for ever."""

import errno
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.work.arrays import whole_array
from speakerkd.work.files import below, naming, remove_parts, whole_dir, whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path):
    target = tmp_path / "scores.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as stream:
        stream.write("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert names(tmp_path) == ["scores.txt"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "step-1"
    target.mkdir()
    (target / "stale").touch()
    with whole_dir(target) as part:
        (part / "fresh").touch()
    assert names(target) == ["fresh"]
    with pytest.raises(RuntimeError), whole_dir(target) as part:
        (part / "half").touch()
        raise RuntimeError
    assert names(target) == ["fresh"]
    assert names(tmp_path) == ["step-1"]


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    for name in ("x" * 255, "é" * 127):
        with whole_file(tmp_path / name) as stream:
            stream.write("all")
        assert (tmp_path / name).read_text() == "all"


def test_a_full_disk_names_the_path_and_keeps_the_old_file(tmp_path):
    """A limit on the size of files stands in for the disk: the same write fails, with the same kind of error."""
    target = tmp_path / "aligned.npy"
    target.write_bytes(b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    script = f"""
import resource, signal, numpy as np
from speakerkd.work.arrays import whole_array
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {limit[1]}))
with whole_array({str(target)!r}, (112, 112, 3), np.uint8) as array:
    for _ in range(9):
        array.add(np.zeros((112, 112, 3), np.uint8))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1  # an exception, where a memory map would die of SIGBUS
    assert f"InputError: cannot be written (file too large), {target}" in done.stderr
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["aligned.npy"]


def test_a_failure_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError), naming(tmp_path / "out.ark"):
        (tmp_path / "in.wav").read_bytes()
    with pytest.raises(InputError, match=r"no space left on device.*out\.ark"), naming(tmp_path / "out.ark"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_a_killed_run_left_half_written_is_removed_and_what_a_living_one_writes_stays(tmp_path):
    script = f"""
import sys, time
from speakerkd.work.files import whole_dir, whole_file
with whole_file({str(tmp_path / "feats.ark")!r}) as stream, whole_dir({str(tmp_path / "step-9")!r}):
    print("writing", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    remove_parts(tmp_path)
    assert len(names(tmp_path)) == 2
    process.kill()
    process.wait()
    remove_parts(tmp_path)
    assert names(tmp_path) == []


def test_a_folder_that_was_being_replaced_when_its_writer_was_killed_is_put_back(tmp_path):
    (tmp_path / ".step-1.abc.old/step-1").mkdir(parents=True)
    (tmp_path / ".step-1.abc.old/step-1/weights").write_text("good")
    remove_parts(tmp_path)
    assert (tmp_path / "step-1/weights").read_text() == "good"
    assert names(tmp_path) == ["step-1"]


def test_a_link_that_a_killed_run_left_is_removed_and_what_it_points_at_is_not(tmp_path):
    (tmp_path / "margin").mkdir()
    link = tmp_path / ".latest.1.part"
    link.symlink_to("margin")
    os.utime(link, (time.time() - 100,) * 2, follow_symlinks=False)
    remove_parts(tmp_path)
    assert names(tmp_path) == ["margin"]


def test_an_array_is_written_row_by_row_and_has_the_rows_that_were_added(tmp_path):
    rows = np.random.default_rng(0).integers(0, 255, (1000, 4, 3), np.uint8)
    with whole_array(tmp_path / "a.npy", (4, 3), np.uint8) as array:
        for row in rows:
            array.add(row)
    assert np.array_equal(np.load(tmp_path / "a.npy"), rows)
    with pytest.raises(ValueError, match="float64"), whole_array(tmp_path / "b.npy", (4, 3), np.uint8) as array:
        array.add(rows[0].astype(float))
    assert names(tmp_path) == ["a.npy"]


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../x", "a/../../x", "a\0b", 7, None, "link/x"])
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="not a file of this folder"):
        below(tmp_path / "inside", name)


def test_a_name_in_the_folder_or_in_one_below_it_is_given_its_path(tmp_path):
    assert below(tmp_path, "000001.ark") == tmp_path / "000001.ark"
    assert below(tmp_path, "step-1/state.json") == tmp_path / "step-1/state.json"
