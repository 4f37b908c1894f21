"""Frames of videos as RGB arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from speakerkd.errors import InputError
from speakerkd.media.files import FileSource, MediaFile, open_media
from speakerkd.media.library import DecodingError, library_call
from speakerkd.media.pictures import MOST_PIXELS, PictureSource, check_format, decode_picture, is_decoded, read_picture

# the middle first, then ever farther from what was tried before
POSITIONS = (0.5, 0.25, 0.75, 0.375, 0.625, 0.125, 0.875)
MOST_DECODED = 3000  # frames, between the place sought and the one shown: a damaged index may lead anywhere


def is_video(source: FileSource) -> bool:
    """True if what is in the file is a video, False if it is a picture; raises InputError for anything else."""
    with open_media(source, "picture") as file:
        return check_format(file) == "video"


def frames_of(source: PictureSource, most: int) -> Iterator[np.ndarray]:
    """What a source shows, RGB uint8 (H, W, 3): a picture, or up to `most` frames of a video, the middle one first.

    Raises InputError for a source that cannot be read.
    """
    if is_decoded(source):
        yield read_picture(source)
        return
    with open_media(source, "picture") as file:  # type: ignore[arg-type]  # not decoded, so a file
        if check_format(file) == "picture":
            yield decode_picture(file)
            return
        for _, frame in zip(range(most), _frames(file, POSITIONS), strict=False):
            yield frame


def video_frames(source: FileSource, positions: Sequence[float] = POSITIONS) -> Iterator[np.ndarray]:
    """Frames RGB uint8 (H, W, 3) of a video at the given shares of its length, upright, each read when asked for.

    Positions that a damaged video cannot give are passed over; raises InputError where it gives none at all.
    """
    with open_media(source, "video") as file:
        if file.format is None or file.format.kind != "video":
            fault = f"not a video ({file.format.name})" if file.format else "not a readable video"
            raise InputError(fault, file.name, "give mp4, webm or another usual video")
        yield from _frames(file, positions)


def _frames(file: MediaFile, positions: Sequence[float]) -> Iterator[np.ndarray]:
    count, reason = 0, "no picture in it"
    for places in (positions, (None,)):  # where no place can be sought, the first frame that there is
        try:
            for picture, fault in _sought(file, places):
                reason = fault or reason
                if picture is not None:
                    count += 1
                    yield picture
        except DecodingError as error:
            reason = str(error)
        if count:
            return
    raise InputError(f"truncated or not a readable video ({reason})", file.name, "copy the video again")


def _sought(file: MediaFile, positions: Sequence[float | None]) -> Iterator[tuple[np.ndarray | None, str]]:
    """The picture at each position (None: the beginning), or None and why there is none; raises DecodingError."""
    from speakerkd.media.ffmpeg import open_stream

    assert file.format is not None
    with open_stream(file.stream, file.format.decoder) as container:
        if not container.streams.video:
            raise InputError("no pictures in the file", file.name, "give a video")
        track = container.streams.video[0]
        with library_call():
            width, height = track.codec_context.width, track.codec_context.height
            start, length = track.start_time or 0, _length(container, track)
        if width * height > MOST_PIXELS:
            what = f"{width} x {height} pixels, more than {MOST_PIXELS >> 20} million"
            raise InputError(what, file.name, "make the video smaller")
        for position in positions if length else (None,):
            target = start if position is None else start + int(length * position)
            try:
                with library_call():
                    if position is not None:
                        container.seek(target, stream=track)
                    picture = _picture_at(container, track, target)
            except DecodingError as error:
                yield None, str(error)
            else:
                yield picture, ""


def _length(container: Any, track: Any) -> int:
    """The track's length in its own ticks; Matroska knows that of the whole file alone. 0 where none is known."""
    if track.duration or not (container.duration and track.time_base):
        return track.duration or 0
    return int(Fraction(container.duration, 1_000_000) / track.time_base)


def _picture_at(container: Any, track: Any, target: int) -> np.ndarray | None:
    """The first frame at or after a time, else the last one before it, else None."""
    frame = None
    for _, frame in zip(range(MOST_DECODED), container.decode(track), strict=False):
        if frame.pts is None or frame.pts >= target:
            break
    if frame is None:
        return None
    if frame.width * frame.height > MOST_PIXELS:
        raise ValueError(f"a frame of {frame.width} x {frame.height} pixels")
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
