"""The parts of a recording in which somebody speaks, by silero-vad's network (extra `vad`) and without torch."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError

WINDOW = {8000: 256, 16000: 512}  # samples that its network sees at a time, by rate in Hz
SPEECH, SILENCE = 0.5, 0.35  # probabilities: speech begins at the one, and ends below the other, as published
SHORTEST, PAUSE, MARGIN = 0.25, 0.1, 0.03  # seconds: of speech, of a silence that ends it, kept on either side of it


def speech_only(samples: NDArray[np.float32], rate: int, where: object = "a recording") -> NDArray[np.float32]:
    """Samples (N,) without the parts where nobody speaks, (M,).

    Raises InputError where silero-vad is not installed, for another rate than 8 or 16 kHz, and where nobody speaks.
    """
    if rate not in WINDOW:
        raise InputError(f"voice activity at {rate} Hz", where, "it is known at 8000 and 16000 Hz: leave out --vad")
    parts = speech_parts(_probabilities(samples, rate), len(samples), rate)
    if not parts:
        raise InputError("nobody speaks in it", where, "leave the recording out, or leave out --vad")
    return np.concatenate([samples[start:end] for start, end in parts])


def speech_parts(probabilities: NDArray[np.float32], length: int, rate: int) -> list[tuple[int, int]]:
    """(start, end) in samples of the speech in `length` samples, by each window's probability of speech.

    As silero-vad's get_speech_timestamps finds them with its defaults.
    """
    window, pause, margin = WINDOW[rate], PAUSE * rate, MARGIN * rate
    parts: list[tuple[int, int]] = []
    start = end = -1  # of the speech that goes on, and of the silence that may have ended it
    for number, probability in enumerate(probabilities.tolist()):
        here = window * number
        if probability >= SPEECH:
            start, end = here if start < 0 else start, -1
        elif probability < SILENCE and start >= 0:
            end = here if end < 0 else end
            if here - end >= pause:
                parts.append((start, end))
                start = end = -1
    if start >= 0:
        parts.append((start, length))
    parts = [(start, end) for start, end in parts if end - start > SHORTEST * rate]
    gaps = [0.0, *(b - a for (_, a), (b, _) in zip(parts, parts[1:], strict=False)), 0.0]
    kept = []
    for number, (start, end) in enumerate(parts):
        before = gaps[number] // 2 if number and gaps[number] < 2 * margin else margin  # close ones share the pause
        after = gaps[number + 1] // 2 if number + 1 < len(parts) and gaps[number + 1] < 2 * margin else margin
        kept.append((int(max(0, start - before)), int(min(length, end + after))))
    return kept


def _probabilities(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Of each window the probability that somebody speaks in it."""
    network, window = _silero(), WINDOW[rate]
    context = window // 8  # samples of the window before that it sees too
    count = -(-len(samples) // window)
    padded = np.zeros(context + count * window, np.float32)
    padded[context : context + len(samples)] = samples
    state, kind = np.zeros((2, 1, 128), np.float32), np.array(rate, np.int64)
    probabilities = np.empty(count, np.float32)
    for number in range(count):
        seen = padded[None, number * window : (number + 1) * window + context]
        probability, state = network.run(None, {"input": seen, "state": state, "sr": kind})
        probabilities[number] = probability[0, 0]
    return probabilities


@functools.cache
def _silero() -> Any:
    """Its network in onnxruntime; silero-vad itself, which would load torch, is not imported."""
    package = find_spec("silero_vad")
    path = Path(package.origin).parent / "data/silero_vad.onnx" if package and package.origin else None
    if path is None or not path.is_file():
        fix = "pip install 'speakerkd[vad]', or without torch `pip install --no-deps silero-vad onnxruntime`"
        raise InputError("silero-vad is not installed", "--vad", fix)
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("onnxruntime is not installed", "--vad", "pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
