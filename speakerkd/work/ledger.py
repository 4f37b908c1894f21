"""What of a long job over many files is already done: a record a batch, so that a killed or repeated run goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from speakerkd.errors import InputError
from speakerkd.work.files import remove_parts, write_json
from speakerkd.work.origin import NO_FIX, origin
from speakerkd.work.records import read_json

Value = TypeVar("Value")


class Batch(BaseModel, Generic[Value]):
    """A finished batch: how it was made, {ending: size} of the files beside it, and what became of each key.

    done: {key: (signature of its sources, value)}; refused: {key: (signature, reason)}.
    """

    origin: dict[str, Any]
    files: dict[str, int]
    done: dict[str, tuple[str, Value]]
    refused: dict[str, tuple[str, str]]


def write_batch(
    path: Path,
    origin: Mapping[str, Any],
    done: Mapping[str, tuple[str, Any]],
    refused: Mapping[str, tuple[str, str]],
    files: Iterable[Path] = (),
) -> None:
    """Record a finished batch with the ledger's `origin`; it counts only while its files are as they are now."""
    sizes = {file.suffix: file.stat().st_size for file in files}
    write_json(path, {"origin": origin, "files": sizes, "done": done, "refused": refused})


class Ledger(Generic[Value]):
    """The batches that earlier runs finished in a folder, with the same settings and version of this package.

    Batch n is `n.json` and the files that are called n too, so no record has to name a file. kind: type of the values.
    A batch that is damaged, of other settings, or whose files are gone or cut counts as not done.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, Any], kind: Any) -> None:
        self.folder = Path(folder)
        self.origin = origin([], settings)
        self.done: dict[str, tuple[str, Value]] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        self._kind = Batch[kind]
        self._batch: dict[str, Path] = {}  # of every key
        for path in sorted(self.folder.glob("*.json"), key=lambda path: _number(path) or 0):
            if _number(path) is not None:
                self.add(path)

    def add(self, path: Path) -> None:
        """Take in a batch that was just written, or pass over one that is damaged or of another origin."""
        try:
            batch = read_json(path, self._kind, NO_FIX)
        except InputError:
            return
        if batch.origin != self.origin or not all(_is_whole(path, *file) for file in batch.files.items()):
            return
        for key in batch.done:
            self.refused.pop(key, None)
        for key in batch.refused:
            self.done.pop(key, None)
        self.done |= batch.done
        self.refused |= batch.refused
        self._batch |= dict.fromkeys([*batch.done, *batch.refused], path)

    def file(self, key: str, suffix: str) -> Path:
        """The file with this ending that the batch of a done key wrote."""
        return self._batch[key].with_suffix(suffix)

    def pending(self, signatures: Mapping[str, str]) -> list[str]:
        """The keys that were neither done nor refused, or whose sources have changed since."""
        known = {key: sign for table in (self.done, self.refused) for key, (sign, _) in table.items()}
        return [key for key, sign in signatures.items() if known.get(key) != sign]

    def next_batches(self, count: int) -> list[Path]:
        """Paths of `count` batches that no file has yet."""
        taken = [number for path in self.folder.glob("*") if (number := _number(path)) is not None]
        first = max(taken, default=-1) + 1
        return [self.folder / f"{number:06d}.json" for number in range(first, first + count)]

    def sweep(self, live: Mapping[str, Any]) -> None:
        """Remove batches, with their files, that hold none of the `live` keys or whose keys were all done again.

        Files without a batch, and what a killed run left half-written in the folder, go too.
        """
        wanted = {path.stem for key, path in self._batch.items() if key in live}
        for path in self.folder.glob("*"):
            if _number(path) is not None and path.stem not in wanted and path.is_file():
                path.unlink(missing_ok=True)
        remove_parts(self.folder)


def _number(path: Path) -> int | None:
    """The number of the batch that a file belongs to, None where its name is no batch's."""
    return int(path.stem) if re.fullmatch(r"[0-9]{6,12}", path.stem) else None


def _is_whole(batch: Path, suffix: str, size: int) -> bool:
    """Whether a batch's file with this ending has the size that it was written with."""
    if suffix == ".json" or not re.fullmatch(r"\.[a-z]+", suffix):
        return False
    file = batch.with_suffix(suffix)
    return file.is_file() and file.stat().st_size == size
