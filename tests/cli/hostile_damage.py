"""What happens to files: damaged in every way that disks, editors and ill will have, and things that are no files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

WORDS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b" ", b"\t", b"|", b" touch ran |", b":", b"[", b"{", b"%00",
    b"../../outside", b"/dev/zero", b"/etc/passwd", b"\xc2\xb2", b"9" * 30, b"9" * 6001, b"-1", b"nan", b"1e999",
    b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.", b"e\xcc\x81", b"x" * 70_000, b"\xff\xff\xff\xff\xff\xff\xff\x7f",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, "x", "", "../../outside", "/etc/passwd", "a\0b", "\udc80", [], {}, [[]], {"x": 1},
    float("nan"), float("inf"), "9" * 400, [None], 2**31, -(2**63), "\u00b2",
)  # fmt: skip


def in_place(path: Path) -> Iterator[Callable[[], None]]:
    """What can stand in a file's place: nothing, a folder, a pipe, a device, links to itself and to nothing."""
    yield lambda: None
    yield path.mkdir
    yield lambda: os.mkfifo(path)
    yield lambda: path.symlink_to("/dev/zero")
    yield lambda: path.symlink_to(path.name)
    yield lambda: path.symlink_to("/nowhere/at/all")


def put(path: Path, make: Callable[[], None]) -> None:
    """Something else in a file's place."""
    remove(path)
    make()


def remove(path: Path) -> None:
    """Whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One version of a file's bytes."""
    if rng.random() < 0.1:
        return (b"", content[:1], content[:-1], content[: len(content) // 2], b"\0" * len(content))[rng.integers(5)]
    text = _json(content)
    if text is not None and rng.random() < 0.7:
        return _other_json(text, rng)
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        size = len(changed) if rng.random() < 0.5 else min(len(changed), 200)  # headers more than the rest
        start, length = int(rng.integers(0, size + 1)), int(rng.integers(1, 12))
        kind = int(rng.integers(0, 6))
        if kind == 0:
            del changed[start:]
        elif kind == 1:
            del changed[start : start + length]
        elif kind == 2 and start < len(changed):
            changed[start] ^= 1 << int(rng.integers(0, 8))
        elif kind == 3:
            changed[start:start] = changed[start : start + 40 * length]
        else:
            word = WORDS[int(rng.integers(len(WORDS)))]
            changed[start : start + (len(word) if kind == 4 else 0)] = word
    return bytes(changed)


def _json(content: bytes) -> list[Any] | None:
    """The values of a JSON file, or of a row a line."""
    try:
        return [json.loads(content)]
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in content.splitlines()] or None
    except ValueError:
        return None


def _other_json(rows: list[Any], rng: np.random.Generator) -> bytes:
    """One value anywhere in it of another kind, one key gone, or nesting without end."""
    rows = json.loads(json.dumps(rows))
    places = list(_places(rows))
    holder, key = places[int(rng.integers(len(places)))]
    way = rng.random()
    if way < 0.15 and not (holder is rows and len(rows) == 1):
        del holder[key]
    elif way < 0.2:
        return ("[" * 10_000 + "]" * 10_000).encode()
    elif way < 0.25:
        holder[key] = "PLACE"
        return _rows(rows).replace(b'"PLACE"', b"9" * 6001)
    else:
        holder[key] = VALUES[int(rng.integers(len(VALUES)))]
    return _rows(rows)


def _rows(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
