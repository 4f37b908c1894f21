"""What of a long job over many files is already done: a record a batch, so that a killed or repeated run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import speakerkd
from speakerkd.errors import InputError
from speakerkd.work.files import below, write_json


def signature(paths: Sequence[str]) -> str:
    """Names files as they are now: their paths, sizes and times of change."""
    parts = []
    for path in paths:
        try:
            stat = Path(path).stat()
            parts.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}")
        except (OSError, ValueError):
            parts.append(f"{path}\0missing")
    return hashlib.blake2b("\0\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def summary(signatures: Mapping[str, str]) -> str:
    """One digest of all signatures."""
    parts = (f"{key}\0{sign}" for key, sign in sorted(signatures.items()))
    return hashlib.blake2b("\0\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def write_batch(
    path: Path,
    settings: Mapping[str, Any],
    done: Mapping[str, tuple[str, Any]],
    refused: Mapping[str, tuple[str, str]],
    files: Sequence[str] = (),
) -> None:
    """Record a finished batch with the ledger's settings; it counts only while `files` beside it are there."""
    write_json(path, {"settings": settings, "files": list(files), "done": done, "refused": refused})


class Ledger:
    """The batches that earlier runs finished in a folder, with the same settings and version of this package.

    done: {key: (signature of its sources, value)}; refused: {key: (signature, reason)}. A batch `<n>.json` counts
    only where the files it names are still there.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.settings = {"version": speakerkd.__version__} | json.loads(json.dumps(dict(settings), default=str))
        self.done: dict[str, tuple[str, Any]] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        self._batches: dict[Path, list[str]] = {}
        self._files: dict[Path, list[Path]] = {}
        for path in sorted(self.folder.glob("*.json")):
            if path.stem.isdigit():
                self.add(path)

    def add(self, path: Path) -> None:
        """Take in a batch that was just written, or pass over one that is damaged or of other settings."""
        self._batches[path], self._files[path] = [], []
        try:
            batch = json.loads(path.read_text("utf-8"))
            self._files[path] = [self.file(path, name) for name in batch["files"]]
            if batch["settings"] != self.settings or not all(file.is_file() for file in self._files[path]):
                return
            done = {key: (str(sign), value) for key, (sign, value) in batch["done"].items()}
            refused = {key: (str(sign), str(reason)) for key, (sign, reason) in batch["refused"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError):
            return
        for key in done:
            self.refused.pop(key, None)
        for key in refused:
            self.done.pop(key, None)
        self.done |= done
        self.refused |= refused
        self._batches[path] = [*done, *refused]

    def file(self, batch: Path, name: object) -> Path:
        """A file that a batch names as its own: in this folder, and called as the batch is.

        Raises InputError for any other name.
        """
        path = below(self.folder, name)
        if path.parent != self.folder or path.stem != batch.stem or path.suffix == ".json":
            raise InputError(f"a batch names '{path.name}', which is not its own", batch, "remove the batch")
        return path

    def pending(self, signatures: Mapping[str, str]) -> list[str]:
        """The keys that were neither done nor refused, or whose sources have changed since."""
        known = {key: sign for table in (self.done, self.refused) for key, (sign, _) in table.items()}
        return [key for key, sign in signatures.items() if known.get(key) != sign]

    def next_batches(self, count: int) -> list[Path]:
        """Paths of `count` batches that no file has yet."""
        taken = [int(path.stem) for path in self.folder.glob("*") if path.stem.isdigit()]
        first = max(taken, default=-1) + 1
        return [self.folder / f"{number:06d}.json" for number in range(first, first + count)]

    def sweep(self, live: Mapping[str, Any]) -> None:
        """Remove batches, with their files, that hold none of the `live` keys or whose keys were all done again.

        Removes what a killed run left unfinished in the folder too.
        """
        newest: dict[str, Path] = {}
        for path, keys in self._batches.items():
            newest |= dict.fromkeys((key for key in keys if key in live), path)
        wanted = set(newest.values())
        for path in self._batches.keys() - wanted:
            for file in self._files[path]:
                file.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.part"):
            path.unlink(missing_ok=True)
