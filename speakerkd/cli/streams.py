"""Output that a finished job cannot lose: any encoding, and readers that have gone."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class _Unbroken(io.RawIOBase):
    """A file descriptor to which writing goes on, into nothing, once its reader has gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data) -> int:  # type: ignore[no-untyped-def, override]
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BrokenPipeError:
            pass
        return len(data)


def tolerant_streams() -> None:
    """Make standard output and error outlive their readers and write what their encoding lacks as `\\xe9`."""
    sys.stdout, sys.stderr = _tolerant(sys.stdout), _tolerant(sys.stderr)


def _tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed before we began
        return open(os.devnull, "w", encoding="utf-8")
    raw = getattr(stream.buffer, "raw", stream.buffer) if type(stream) is io.TextIOWrapper else None
    if not isinstance(raw, io.FileIO):
        return stream  # a test's, or one that is tolerant already
    stream.flush()
    unbroken = _Unbroken(stream.fileno())
    buffer = unbroken if stream.buffer is raw else io.BufferedWriter(unbroken)  # PYTHONUNBUFFERED asks for none
    return io.TextIOWrapper(
        buffer,
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
