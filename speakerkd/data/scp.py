"""A Kaldi scp as one table: which record of which ark each key names."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from speakerkd.data.names import composed
from speakerkd.data.text import read_text
from speakerkd.errors import InputError
from speakerkd.work.files import whole_file
from speakerkd.work.reading import open_file


@dataclass(slots=True)
class ScpTable:
    """N keys and the place of their records.

    keys: (N,) bytes, UTF-8. ark: (N,) int32 position in `arks`. offset: (N,) int64 byte of the record's `\\0B`.
    """

    path: Path
    keys: np.ndarray
    arks: list[Path]
    ark: np.ndarray
    offset: np.ndarray

    def by_ark(self) -> list[np.ndarray]:
        """The positions of each ark's keys, ascending."""
        order = np.argsort(self.ark, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.ark, minlength=len(self.arks)))[:-1])

    def where(self, position: int) -> str:
        """`file:line` of the key at a position, found by reading the scp again (only errors need it)."""
        key = bytes(self.keys[position])
        for number, line in enumerate(read_text(self.path).split(b"\n"), 1):
            if line.strip() and _composed(line.split(None, 1)[0]) == key:
                return f"{self.path}:{number}"
        return str(self.path)


def read_scp(path: Path | str) -> ScpTable:
    """Parse `key file:offset` lines; keys composed (NFC).

    Raises InputError with file and line for a line of another form (a command line, a range of rows), a duplicate key,
    an offset beyond 63 bits, text that is not UTF-8, an empty table, and where there is no such regular file.
    """
    path = Path(path)
    fix = "write the archive again"
    content = read_text(path, "archive list", "make it with the verb that writes it (see `speakerkd --help`)")
    is_ascii = content.isascii()
    keys: list[bytes] = []
    names: dict[bytes, int] = {}
    ark: list[int] = []
    offset: list[int] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        fields = line.split(None, 1)
        if not fields:
            continue
        name, colon, offset_text = fields[-1].rstrip().rpartition(b":")
        if len(fields) == 1 or not colon or not offset_text.isdigit() or len(offset_text) > 18:
            what = (
                "a command line, which is never run" if offset_text.endswith(b"|") else "not a `key file:offset` line"
            )
            raise InputError(f"{what} ('{line.decode()[:80]}')", f"{path}:{number}", fix)
        offset.append(int(offset_text))
        if name not in names:
            names[name] = len(names)
        ark.append(names[name])
        keys.append(fields[0] if is_ascii else _composed(fields[0]))
    if not keys:
        raise InputError("no record in the archive list", path, fix)
    if len(set(keys)) < len(keys):
        _raise_duplicate(path, content)
    # a relative name is taken from the working directory, as Kaldi's tools do
    arks = [Path(os.fsdecode(name)) for name in names]
    return ScpTable(path, np.array(keys), arks, np.array(ark, np.int32), np.array(offset, np.int64))


def _composed(key: bytes) -> bytes:
    return composed(key.decode()).encode()


def _raise_duplicate(path: Path, content: bytes) -> NoReturn:
    seen: dict[bytes, int] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        key = _composed(line.split(None, 1)[0]) if line.strip() else b""
        if key and seen.setdefault(key, number) != number:
            what = f"duplicate key '{key.decode()}', line {seen[key]} has it too"
            raise InputError(what, f"{path}:{number}", "keep one line a key")
    raise AssertionError("no key is there twice")


def check_key(key: str) -> None:
    """Raises InputError for a key that a table cannot hold: empty, or with whitespace."""
    if key.split() != [key]:
        raise InputError(f"the key '{key}' has whitespace or is empty", "archive", "percent-encode whitespace in keys")


def write_scp(path: Path | str, places: dict[str, str]) -> None:
    """Write {key: `file:offset`} sorted by key (bytewise), whole or not at all."""
    with whole_file(path) as stream:
        stream.writelines(scp_lines(places))


def scp_lines(places: dict[str, str]) -> Iterator[str]:
    """The lines of {key: `file:offset`}, sorted by key (bytewise)."""
    return (f"{key} {places[key]}\n" for key in sorted(places, key=str.encode))


def map_file(path: Path) -> mmap.mmap:
    """A read-only memory map of a whole file; raises InputError where it is missing, empty or no regular file."""
    with open_file(path, "ark file", "write the archive again, or correct the scp that names it") as stream:
        try:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError):
            raise InputError("empty ark file", path, "write the archive again") from None


def gather_bytes(source: mmap.mmap, offsets: np.ndarray, width: int) -> np.ndarray:
    """The `width` bytes at each offset (N,) of a map, as (N, width) uint8; every offset + width lies inside the map."""
    data = np.frombuffer(source, np.uint8)
    result = np.empty((len(offsets), width), np.uint8)
    step = 1 << 16
    for start in range(0, len(offsets), step):
        places = offsets[start : start + step, None] + np.arange(width)
        result[start : start + step] = data[places]
    return result
