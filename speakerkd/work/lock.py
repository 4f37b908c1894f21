"""One writer at a time: a lock that names its holder, and that a dead holder does not keep."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.work.files import naming, remove_parts
from speakerkd.work.records import read_json

WAIT = 60.0  # seconds for a lock that is held only while a file is written


@contextlib.contextmanager
def working_in(folder: Path | str, verb: str) -> Iterator[None]:
    """Have a folder for oneself; what killed runs left half-written in it is removed, before and after.

    Raises InputError that names the other process where one is at work there.
    """
    folder = Path(folder)
    with naming(folder / ".lock"):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", verb):
        remove_parts(folder)
        try:
            yield
        finally:
            remove_parts(folder)


@contextlib.contextmanager
def locked(path: Path | str, verb: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path`, which is there only meanwhile, and says who holds it: process, machine and verb.

    wait: seconds to wait for another holder. The system itself frees the lock of a process that ends, however it ends;
    where a file system has no locks, a holder counts that is alive, or is on another machine.
    Raises InputError where another process holds it.
    """
    path = Path(path)
    until = time.monotonic() + wait
    while True:
        with naming(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        if _take(handle, path):
            if _is_there(handle, path):
                break
            os.close(handle)  # its last holder has just removed it: try with a new one
            continue
        os.close(handle)
        if time.monotonic() >= until:
            raise InputError(
                f"another process is at work there ({_holder(path)})",
                path.parent,
                "wait until it has ended, or stop it, then run this again",
            )
        time.sleep(0.05)
    try:
        with naming(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, (json.dumps(_self(verb), ensure_ascii=False) + "\n").encode("utf-8", "replace"), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _self(verb: str) -> dict[str, str | int]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "verb": verb}


def _take(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the file's word must do
        try:
            holder = read_json(path, dict[str, str | int], "")
        except InputError:
            return True
        return holder.get("host") == socket.gethostname() and not _alive(holder.get("pid"))


def _alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _is_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        who = read_json(path, dict[str, str | int], "")
        return f"{who['verb']}, process {who['pid']} on {who['host']}"
    except (InputError, KeyError):
        return "its name is not known"
