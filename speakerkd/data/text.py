"""Reading a text file of records: UTF-8, one record a line, from a regular file; and the numbers in it.

A line ends in a line feed (a carriage return before it is no part of it); fields are parted by ASCII white space, as
in Kaldi and in C. A byte-order mark and blank lines are no fault. Every table, list and score file is read by these
rules, so that no two verbs see different records in one file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.work.reading import open_file

BLOCK = 1 << 22  # bytes read at a time
WHITESPACE = " \t\r\n\x0b\x0c"  # what `bytes.split` parts fields at
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_DIGITS = 19  # of a whole number below 2 ** 63
REAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_text(path: Path | str, what: str = "file", fix: str = "check the path") -> bytes:
    """The bytes of a text file, all of them UTF-8, without a byte-order mark.

    Raises InputError where there is no such regular file, and with file and line for UTF-16, a NUL byte, or bytes that
    are not UTF-8.
    """
    blocks: list[bytes] = []
    with open_file(path, what, fix) as stream:
        while block := stream.read(BLOCK):
            if not blocks and block[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise InputError(f"the {what} is UTF-16 text", path, "save it as UTF-8")
            if b"\0" in block:
                line = sum(b.count(b"\n") for b in blocks) + block[: block.index(b"\0")].count(b"\n") + 1
                raise InputError(f"the {what} holds a NUL byte, it is no text", f"{path}:{line}", fix)
            blocks.append(block)
    content = b"".join(blocks).removeprefix(BYTE_ORDER_MARK)
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise InputError("not UTF-8 text", f"{path}:{line}", f"save the {what} as UTF-8") from None
    return content


def numbered_lines(path: Path | str, what: str = "list", fix: str = "check the path") -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, numbered from 1, without line ends; raises as `read_text` does."""
    for number, line in enumerate(read_text(path, what, fix).split(b"\n"), 1):
        text = line.rstrip(b"\r")
        if text.strip():
            yield number, text.decode()


def fields_of(line: str) -> list[str]:
    """A line's fields, parted by ASCII white space alone: other blanks (U+00A0, U+3000) may stand in a name.

    >>> fields_of("1  a\\u3000b\\tc")
    ['1', 'a\\u3000b', 'c']
    """
    return line.split() if line.isascii() and line.isprintable() else [f.decode() for f in line.encode().split()]


def whole_number(text: str | bytes) -> int | None:
    """The number that ASCII digits name, from 0 to 2 ** 63 - 1; None for any other text.

    >>> whole_number("12"), whole_number("-1"), whole_number("\u00b2"), whole_number("9" * 6001)
    (12, None, None, None)
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not raw.isdigit() or len(raw) > MOST_DIGITS:
        return None
    number = int(raw)
    return number if number < 1 << 63 else None


def real_number(text: str | bytes) -> float | None:
    """The finite number that a text in plain or exponent notation names; None for any other text.

    >>> real_number("1.5e-3"), real_number("nan"), real_number("1_0"), real_number("9" * 6001)
    (0.0015, None, None, None)
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not REAL.fullmatch(raw):
        return None
    number = float(raw)
    return number if math.isfinite(number) else None
