"""Every verb over every kind of file that it reads, damaged: it ends well or in one line, and touches nothing else."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile_cases import CASES, REFUSED
from hostile_damage import damaged, in_place, put, remove
from hostile_world import build, verb

INSTEAD = 6  # things that stand in a file's place, before the damaged versions
EACH = 8  # damaged versions of each file, beside what can stand in its place
FEWER = {"report": 2}  # where each costs a second
SECONDS = 10  # that no call may take
MEMORY = 200 << 10  # KiB that it may take more than before
RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pickle.find_class"}
SOUNDS = {".wav", ".flac", ".mp3", ".ogg"}  # listed as rejected, or missed by the list that names them
RECORDS = ("costs.json", ".made.json", ".rejected")  # what verbs write beside what they were given
WATCH: dict = {"on": False, "ran": []}


def _watch(event, arguments):
    ours = event == "subprocess.Popen" and arguments[0] == "git"  # a training records its commit
    if WATCH["on"] and event in RUNS and not ours:
        WATCH["ran"].append((event, arguments))


def state(folder: str = ".") -> dict[str, tuple[int, int, int]]:
    """Size, time of change and kind of every file."""
    states, folders = {}, [folder]
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                known = entry.stat(follow_symlinks=False)
                states[os.path.relpath(entry.path)] = (known.st_size, known.st_mtime_ns, known.st_mode)
    return states


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder and a copy of it; both are as they were made."""
    sys.addaudithook(_watch)  # it cannot be taken away, so it is switched
    root, before, sync = tmp_path_factory.mktemp("world"), Path.cwd(), os.fsync
    folder, copy = root / "world", root / "copy"
    folder.mkdir()
    os.fsync = lambda handle: None
    os.chdir(folder)
    try:
        build()
        shutil.copytree(folder, copy, symlinks=True)
        yield copy
    finally:
        os.chdir(before)
        os.fsync = sync


def restore(copy: Path, before: dict) -> None:
    """Everything as it was made."""
    now = state()
    for name in now.keys() - before.keys():
        remove(Path(name))
    for name in before:
        if now.get(name) != before[name]:
            remove(Path(name))
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(copy / name, name, follow_symlinks=False)


def _too_long(number, frame):
    raise TimeoutError(f"more than {SECONDS} s")


@pytest.mark.slow  # a minute, half of it to make one file of every kind
@pytest.mark.parametrize(("name", "words", "files", "written"), CASES, ids=[case[0] for case in CASES])
def test_a_damaged_file_is_read_or_refused_in_one_line(name, words, files, written, world, capfd):
    words = words.split() if isinstance(words, str) else words
    before = state()
    verb(*words)  # loads what is loaded at first use
    restore(world, before)
    assert verb(*words) == (name in REFUSED), capfd.readouterr().err
    restore(world, before)
    signal.signal(signal.SIGALRM, _too_long)
    faults = []
    for file in files:
        needed = False
        folders = [str(parent) for parent in Path(file).parents if len(parent.parts) > 1]
        names = [file, Path(file).name, str(Path(file).parent), *folders]
        content = (world / file).read_bytes()
        rng = np.random.default_rng(zlib.crc32(f"{name} {file}".encode()))
        ways = [lambda file=file, make=make: put(Path(file), make) for make in in_place(Path(file))]
        worse = [damaged(content, rng) for _ in range(FEWER.get(name, EACH))]
        ways += [lambda file=file, data=data: Path(file).write_bytes(data) for data in worse]
        for number, damage in enumerate(ways):
            damage()
            there, memory = state(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            capfd.readouterr()
            WATCH.update(on=True, ran=[])
            signal.alarm(SECONDS)
            try:
                status = verb(*words)
            finally:
                signal.alarm(0)
                WATCH["on"] = False
            shown = capfd.readouterr().err
            lines = [line for line in shown.splitlines() if line.startswith("speakerkd: error: ")]
            after = state()
            touched = [n for n in there.keys() | after.keys() if there.get(n) != after.get(n)]
            touched = [n for n in touched if not n.startswith(tuple(written)) and not n.endswith(RECORDS)]
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
            needed = status > (name in REFUSED) if number == 0 else needed  # the first way is that it is gone
            stands = number < INSTEAD and needed and name != "validate" and Path(file).suffix not in SOUNDS
            if (
                status not in (0, 1)
                or (stands and (status == 0 or not any(part in shown for part in names)))
                or "this is a bug" in shown
                or "Traceback" in shown
                or (status and name != "validate" and len(lines) != 1)
                or any(len(line) > 1000 or not line.isprintable() for line in lines)
                or grown > MEMORY
                or WATCH["ran"]
                or touched
            ):
                faults.append((file, number, status, shown[-300:], grown, WATCH["ran"][:1], touched[:3]))
            restore(world, before)
    assert not faults, f"{len(faults)} faults, the first: {faults[0]}"
