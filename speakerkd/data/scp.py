"""A Kaldi scp as one table: which record of which ark each key names."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
        with open(self.path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.split(None, 1)[:1] == [key]:
                    return f"{self.path}:{number}"
        return str(self.path)


def read_scp(path: Path | str) -> ScpTable:
    """Parse `key file:offset` lines.

    Raises InputError with file and line for a line of another form, a duplicate key, or an empty table.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such archive list", path, "make it with the verb that writes it (see `speakerkd --help`)")
    keys: list[bytes] = []
    names: dict[bytes, int] = {}
    ark: list[int] = []
    offset: list[int] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            key, record = line.split(None, 1)
            name, _, place = record.rpartition(b":")
            offset.append(int(place))
            if offset[-1] < 0:
                raise ValueError(place)
        except ValueError:
            if not line.strip():
                continue
            raise InputError("not a `key file:offset` line", f"{path}:{number}", "write the archive again") from None
        if name not in names:
            names[name] = len(names)
        ark.append(names[name])
        keys.append(key)
    if not keys:
        raise InputError("no record in the archive list", path, "write the archive again")
    if len(set(keys)) < len(keys):
        _raise_duplicate(path)
    # a relative name is taken from the working directory, as Kaldi's tools do
    arks = [Path(os.fsdecode(name)) for name in names]
    return ScpTable(path, np.array(keys), arks, np.array(ark, np.int32), np.array(offset, np.int64))


def _raise_duplicate(path: Path) -> None:
    seen: set[bytes] = set()
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        key = line.split(None, 1)[0] if line.strip() else None
        if key in seen:
            raise InputError(
                f"duplicate key '{key.decode(errors='replace')}'", f"{path}:{number}", "keep one line a key"
            )
        if key is not None:
            seen.add(key)


def check_key(key: str) -> None:
    """Raises InputError for a key that a table cannot hold: empty, or with whitespace."""
    if key.split() != [key]:
        raise InputError(f"the key '{key}' has whitespace or is empty", "archive", "percent-encode whitespace in keys")


def write_scp(path: Path | str, places: dict[str, str]) -> None:
    """Write {key: `file:offset`} sorted by key (bytewise), whole or not at all."""
    with whole_file(path) as stream:
        stream.writelines(f"{key} {places[key]}\n" for key in sorted(places, key=str.encode))


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
