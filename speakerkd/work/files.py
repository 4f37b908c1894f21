"""Files and folders that are whole or absent: the old one stays until the new one is there, and nobody's parts stay."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from speakerkd.errors import InputError
from speakerkd.work.reading import open_file

PART, OLD = ".part", ".old"  # `.<name>.<random>.part` is being written, `.<name>.<random>.old` is being replaced
SPACE = "free space there, or check its rights, and run it again"
_swept: set[str] = set()


def below(folder: Path | str, name: object) -> Path:
    """The path of a file that a record (a ledger, a stamp, a checkpoint) says lies in `folder`.

    Raises InputError for a name that leads out of the folder, by itself or through a link to another folder: a damaged
    or foreign record must never have us open, or remove, what is not ours.
    """
    folder = Path(folder)
    what = f"a record names '{ascii(name)[1:-1]:.80}', which is not a file of this folder"
    if not isinstance(name, str) or not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(what, folder, "remove the record: what it is about is then made again")
    path = folder / name
    if path == folder or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(what, folder, "remove the record: what it is about is then made again")
    return path


@contextlib.contextmanager
def whole_file(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of `path` for writing; it takes the name of `path` only when the block succeeds.

    Raises InputError naming `path` where it cannot be written, such as on a full disk; an old file is then as it was.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if str(path.parent) not in _swept:
            _swept.add(str(path.parent))
            remove_parts(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=PART)
        try:
            with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
                _hold(handle)
                yield stream
                stream.flush()
                os.fsync(handle)
                os.chmod(name, 0o666 & ~_umask())
                os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


@contextlib.contextmanager
def whole_pair(data: Path | str, index: Path | str) -> Iterator[tuple[IO[bytes], IO[str]]]:
    """Write a file and the table that says where in it things are; both old ones stay until both new ones are on disk.

    Whatever moment a run is killed at, an old table is never left beside new data, where it would name wrong places.
    """
    data, index = Path(data), Path(index)
    with whole_file(index) as table, whole_file(data, "wb") as stream:
        yield stream, table
        for file in (stream, table):
            file.flush()
            os.fsync(file.fileno())
        index.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_dir(path: Path | str) -> Iterator[Path]:
    """A temporary neighbour folder of `path` that takes its place (replacing an old one) when the block succeeds.

    Raises InputError as `whole_file` does.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(path.parent)
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path), suffix=PART))
        handle = os.open(part, os.O_RDONLY)
        try:
            _hold(handle)
            yield part
            os.chmod(part, 0o777 & ~_umask())
            _replace(part, path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        finally:
            os.close(handle)


def _replace(part: Path, path: Path) -> None:
    """Give a folder the name of another, which goes: at no moment is there none, where the system can exchange two."""
    if not path.exists():
        os.replace(part, path)
    elif _exchange(part, path):
        shutil.rmtree(part, ignore_errors=True)
    else:  # `remove_parts` puts the old one back where we are killed between the two
        old = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path), suffix=OLD))
        os.replace(path, old / path.name)
        os.replace(part, path)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders' names in one step; False where the system or the file system cannot (Linux can)."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Within the block a failure to write (full disk, quota, rights) becomes an InputError that names `path`.

    A failure that names another file is that file's, and passes.
    """
    path = Path(path)
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str | bytes):
            other = Path(os.fsdecode(error.filename))
            if other != path and other not in path.parents and not other.name.startswith(_prefix(path)):
                raise
        raise InputError(f"cannot be written ({(error.strerror or str(error)).lower()})", path, SPACE) from error


def remove_parts(folder: Path | str) -> None:
    """Remove what killed runs left half-written in a folder; what a living process writes there stays.

    A writer holds its part locked, and the system lets go of a dead one's locks.
    """
    folder = Path(folder)
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(".") and entry.name.endswith((PART, OLD)):
                with contextlib.suppress(OSError):
                    _remove_dead(Path(entry.path))


def _remove_dead(path: Path) -> None:
    if path.is_symlink():  # a link cannot be locked, and is made in no time
        if time.time() - path.lstat().st_mtime > 60:
            path.unlink()
        return
    handle = os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.is_dir():
            path.unlink()
            return
        if path.name.endswith(OLD):
            for old in list(path.iterdir()):
                if not (path.parent / old.name).exists():
                    os.replace(old, path.parent / old.name)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _hold(handle: int) -> None:
    """Lock an open part, so that others see that its writer lives; some file systems have no locks."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _prefix(path: Path) -> str:
    """How the parts of a file are called; short enough for a name of 255 bytes."""
    return f".{os.fsencode(path.name)[:200].decode(errors='ignore')}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON, whole or not at all, sorted, so that equal values give equal bytes."""
    with whole_file(path) as stream:
        json.dump(value, stream, indent=2, sort_keys=True, ensure_ascii=False)
        stream.write("\n")


def digest(path: Path | str) -> str:
    """SHA-256 of a regular file's content, first 16 hex digits."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
