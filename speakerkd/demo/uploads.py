"""Uploaded files within bounds: a recording as samples, a picture with its subject's face."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.demo.settings import DemoSettings
from speakerkd.errors import InputError
from speakerkd.frontend.audio import read_audio
from speakerkd.frontend.faces import Face, seen_face
from speakerkd.media.files import open_media
from speakerkd.media.sound import Decoding


class Upload(io.BytesIO):
    """A file's bytes under the name that the user knows, which stands in every message."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording: its name, samples (N,) float32 and their rate in Hz."""

    name: str
    samples: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture uint8 (H, W, 3), or a frame of a video, under its name, and the face that counts in it."""

    name: str
    picture: NDArray[np.uint8]
    face: Face


def hear(path: str, rate: int, bounds: DemoSettings) -> Heard:
    """Read an uploaded recording at a rate in Hz; raises InputError for one out of bounds, or that cannot be read."""
    upload = _taken(path, bounds)
    with open_media(upload, "recording") as file:  # a small file may hold hours: counted before it is kept
        seconds = 0.0
        for block, own_rate in Decoding(file):
            seconds += len(block) / own_rate
            if seconds > bounds.seconds:
                what = f"longer than {bounds.seconds:g} s"
                raise InputError(what, upload.name, "give a shorter recording, or start the page with --seconds")
    upload.seek(0)
    return Heard(upload.name, read_audio(upload, rate, vad=bounds.vad), rate)


def see(path: str, bounds: DemoSettings) -> Seen:
    """Find the face in an uploaded picture or video; raises InputError where there is none, or it is out of bounds."""
    upload = _taken(path, bounds)
    face, picture = seen_face(upload)
    return Seen(upload.name, picture, face)


def _taken(path: str, bounds: DemoSettings) -> Upload:
    file = Path(path)
    try:
        with open(file, "rb") as stream:
            data = stream.read(bounds.megabytes * 1_000_000 + 1)
    except OSError as error:
        raise InputError("the upload is no longer kept", file.name, "choose the file again") from error
    if len(data) > bounds.megabytes * 1_000_000:
        fix = "give a smaller file, or start the page with --megabytes"
        raise InputError(f"more than {bounds.megabytes} MB", file.name, fix)
    return Upload(data, file.name)
