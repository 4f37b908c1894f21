"""Sound that FFmpeg decodes: from a stream that was opened here, with the demuxer that the content calls for.

FFmpeg is never given a name, so no name is taken for a protocol, and no playlist makes it open anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np

from speakerkd.media.files import CalmStream
from speakerkd.media.library import Account, DecodingError, library_call

TYPES = {  # of samples: NumPy's, and the value that counts as 1
    "u8": (np.uint8, 1 << 7), "s16": (np.int16, 1 << 15), "s32": (np.int32, 1 << 31), "s64": (np.int64, 1 << 63),
    "flt": (np.float32, None), "dbl": (np.float64, None),
}  # fmt: skip


class NoTrackError(Exception):
    """The file holds no track of the kind asked for."""


@contextlib.contextmanager
def open_stream(stream: BinaryIO, demuxer: str) -> Iterator[Any]:
    """The container in a stream, read by one demuxer alone; raises DecodingError."""
    stream.seek(0)
    options = {"protocol_whitelist": "none"}  # the stream needs none, and nothing else is to be opened
    with library_call():
        container = av.open(CalmStream(stream), format=demuxer, container_options=options, metadata_errors="replace")
    with container:
        yield container


def ffmpeg_blocks(stream: BinaryIO, demuxer: str, account: Account) -> Iterator[tuple[np.ndarray, int]]:
    """(samples (n, C) float32, rate) of the first sound track, to its end.

    Packets that cannot be decoded are passed over and counted. Raises NoTrackError, or DecodingError on opening.
    """
    with open_stream(stream, demuxer) as container:
        track = _track(container)
        account.declared = float(track.duration * track.time_base) if track.duration and track.time_base else 0.0
        for packet in _packets(container, track, account):
            account.packets += 1
            try:
                with library_call():
                    frames = packet.decode()
            except DecodingError as error:
                account.fail(error, float((packet.duration or 0) * (packet.time_base or 0)))
                continue
            for frame in frames:
                yield _samples(frame), frame.sample_rate


def ffmpeg_seconds(stream: BinaryIO, demuxer: str, account: Account) -> float:
    """Seconds of the first sound track by the packets that are there, none of them decoded."""
    with open_stream(stream, demuxer) as container:
        track = _track(container)
        account.declared = float(track.duration * track.time_base) if track.duration and track.time_base else 0.0
        ticks = 0
        for packet in _packets(container, track, account):
            ticks += 0 if packet.is_discard else packet.duration or 0
        return float(ticks * (track.time_base or 0))


def _track(container: Any) -> Any:
    if not container.streams.audio:
        raise NoTrackError
    return container.streams.audio[0]


def _packets(container: Any, track: Any, account: Account) -> Iterator[Any]:
    """The packets of a track, to where the container ends or breaks off; the account then holds the reason."""
    packets = container.demux(track)
    while True:
        try:
            with library_call():
                packet = next(packets, None)
        except DecodingError as error:
            account.fail(error)
            return
        if packet is None:
            return
        yield packet


def _samples(frame: Any) -> np.ndarray:
    """A decoded frame's samples as (n, C) float32 in [-1, 1].

    PyAV's own conversion reads past the planes of eight or more channels, and crashes.
    """
    channels, kind = frame.layout.nb_channels, frame.format.name.rstrip("p")
    dtype, scale = TYPES[kind]
    if frame.format.is_planar:
        planes = [np.frombuffer(plane, dtype, frame.samples) for plane in frame.planes[:channels]]
        values = np.stack(planes, 1)
    else:
        values = np.frombuffer(frame.planes[0], dtype, frame.samples * channels).reshape(-1, channels)
    if scale is None:
        return values.astype(np.float32, copy=not frame.format.is_planar)
    return ((values.astype(np.float64) - (scale if kind == "u8" else 0)) / scale).astype(np.float32)
