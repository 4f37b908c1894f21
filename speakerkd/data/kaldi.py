"""Vectors and matrices in Kaldi's ark and scp files, read as numbers and as nothing else.

Read are float and double vectors and matrices (`FV DV FM DM`), compressed matrices (`CM CM2 CM3`) and text
(`key [ 1 2 3 ]`), in an ark or through an scp (`key file[:offset][ranges]`). What else an ark or scp may hold is
refused by name: a pickled object or a command line would run code, audio and integers are no embeddings.
Format: Kaldi's matrix/compressed-matrix.h and util/kaldi-table.h.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.scp import map_file
from speakerkd.errors import InputError
from speakerkd.work.reading import open_file

FIX = "make it with `speakerkd embed`, or with Kaldi's copy-vector or copy-feats"
WRITE_AGAIN = "write the archive again"
LONGEST_KEY = 4096  # bytes
LARGEST = (1 << 63) - 1  # of an offset
CONTROL = re.compile(r"[\0-\x1f\x7f]")

PLAIN = {b"FV": ("<f4", 1), b"DV": ("<f8", 1), b"FM": ("<f4", 2), b"DM": ("<f8", 2)}  # type and dimensions
COMPRESSED = {b"CM": "u1", b"CM2": "<u2", b"CM3": "u1"}
REFUSED = (
    (b"PKL", "a pickled Python object, which could run code"),
    (b"NPY", "a NumPy object"),
    (b"AUDIO", "audio"),
    (b"RIFF", "audio"),
    (b"fLaC", "audio"),
    (b"\0B\4", "a vector of integers"),
)
VECTOR = struct.Struct("<Bi")
MATRIX = struct.Struct("<BiBi")
COMPRESSED_HEADER = struct.Struct("<ffii")
KNOTS = np.array([0, 64, 192], np.float32)  # of CM's codes: first of each quarter, half and quarter of the values
STEPS = np.array([1 / 64, 1 / 128, 1 / 63], np.float32)
CODES = np.arange(256, dtype=np.float32)
PIECES = (CODES > 64).astype(np.intp) + (CODES > 192)

Record = NDArray[np.floating]


class _DamagedError(Exception):
    """What is wrong with a record; the caller knows where it stands."""


def read_records(path: Path | str) -> Iterator[tuple[str, Record]]:
    """The records of an ark, or of those that an scp names (a path that ends in `.scp`), in the file's order.

    Yields
    ------
    key : str
    record : (D,) or (T, D) float32 or float64
        A read-only view of the file where that holds plain numbers; copy it to keep it.

    Raises
    ------
    InputError
        With the file, and the key or line, for what is damaged, of another format or no regular file. An offset or a
        size that lies beyond the end of its file is refused before memory is asked for.
    """
    path = Path(path)
    return _of_scp(path) if path.suffix == ".scp" else _of_ark(path)


def _of_ark(path: Path) -> Iterator[tuple[str, Record]]:
    source = map_file(path)
    at, end = 0, len(source)
    while at < end:
        if source[at] in b"\r\n":  # between text records
            at += 1
            continue
        space = source.find(b" ", at, at + LONGEST_KEY)
        key = _key(source[at:space]) if space > at else None
        if key is None:
            raise InputError(f"not a Kaldi ark: no key at byte {at}", path, FIX)
        try:
            record, at = _record(source, space + 1)
        except _DamagedError as error:
            raise InputError(f"{error}, record '{key}'", path, FIX) from None
        yield key, record


def _of_scp(path: Path) -> Iterator[tuple[str, Record]]:
    open_name, source = b"", None
    with open_file(path, "scp file", FIX) as stream:
        for number, line in enumerate(stream, 1):
            fields = line.split(None, 1)
            if number == 1 and fields:
                fields[0] = fields[0].removeprefix(b"\xef\xbb\xbf")
            if not fields:
                continue
            key = _key(fields[0])
            if key is None or len(fields) == 1:
                raise InputError("not a `key file:offset` line", f"{path}:{number}", WRITE_AGAIN)
            try:
                name, offset, ranges = _location(fields[1].strip())
                if source is None or name != open_name:
                    source, open_name = map_file(Path(name.decode())), name
                if offset >= len(source):
                    raise _DamagedError(f"byte {offset} lies beyond the end of {name.decode()}")
                record = _cut(_record(source, offset)[0], ranges)
            except _DamagedError as error:
                raise InputError(f"{error}, record '{key}'", f"{path}:{number}", WRITE_AGAIN) from None
            except UnicodeDecodeError:
                raise InputError("a file name that is not UTF-8", f"{path}:{number}", "rename the file") from None
            except InputError as error:
                raise InputError(f"{error.what}: {error.where}", f"{path}:{number}", error.fix) from None
            yield key, record


def _key(raw: bytes) -> str | None:
    """A record's key, or None for bytes that are none."""
    try:
        key = raw.decode()
    except UnicodeDecodeError:
        return None
    return key if key.isprintable() or not CONTROL.search(key) else None


def _location(value: bytes) -> tuple[bytes, int, str]:
    """File, offset and ranges (`0:9,2:5`, or nothing) of an scp's value."""
    if value.startswith(b"|") or value.endswith(b"|"):
        raise _DamagedError("a command line (it ends or begins with `|`), which is never run, where a file is meant")
    ranges = ""
    if value.endswith(b"]") and b"[" in value:
        value, _, text = value[:-1].rpartition(b"[")
        ranges = text.decode("ascii", "replace")
    name, colon, offset = value.rpartition(b":")
    if not (colon and offset.isdigit()):
        return value, 0, ranges
    if len(offset) > 19 or int(offset) > LARGEST:
        raise _DamagedError("an offset of more than 63 bits")
    return name, int(offset), ranges


def _cut(record: Record, ranges: str) -> Record:
    """Rows and columns of a record: `first:last` for each dimension, both inclusive; nothing means all of them."""
    if not ranges:
        return record
    texts = ranges.split(",")
    parts = []
    for text, size in zip(texts, record.shape, strict=False):
        match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text.strip())
        first, last = (int(match[1]), int(match[2])) if match else (0, size - 1)
        if len(texts) > record.ndim or not (match or text.strip() in ("", ":")) or not first <= last < size:
            raise _DamagedError(f"the range [{ranges[:80]}] does not fit a record of shape {record.shape}")
        parts.append(slice(first, last + 1))
    return record[tuple(parts)]


def _record(source: mmap.mmap, at: int) -> tuple[Record, int]:
    """The record that begins at a byte, and the byte after it."""
    start = source[at : at + 6]
    if not start.startswith(b"\0B") or start[2:3] == b"\4":
        for magic, what in REFUSED:
            if start.startswith(magic):
                raise _DamagedError(f"the record is {what}, not a vector or matrix of numbers")
        return _text(source, at)
    name = start[2:].partition(b" ")[0]
    try:
        if name in PLAIN:
            return _plain(source, at + 3 + len(name), *PLAIN[name])
        if name in COMPRESSED:
            return _compressed(source, at + 3 + len(name), name)
    except struct.error:
        raise _DamagedError("the file ends inside the record") from None
    raise _DamagedError(f"a record of the unknown kind {name[:8]!r}")


def _numbers(source: mmap.mmap, at: int, dtype: str, shape: tuple[int, ...]) -> tuple[NDArray, int]:
    """Numbers of a shape from a byte on, and the byte after them; sizes are checked against the file first."""
    if min(shape) < 1:
        raise _DamagedError(f"a record of shape {shape}")
    count = math.prod(shape)
    end = at + count * np.dtype(dtype).itemsize
    if end > len(source):
        raise _DamagedError(f"the file ends inside the record: it says shape {shape}")
    return np.frombuffer(source, dtype, count, at).reshape(shape), end


def _plain(source: mmap.mmap, at: int, dtype: str, dimensions: int) -> tuple[Record, int]:
    header = VECTOR if dimensions == 1 else MATRIX
    fields = header.unpack_from(source, at)
    if any(width != 4 for width in fields[::2]):
        raise _DamagedError("a damaged header")
    return _numbers(source, at + header.size, dtype, fields[1::2])


def _compressed(source: mmap.mmap, at: int, name: bytes) -> tuple[Record, int]:
    """value = minimum + span * code / largest code; CM has codes between four such values a column."""
    minimum, span, rows, columns = COMPRESSED_HEADER.unpack_from(source, at)
    if not (math.isfinite(minimum) and math.isfinite(span)):
        raise _DamagedError("a compressed matrix whose range is not finite")
    at += COMPRESSED_HEADER.size
    if name != b"CM":
        codes, end = _numbers(source, at, COMPRESSED[name], (rows, columns))
        values = codes.astype(np.float32)
        values *= span
        values /= 65535 if name == b"CM2" else 255
        values += minimum
        return values, end
    quantiles, at = _numbers(source, at, "<u2", (columns, 4))
    codes, end = _numbers(source, at, "u1", (columns, rows))
    knots = minimum + quantiles.astype(np.float32) * span / 65535
    # every code's value once a column; the codes then only pick
    low, rise = knots[:, PIECES], np.diff(knots, axis=1)[:, PIECES]
    values = low + rise * (CODES - KNOTS[PIECES]) * STEPS[PIECES]
    return np.take_along_axis(values, codes.astype(np.intp), 1).T, end


def _text(source: mmap.mmap, at: int) -> tuple[Record, int]:
    """`[ 1 2 3 ]`, `[` and one row a line up to `]`, or numbers up to the end of the line."""
    line = source.find(b"\n", at)
    line = len(source) if line < 0 else line
    bracket = source.find(b"[", at, line + 1)
    if bracket < 0:
        rows, end = [source[at:line].split()], line + 1
    else:
        close = source.find(b"]", bracket)
        if close < 0 or source[at:bracket].strip():
            raise _DamagedError("neither binary nor text of the form `[ numbers ]`")
        body = source[bracket + 1 : close]
        rows, end = [row.split() for row in body.split(b"\n") if row.strip()], close + 1
        if b"\n" not in body:
            rows = rows or [[]]
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise _DamagedError("text without numbers, or with rows of different lengths")
    try:
        if any(b"_" in field for row in rows for field in row):  # Python's own numbers may have it
            raise ValueError
        with np.errstate(over="ignore"):  # what is too large becomes infinite, as in Kaldi
            values = np.array([[float(field) for field in row] for row in rows], np.float64).astype(np.float32)
    except ValueError:
        raise _DamagedError("text that is no number") from None
    is_matrix = bracket >= 0 and b"\n" in body
    return values if is_matrix else values[0], end
