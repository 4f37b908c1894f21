"""The samples of an utterance: a whole file, or the part of one that `segments` names."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.sounds import Sound, is_command
from speakerkd.errors import InputError
from speakerkd.frontend.audio import RATE, SILENCE, Recorded, read_recording
from speakerkd.frontend.truncation import Truncated
from speakerkd.frontend.vad import speech_only


def read_sound(sound: Sound, rate: int = RATE) -> NDArray[np.float32]:
    """Samples (N,) float32 at `rate` Hz of a sound; raises InputError as `record_sound` does."""
    return record_sound(sound, rate).samples


def record_sound(sound: Sound, rate: int = RATE, truncated: Truncated = "refuse", vad: bool = False) -> Recorded:
    """Samples (N,) float32 at `rate` Hz of a sound, and the seconds that its whole recording misses.

    Segments of one recording are best read one after another: the last recording is kept, so it is decoded once.
    truncated: whether a recording of which a part is missing is refused or kept. vad: leave out what is not speech.
    Raises InputError as `read_audio` does, for a segment that lies beyond the recording's end or is silent, and for a
    command line in place of a path, which is never run.
    """
    if is_command(sound.path):
        fix = "write the recording to a file, and name that in wav.scp"
        raise InputError("a command line, which is never run, where a recording's path is meant", sound.path, fix)
    if sound.is_whole:
        return read_recording(sound.path, rate, truncated=truncated, vad=vad)
    recorded = _recording(sound.path, rate, truncated=truncated)
    part = sound.cut(recorded.samples, rate)
    if np.ptp(part) < SILENCE:
        raise InputError("silent from end to end", sound, "leave the segment out")
    return Recorded(speech_only(part, rate, sound) if vad else part, recorded.missing)


_recording = functools.lru_cache(1)(read_recording)
