"""A recording or picture as it was given (path, bytes, file object), opened safely."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from speakerkd.errors import InputError
from speakerkd.media.formats import FORMATS, HEAD, Format, format_of, tag_length
from speakerkd.work.reading import open_file

FileSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
UNTAGGED = ("wav", "aiff", "ogg", "mp4", "caf")  # formats that no ID3v2 tag belongs before
MOST_STREAMED = 1 << 31  # bytes taken from a file object that cannot seek


@dataclass(slots=True)
class MediaFile:
    """An open file: a stream that can seek, what to call it, its first bytes, size and format (None: unknown).

    known: what was found out about it already, so that nothing is looked for twice.
    """

    stream: BinaryIO
    name: str
    head: bytes
    size: int
    format: Format | None
    known: dict[str, Any] = field(default_factory=dict)


class CalmStream:
    """A stream as the decoders' libraries take it: a seek to where nothing can be, which damaged files lead to, answers
    -1, as C does, instead of an exception that a library would print and drop."""

    def __init__(self, stream: BinaryIO) -> None:
        self.read, self.readinto, self.tell = stream.read, stream.readinto, stream.tell  # type: ignore[attr-defined]  # files have it
        self._seek = stream.seek

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1

    def write(self, data: bytes) -> int:
        raise OSError("opened for reading")


class Window(io.RawIOBase):
    """A part of a stream as a file of its own, with a few of its bytes replaced: {place in the part: bytes}."""

    def __init__(self, stream: BinaryIO, start: int, stop: int, patches: dict[int, bytes] | None = None) -> None:
        self._stream, self._start, self._length, self._patches = stream, start, stop - start, patches or {}
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, offset + (0, self._position, self._length)[whence])
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._position)
        self._stream.seek(self._start + self._position)
        data = bytearray(self._stream.read(left if size is None or size < 0 else min(size, left)))
        for offset, value in self._patches.items():
            at = offset - self._position
            if -len(value) < at < len(data):
                data[max(at, 0) : at + len(value)] = value[max(-at, 0) :][: len(data) - max(at, 0)]
        self._position += len(data)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def open_media(source: FileSource, what: str) -> Iterator[MediaFile]:
    """Open what was given, read from its beginning; what: "recording", "picture" or "video", for messages.

    Pipes, devices and folders are refused before they are opened, so nothing waits or is set off. Raises InputError
    for what is missing, may not be read, is empty, or is not a file.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with open_file(name, what) as stream:
            yield _opened(stream, name, what)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield _opened(io.BytesIO(source), f"{what} of {len(source)} bytes", what)
    elif hasattr(source, "read"):
        yield _opened(source, f"{getattr(source, 'name', f'{what} from a file object')}", what)
    else:
        fix = "give a path, bytes, a file object or an array"
        raise InputError(f"a {type(source).__name__} where a {what} is meant", repr(source)[:80], fix)


def _opened(stream: BinaryIO, name: str, what: str) -> MediaFile:
    try:
        if not stream.seekable():
            taken = stream.read(MOST_STREAMED)
            if len(taken) == MOST_STREAMED:
                raise InputError(f"more than {MOST_STREAMED >> 30} GiB", name, "give the path of a file")
            stream = io.BytesIO(taken)
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        head = stream.read(HEAD)
        form = _format(stream, head, size) if isinstance(head, bytes) else None
        if (
            form and form.name in UNTAGGED and (length := tag_length(head))
        ):  # a tagger's mistake: what it wrote on is whole
            stream, size = io.BufferedReader(Window(stream, length, size)), size - length
            head = stream.read(HEAD)
        stream.seek(0)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read ({reason})", name, "check the file and its disk") from error
    if not isinstance(head, bytes):
        raise InputError("a file object opened as text", name, 'open it with mode "rb"')
    if size == 0:
        raise InputError("empty file", name, f"copy the {what} again")
    return MediaFile(stream, name, head, size, form)


def _format(stream: BinaryIO, head: bytes, size: int) -> Format | None:
    if not (length := tag_length(head)):
        return format_of(head, size)
    stream.seek(length)  # a tag with a cover picture is longer than what was read
    form = format_of(stream.read(HEAD), size)
    return form if form and form.name in ("aac", "flac", *UNTAGGED) else FORMATS["mp3"]
