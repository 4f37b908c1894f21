"""The parts of a recording in which somebody speaks, by silero-vad (extra `vad`)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError

RATES = (8000, 16000)  # that its network knows


def speech_only(samples: NDArray[np.float32], rate: int, where: object = "a recording") -> NDArray[np.float32]:
    """Samples (N,) without the parts where nobody speaks, (M,).

    Raises InputError where silero-vad is not installed, for another rate than 8 or 16 kHz, and where nobody speaks.
    """
    if rate not in RATES:
        raise InputError(f"voice activity at {rate} Hz", where, "it is known at 8000 and 16000 Hz: leave out --vad")
    import torch

    network, find = _silero()
    parts = find(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), network, sampling_rate=rate)
    if not parts:
        raise InputError("nobody speaks in it", where, "leave the recording out, or leave out --vad")
    return np.concatenate([samples[part["start"] : part["end"]] for part in parts])


@functools.cache
def _silero() -> tuple[Any, Any]:
    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError as error:
        raise InputError("silero-vad is not installed", "--vad", "pip install 'speakerkd[vad]'") from error
    return load_silero_vad(), get_speech_timestamps
