"""Sound that libsndfile decodes, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from speakerkd.media.files import CalmStream
from speakerkd.media.library import library_call

BLOCK = 1 << 22  # samples, over all channels, that are asked for at once
UNKNOWN = 1 << 62  # more frames than this: the writer did not know


class _Stream(soundfile.SoundFile):
    """Reads on and on: after every read soundfile seeks, which libsndfile cannot in some subtypes (GSM 6.10, DWVW)."""

    def seekable(self) -> bool:
        return False


def libsndfile_blocks(stream: BinaryIO) -> Iterator[tuple[np.ndarray, int]]:
    """(samples (n, C) float32, rate) of a stream, to its end; raises DecodingError."""
    with library_call():
        sound = _Stream(_handle(stream), closefd=False)
    with sound:
        size = max(1, BLOCK // sound.channels)
        left = sound.frames
        while left > 0:
            wanted = min(size, left)
            with library_call():
                block = sound.read(wanted, dtype="float32", always_2d=True)
            if len(block):
                yield block, sound.samplerate
            if len(block) < wanted:
                return
            left -= wanted


def libsndfile_length(stream: BinaryIO) -> tuple[int | None, int]:
    """(frames by the header and the bytes that are there, None where the writer did not know; rate).

    Raises DecodingError.
    """
    with library_call(), _Stream(_handle(stream), closefd=False) as sound:
        return (sound.frames if sound.frames < UNKNOWN else None), sound.samplerate


def has_frame(stream: BinaryIO, number: int) -> bool:
    """Whether a frame, counted from 0, can be decoded."""
    with library_call(), soundfile.SoundFile(_handle(stream), closefd=False) as sound:
        try:
            sound.seek(number)
            return len(sound.read(1)) == 1
        except soundfile.SoundFileError:
            return False


def _handle(stream: BinaryIO) -> int | CalmStream:
    """The descriptor of a file on disk, which libsndfile reads by itself; else the stream."""
    stream.seek(0)
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):
        return CalmStream(stream)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
