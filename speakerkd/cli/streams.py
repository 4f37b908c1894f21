"""Output that a finished job cannot lose: any encoding, and readers that have gone."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


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

    def write(self, data: ReadableBuffer) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BrokenPipeError:
            pass
        except OSError as error:  # a full disk: it says no name itself
            name = "standard error" if self._descriptor == 2 else "standard output"
            raise OSError(error.errno, error.strerror, name) from None
        return memoryview(data).nbytes


def tolerant_streams() -> None:
    """Make standard output and error outlive their readers and write what their encoding lacks as `\\xe9`."""
    sys.stdout, sys.stderr = _tolerant(sys.stdout), _tolerant(sys.stderr)


def _tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed before we began
        return open(os.devnull, "w", encoding="utf-8")
    if type(stream) is not io.TextIOWrapper:
        return stream  # a test's
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if not isinstance(raw, io.FileIO):
        return stream  # tolerant already
    stream.flush()
    unbroken = _Unbroken(stream.fileno())
    # PYTHONUNBUFFERED asks for none; typeshed's wrapper knows buffered streams alone
    buffer: Any = unbroken if stream.buffer is raw else io.BufferedWriter(unbroken)
    return io.TextIOWrapper(
        buffer,
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
