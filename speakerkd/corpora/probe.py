"""How long a recording is and whether a media file is whole, from headers alone: nothing is decoded."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.frontend.audio import SOUNDFILE, check_wav

CONTAINERS = {".m4a", ".mp4", ".mov", ".aac", ".webm", ".mkv", ".wma", ".3gp"}
AUDIO = SOUNDFILE | CONTAINERS
BOXED = {".m4a", ".mp4", ".mov", ".3gp"}  # built of boxes that state their length
VIDEO = {".mp4", ".mov", ".webm", ".mkv", ".avi", ".3gp"}
IMAGE = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
PICTURE = IMAGE | VIDEO


def duration(path: Path | str) -> float:
    """Seconds of sound that a recording's header states.

    Raises InputError, naming the file and the fault, for one that is missing, empty, truncated or not audio.
    """
    path = Path(path)
    _check_there(path)
    try:
        seconds = _soundfile_duration(path) if path.suffix.lower() in SOUNDFILE else _container_duration(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path, "check its rights") from error
    if not 0 < seconds < math.inf:
        raise InputError("no sound in the file", path, "it is empty or truncated: copy it again")
    return seconds


def check_picture(path: Path | str) -> None:
    """Raises InputError for an image or a video that is missing, empty, truncated before its end, or neither."""
    path = Path(path)
    _check_there(path)
    if path.suffix.lower() in BOXED:
        _check_boxes(path)
    if path.suffix.lower() in IMAGE:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path):
                pass
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError("not a readable picture", path, "copy or convert it again") from error


def _check_there(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", path, "check the path and its rights"
        ) from error
    if not path.is_file():
        raise InputError("not a file", path, "check the path")
    if size == 0:
        raise InputError("empty file", path, "copy it again")


def _soundfile_duration(path: Path) -> float:
    import soundfile

    if path.suffix.lower() == ".wav":
        check_wav(path)
    try:
        with soundfile.SoundFile(str(path)) as stream:
            frames = stream.frames
            if frames >= 1 << 62:  # the writer did not know
                return _container_duration(path)
            if stream.format == "FLAC" and frames > 1:
                _check_flac_end(stream, path)
            return frames / stream.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        try:  # a name may lie about what is in the file
            return _container_duration(path)
        except InputError:
            reason = str(getattr(error, "error_string", error)).rstrip(". ") or "damaged"
            raise InputError(f"not a readable recording ({reason})", path, "copy or convert it again") from error


def _check_flac_end(stream, path: Path) -> None:
    """A FLAC header states the length of the whole even where the file was cut: its last sample must be there."""
    import soundfile

    try:
        stream.seek(stream.frames - 1)
        found = len(stream.read(1))
    except (soundfile.SoundFileError, RuntimeError):
        found = 0
    if not found:
        raise InputError(f"truncated: the last of {stream.frames} samples is not there", path, "copy it again")


def _container_duration(path: Path) -> float:
    import av

    if path.suffix.lower() in BOXED:
        _check_boxes(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InputError("no sound in the file", path, "give one with an audio track")
            stream = container.streams.audio[0]
            if stream.duration:
                return float(stream.duration * stream.time_base)
            if container.duration:
                return container.duration / av.time_base
            # A bare stream states no length: add up its packets.
            return float(sum((p.duration or 0) for p in container.demux(stream)) * stream.time_base)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"truncated or not a readable recording ({reason})", path, "copy or convert it again"
        ) from error


def _check_boxes(path: Path) -> None:
    """Raises InputError where an MP4 file ends before one of its outermost boxes does (ISO/IEC 14496-12, 4.2)."""
    size, place = path.stat().st_size, 0
    with open(path, "rb") as stream:
        while place < size:
            stream.seek(place)
            head = stream.read(16)
            if len(head) < 8 or not head[4:8].isascii():
                return  # not boxes, or bytes after the last one: the reader decides
            length = struct.unpack(">I", head[:4])[0]
            if length == 1 and len(head) == 16:
                length = struct.unpack(">Q", head[8:])[0]
            if length == 0:  # to the end of the file
                return
            if length < 8:
                return
            place += length
    if place > size:
        raise InputError(f"truncated: {size} of {place} bytes", path, "copy it again")
