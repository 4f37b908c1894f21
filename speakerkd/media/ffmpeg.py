"""Sound that FFmpeg decodes: from a stream that was opened here, with the demuxer that the content calls for.

FFmpeg is never given a name, so no name is taken for a protocol, and no playlist makes it open anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.plane import AudioPlane

from speakerkd.media.files import CalmStream
from speakerkd.media.library import Account, decoding_error, library_call

FRAMES = 1024  # decoded frames, of some 20 ms each, that are handed on together
TYPES = {  # of samples: NumPy's, and the value that counts as 1
    "u8": (np.uint8, 1 << 7), "s16": (np.int16, 1 << 15), "s32": (np.int32, 1 << 31), "s64": (np.int64, 1 << 63),
    "flt": (np.float32, None), "dbl": (np.float64, None),
}  # fmt: skip


# a title in another encoding is no fault of the sound; from 19 on PyAV reads any, and knows no such option
TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


class NoTrackError(Exception):
    """The file holds no track of the kind asked for."""


@contextlib.contextmanager
def open_stream(stream: BinaryIO, demuxer: str) -> Iterator[Any]:
    """The container in a stream, read by one demuxer alone; raises DecodingError."""
    stream.seek(0)
    options = {"protocol_whitelist": "none"}  # the stream needs none, and nothing else is to be opened
    with library_call():
        container = av.open(CalmStream(stream), format=demuxer, container_options=options, **TITLES)
    with container:
        yield container


def ffmpeg_blocks(stream: BinaryIO, demuxer: str, account: Account) -> Iterator[tuple[np.ndarray, int]]:
    """(samples (n, C) float32, rate) of the first sound track, to its end.

    Packets that cannot be decoded are passed over and counted. Raises NoTrackError, or DecodingError on opening.
    """
    with open_stream(stream, demuxer) as container:
        track = _track(container)
        account.declared = float(track.duration * track.time_base) if track.duration and track.time_base else 0.0
        kind: tuple[str, int, int] = ("", 0, 0)
        waiting: list[list[memoryview]] = []  # of each frame, the bytes of its planes
        count, width = 0, 0
        for packet in _packets(container, track, account):
            account.packets += 1
            try:  # no context manager here: there are 60 packets a second
                frames = packet.decode()
            except Exception as error:
                account.fail(decoding_error(error), float((packet.duration or 0) * (packet.time_base or 0)))
                continue
            for frame in frames:
                current = (frame.format.name, frame.layout.nb_channels, frame.sample_rate)
                if current != kind or len(waiting) == FRAMES:
                    if waiting:
                        yield _samples(waiting, *kind[:2]), kind[2]
                    kind, waiting = current, []
                    count, width = _planes(*kind[:2])
                # PyAV's own conversion takes four times as long; its `planes` looks for a ninth beyond eight channels
                size = frame.samples * width
                waiting.append([memoryview(AudioPlane(frame, plane))[:size] for plane in range(count)])
        if waiting:
            yield _samples(waiting, *kind[:2]), kind[2]


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
            packet = next(packets, None)
        except Exception as error:
            account.fail(decoding_error(error))
            return
        if packet is None:
            return
        yield packet


def _planes(kind: str, channels: int) -> tuple[int, int]:
    """How many planes a frame has, one a channel or one of all, and a sample's bytes in one."""
    width = np.dtype(TYPES[kind.rstrip("p")][0]).itemsize
    return (channels, width) if kind.endswith("p") else (1, width * channels)


def _samples(frames: list[list[memoryview]], kind: str, channels: int) -> np.ndarray:
    """Frames of one kind as (n, C) float32 in [-1, 1]."""
    dtype, scale = TYPES[kind.rstrip("p")]
    rows = [np.frombuffer(bytearray().join(planes), dtype) for planes in zip(*frames, strict=True)]
    values = np.stack(rows).T if len(rows) > 1 else rows[0].reshape(-1, 1 if kind.endswith("p") else channels)
    if scale is None:
        return values.astype(np.float32, copy=False)
    return ((values.astype(np.float64) - (scale if kind.startswith("u8") else 0)) / scale).astype(np.float32)
