"""Files that are whole or absent, and the record that tells whether an output is up to date."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import speakerkd
from speakerkd.errors import InputError


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
    """Open a temporary neighbour of `path` for writing; it takes the name of `path` only when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def whole_dir(path: Path | str) -> Iterator[Path]:
    """A temporary neighbour folder of `path` that takes its place (replacing an old one) when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield part
        os.chmod(part, 0o777 & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
            os.replace(path, old / path.name)
            os.replace(part, path)
            shutil.rmtree(old)
        else:
            os.replace(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path | str, value: Any) -> None:
    with whole_file(path) as stream:
        json.dump(value, stream, indent=2, sort_keys=True, ensure_ascii=False)
        stream.write("\n")


def digest(path: Path | str) -> str:
    """SHA-256 of a file's content, first 16 hex digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


class Stamp:
    """Says whether an output is newer than what it was made from, and records how it was made.

    The record is `<output>.made.json`: content digests of the inputs, the settings, and the package version.
    """

    def __init__(self, output: Path | str, inputs: Iterable[Path | str], **settings: Any) -> None:
        self.output = Path(output)
        self.path = self.output.with_name(self.output.name + ".made.json")
        self.record = {
            "version": speakerkd.__version__,
            "inputs": {Path(p).name: digest(p) for p in inputs if Path(p).is_file()},
            "settings": json.loads(json.dumps(settings, default=str)),
        }

    def is_current(self) -> bool:
        """True if the output exists and was made from these inputs with these settings and this version."""
        if not (self.output.exists() and self.path.is_file()):
            return False
        try:
            return json.loads(self.path.read_text("utf-8")) == self.record
        except (OSError, ValueError):
            return False

    def write(self) -> None:
        write_json(self.path, self.record)
