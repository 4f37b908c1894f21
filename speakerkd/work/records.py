"""Our own files read back: bounded, typed, and answered with one line where they are not what was written.

Whatever lies on disk may be empty, cut, another file, a pipe, or made to do harm; each reader here says in one
InputError which file it is, what is wrong with it, and which command makes it anew (`fix`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from speakerkd.errors import InputError
from speakerkd.work.reading import open_file

T = TypeVar("T")

MOST_TEXT = 64 << 20  # bytes of a JSON file
MOST_LINE = 1 << 20  # bytes of a row of JSON
MOST_DIGITS = 19  # of a whole number: more than 64 bits hold
DEEPEST = 64  # brackets within brackets


def read_bytes(path: Path | str, fix: str, most: int = MOST_TEXT) -> bytes:
    """The content of a plain file of at most `most` bytes."""
    with open_file(path, "file", fix) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise InputError(f"{size} bytes, more than the {most} that such a file can have", path, fix)
    return content


def read_text(path: Path | str, fix: str, most: int = MOST_TEXT) -> str:
    """The content of a plain UTF-8 file."""
    try:
        return read_bytes(path, fix, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", path, fix) from error


def read_json(path: Path | str, kind: type[T], fix: str, most: int = MOST_TEXT) -> T:
    """A JSON file as `kind`: settings, `dict[str, Any]`, or any type that pydantic can check."""
    return parse_json(read_text(path, fix, most), kind, path, fix)


def parse_json(text: str, kind: type[T], where: object, fix: str) -> T:
    """JSON text as `kind`. Raises InputError for text that is not JSON, or not of this kind."""
    try:
        value = json.loads(text, parse_int=_whole_number)
        _check_values(value)
    except RecursionError:
        raise InputError(f"nested more than {DEEPEST} deep", where, fix) from None
    except ValueError as error:
        reason = "it is empty" if not text.strip() else getattr(error, "msg", None) or str(error)
        raise InputError(f"not valid JSON ({reason})", where, fix) from error
    try:
        return _checker(kind).validate_python(value)  # type: ignore[arg-type]  # mypy: a type[T] is no Hashable
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        what = f"'{key:.80}': {fault['msg']}" if key else fault["msg"]
        raise InputError(f"not what belongs there ({what:.200})", where, fix) from error


@cache
def _checker(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _check_values(value: Any) -> None:
    """Raises ValueError for nesting that is too deep, and for text that no file name or table could hold."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not (item.isascii() and item.isprintable()):
                if "\0" in item:
                    raise ValueError("text with a NUL character")
                item.encode("utf-8")  # a lone surrogate is a ValueError
        if not below:
            return
        level = below
    raise RecursionError


def read_rows(path: Path | str, kind: type[T], fix: str) -> Iterator[T]:
    """The rows of a log, a JSON value a line; a last line that a killed run cut short is passed over.

    Raises InputError with the line for any other that is not of this kind.
    """
    with open_file(path, "file", fix) as stream:
        number = 0
        while line := stream.readline(MOST_LINE + 1):
            number += 1
            try:
                if len(line) > MOST_LINE:
                    raise InputError(f"a line of more than {MOST_LINE} bytes", f"{path}:{number}", fix)
                if line.strip():
                    yield parse_json(line.decode("utf-8"), kind, f"{path}:{number}", fix)
            except (InputError, UnicodeDecodeError) as error:
                if not stream.read(1):
                    return
                if isinstance(error, InputError):
                    raise
                raise InputError("not UTF-8 text", f"{path}:{number}", fix) from error
