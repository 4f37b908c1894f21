"""How long a recording is, and whether a media file is whole."""

from __future__ import annotations

import math
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.frontend.audio import truncation
from speakerkd.frontend.truncation import Truncated
from speakerkd.media.declared import missing_share
from speakerkd.media.files import open_media
from speakerkd.media.pictures import check_format, picture_size
from speakerkd.media.sound import sound_seconds


def duration(path: Path | str) -> float:
    """Seconds of sound that are in a recording, whatever its header says; raises InputError as `measure` does."""
    return measure(path)[0]


def measure(path: Path | str, truncated: Truncated = "refuse") -> tuple[float, float]:
    """(seconds of sound that are in a recording, seconds that are missing), whatever its header says.

    truncated: "keep" one of which a part is missing, or "refuse" it. Raises InputError, naming the file and the fault,
    for one that is missing, empty, truncated or not audio.
    """
    with open_media(path, "recording") as file:
        seconds, missing = sound_seconds(file)
    if missing and (truncated == "refuse" or not seconds):
        raise truncation(seconds, missing, path)
    if not 0 < seconds < math.inf:
        raise InputError("no sound in the file", path, "it is empty or truncated: copy it again")
    return seconds, missing


def check_picture(path: Path | str) -> None:
    """Raises InputError for an image or a video that is missing, empty, truncated before its end, or neither.

    Of an image the header is read; what is wrong behind it shows when it is decoded.
    """
    with open_media(path, "picture") as file:
        if check_format(file) == "video":
            if missing_share(file):
                raise InputError("truncated: the end of the video is missing", path, "copy it again")
            return
    picture_size(path)
