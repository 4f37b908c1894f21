"""Recordings of any usual format as mono samples at one rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np

from speakerkd.errors import InputError
from speakerkd.frontend.truncation import Truncated
from speakerkd.frontend.vad import speech_only
from speakerkd.media.files import FileSource, open_media
from speakerkd.media.sound import HIGHEST_RATE, LOWEST_RATE, Sound, decode_sound

RATE = 16000
SILENCE = 1 / 32768  # a recording that never moves by a 16-bit step holds no speech
CANCELLED = 0.01  # of the channels' mean power: 20 dB below them, the mean has lost the speech
LONGEST_FILTER = 10_000  # of the resampling ratio's two numbers; a rate that needs more is off by less than 1e-8

AudioSource = FileSource | tuple[np.ndarray, int]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording as the networks hear it: samples (N,) float32, and the seconds that its file promised beside them."""

    samples: np.ndarray
    missing: float = 0.0


def read_audio(
    source: AudioSource, rate: int = RATE, *, truncated: Truncated = "refuse", vad: bool = False
) -> np.ndarray:
    """Read a recording as mono float32 samples (N,), nominally in [-1, 1], at `rate` Hz.

    Channels are averaged; where they cancel each other, the loudest is taken.

    Parameters
    ----------
    source: a path, the bytes of a file, a file object, or (samples (N,), (N, C) or (C, N), their rate in Hz), the
        longer side being time; whole numbers are taken for fractions of their type's range.
    truncated: what becomes of a file of which a part is missing: "refuse" it, or "keep" what is there.
    vad: leave out what is not speech (see `vad.speech_only`).

    Raises
    ------
    InputError, naming the file and the fault, for one that is missing, no regular file, empty, truncated, not audio,
    too long, not finite, or silent from end to end.
    """
    return read_recording(source, rate, truncated=truncated, vad=vad).samples


def read_recording(
    source: AudioSource, rate: int = RATE, *, truncated: Truncated = "refuse", vad: bool = False
) -> Recorded:
    """What read_audio reads, with the seconds that are missing where those that are there were kept."""
    if isinstance(source, tuple):
        sound, name = _as_sound(source), "samples"
    else:
        with open_media(source, "recording") as file:
            sound, name = decode_sound(file), file.name
    if sound.missing and truncated == "refuse":
        raise truncation(sound.seconds, sound.missing, name)
    if not all(np.isfinite(channels).all() for channels, _ in sound.runs):
        raise InputError("samples are not finite (NaN or infinity)", name, "write the recording again")
    runs = [resample(mix_down(channels), own, rate) for channels, own in sound.runs]
    samples = runs[0] if len(runs) == 1 else np.concatenate(runs) if runs else np.empty(0, np.float32)
    if samples.size == 0:
        raise InputError("no samples in the recording", name, "it is empty or truncated: copy it again")
    if np.ptp(samples) < SILENCE:
        raise InputError("silent from end to end", name, "leave the recording out")
    return Recorded(speech_only(samples, rate, name) if vad else samples, sound.missing)


def truncation(seconds: float, missing: float, where: object) -> InputError:
    """A recording of which a part is missing."""
    what = f"truncated: {seconds:.2f} s read, {missing:.2f} s missing"
    if math.isinf(missing):
        what = "truncated: nothing but its header is there"
    return InputError(what, where, "copy it again, or keep what is there with --truncated keep")


def mix_down(channels: np.ndarray) -> np.ndarray:
    """The mean of channels (N, C), or the loudest channel where the mean cancels them (opposite phase), as (N,)."""
    if channels.shape[1] == 1:
        return channels[:, 0]
    mean = channels.mean(1)
    power = np.square(channels, dtype=np.float64).mean(0)
    if np.square(mean, dtype=np.float64).mean() < CANCELLED * power.mean():
        return np.ascontiguousarray(channels[:, int(power.argmax())])
    return mean


def resample(samples: np.ndarray, own: int, wanted: int) -> np.ndarray:
    """Samples (N,) at rate `own` as float32 at rate `wanted`, through a polyphase low-pass filter."""
    samples = np.ascontiguousarray(samples, np.float32)
    if own == wanted:
        return samples
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, own)
    if max(ratio.numerator, ratio.denominator) > LONGEST_FILTER:  # a damaged header's rate would take a filter of GB
        ratio = ratio.limit_denominator(LONGEST_FILTER)
    return resample_poly(samples, ratio.numerator, ratio.denominator)


def _as_sound(source: tuple[np.ndarray, int]) -> Sound:
    """Samples that were handed over, with their rate."""
    samples, rate = np.asarray(source[0]), source[1]
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiu":
        what = f"samples of {samples.dtype} in the shape {samples.shape}"
        raise InputError(what, "samples", "give numbers (N,), (N, channels) or (channels, N), with their rate")
    if not isinstance(rate, Real) or not LOWEST_RATE <= rate <= HIGHEST_RATE or rate != math.floor(rate):
        raise InputError(f"a sample rate of {rate!r} Hz", "samples", f"give {LOWEST_RATE} to {HIGHEST_RATE}")
    if samples.dtype.kind in "iu":
        half = 2 ** (8 * samples.dtype.itemsize - 1)
        samples = (samples.astype(np.float64) - (half if samples.dtype.kind == "u" else 0)) / half
    samples = samples.astype(np.float32)
    channels = samples[:, None] if samples.ndim == 1 else samples.T if len(samples) < len(samples.T) else samples
    return Sound([(channels, int(rate))] if samples.size else [])
