"""What an output was made from, recorded beside it, so that a verb makes only what is missing or stale."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speakerkd.errors import InputError
from speakerkd.version import __version__
from speakerkd.work.files import digest, write_json
from speakerkd.work.records import read_json

LARGE = 64 << 20  # bytes; smaller files are known by their content, larger ones by size and time of change
RECORD = ".made.json"
NO_FIX = "run the verb again"


def identity(path: Path | str) -> str:
    """What a file is now: a digest of its content, or, of a large one, its size and time of change; `missing`."""
    path = Path(path)
    try:
        state = path.stat()
        if not path.is_file():
            return "a folder" if path.is_dir() else "no regular file"
        return digest(path) if state.st_size <= LARGE else f"{state.st_size} bytes, {state.st_mtime_ns}"
    except (OSError, ValueError):
        return "missing"


def signature(paths: Sequence[Path | str]) -> str:
    """Many files as they are now, at the price of a look each: names and what `state` says."""
    return _short(f"{path}\0{state(path)}" for path in paths)


def state(path: Path | str) -> str:
    """Size, time of change, and whether it may not be read: what was refused is tried again once one changes."""
    try:
        status = os.stat(path)
        return f"{status.st_size}\0{status.st_mtime_ns}" + ("" if os.access(path, os.R_OK) else "\0unreadable")
    except (OSError, ValueError):
        return "missing"


def summary(signatures: Mapping[str, str]) -> str:
    """One digest of all signatures."""
    return _short(f"{key}\0{sign}" for key, sign in sorted(signatures.items()))


def _short(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\0\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def origin(inputs: Iterable[Path | str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The record of what something is made from: input files, settings, and the version of this package."""
    return {
        "version": __version__,
        "inputs": [[Path(path).name, identity(path)] for path in inputs],
        "settings": json.loads(json.dumps(dict(settings), default=str)),
    }


def origin_digest(inputs: Iterable[Path | str], settings: Mapping[str, Any]) -> str:
    """`origin` in 16 hex digits, for an entry among others in one file."""
    return _short([json.dumps(origin(inputs, settings), sort_keys=True)])


class Stamp:
    """Says whether an output is as it was made, from the same inputs, with the same settings and code.

    The record is `<output>.made.json`: the output's `origin`, and the identity of the files that were written. A file
    that is an output, or one of `files` beside it, and was damaged or changed since makes the output stale.
    """

    def __init__(
        self, output: Path | str, inputs: Iterable[Path | str], files: Iterable[str] = (), **settings: Any
    ) -> None:
        self.output = Path(output)
        self.path = self.output.with_name(self.output.name + RECORD)
        self.record = origin(inputs, settings)
        self._files = list(files)

    def is_current(self) -> bool:
        """True if the output is there, whole, and of this origin."""
        if not self.output.exists() or not self.path.is_file():
            return False
        try:
            there = read_json(self.path, dict[str, Any], NO_FIX)
        except InputError:
            return False
        return there == self.record | {"files": self._written()}

    def write(self) -> None:
        """Record the output as it now is; call it when all of it is in place."""
        write_json(self.path, self.record | {"files": self._written()})

    def clear(self) -> None:
        """Forget the record, before parts of the output are replaced."""
        self.path.unlink(missing_ok=True)

    def _written(self) -> dict[str, str]:
        names = [self.output.name, *self._files] if self.output.is_file() else self._files
        return {name: identity(self.output.parent / name) for name in names}
