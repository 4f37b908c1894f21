"""Pictures that lie many to a file: members of a tar that is not compressed, named as Kaldi does, `faces.tar:1536`."""

from __future__ import annotations

import io
import re
import tarfile
from typing import IO

import numpy as np

from speakerkd.errors import InputError
from speakerkd.media.pictures import read_picture

PACKED = re.compile(r"(.+\.tar):([0-9]{1,15})")


def container(location: str) -> str:
    """The file that a picture's place is in: the tar of `faces.tar:1536`, or the place itself."""
    match = PACKED.fullmatch(location)
    return match[1] if match else location


def read_placed(location: str) -> np.ndarray:
    """The picture uint8 (H, W, 3) at a place: a file, or `PATH.tar:OFFSET` of a member's first byte.

    Raises InputError, naming the place, as `read_picture` does, and where the tar has no member there.
    """
    match = PACKED.fullmatch(location)
    if match is None:
        return read_picture(location)
    offset = int(match[2])
    try:
        with open(match[1], "rb") as stream:
            stream.seek(max(offset - tarfile.BLOCKSIZE, 0))
            member = tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
            content = stream.read(member.size)
    except (OSError, tarfile.HeaderError) as error:
        raise InputError(f"no picture there ({error})", location, "run `speakerkd faces` again") from error
    if len(content) < member.size:
        raise InputError("truncated", location, "run `speakerkd faces` again")
    try:
        return read_picture(content)
    except InputError as error:
        raise InputError(error.what, location, "run `speakerkd faces` again") from error


class PictureTar:
    """Writes pictures into a tar, its bytes a function of theirs alone."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT)

    def add(self, name: str, content: bytes) -> int:
        """Append a file; gives the offset of its first byte."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        return int(self._tar.offset) - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE

    def close(self) -> None:
        self._tar.close()
