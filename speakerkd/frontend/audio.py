"""Recordings of any usual format as mono samples at one rate."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from speakerkd.errors import InputError

RATE = 16000
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
# soundfile reads these; everything else (m4a, mp4, aac, webm, ...) is a container for FFmpeg
SOUNDFILE = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph", ".w64", ".rf64"}
SILENCE = 1 / 32768  # a recording that never moves by a 16-bit step holds no speech
CANCELLED = 0.01  # of the channels' mean power: 20 dB below them, the mean has lost the speech
UNKNOWN_SIZES = {0, 0x7FFFFFFF, 0xFFFFFFFF}  # what programs write that stream a wav without knowing its end


def read_audio(path: Path | str, rate: int = RATE) -> np.ndarray:
    """Read a recording as mono float32 samples (N,), nominally in [-1, 1], at `rate` Hz.

    Channels are averaged; where they cancel each other, the loudest is taken. Raises InputError, naming the file and
    the fault, for one that is missing, empty, truncated, not audio, not finite, or silent from end to end.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such recording", path, "check the path")
    try:
        if path.stat().st_size == 0:
            raise InputError("empty file", path, "copy the recording again")
        channels, given_rate = _read_soundfile(path) if path.suffix.lower() in SOUNDFILE else _read_container(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path, "check its rights") from error
    if channels.size == 0:
        raise InputError("no samples in the recording", path, "it is empty or truncated: copy it again")
    if not LOWEST_RATE <= given_rate <= HIGHEST_RATE:
        raise InputError(f"a sample rate of {given_rate} Hz", path, "the file is damaged: copy it again")
    if not np.isfinite(channels).all():
        raise InputError("samples are not finite (NaN or infinity)", path, "write the recording again")
    samples = resample(mix_down(channels), given_rate, rate)
    if np.ptp(samples) < SILENCE:
        raise InputError("silent from end to end", path, "leave the recording out")
    return samples


def mix_down(channels: np.ndarray) -> np.ndarray:
    """The mean of channels (N, C), or the loudest channel where the mean cancels them (opposite phase), as (N,)."""
    if channels.shape[1] == 1:
        return channels[:, 0]
    mean = channels.mean(1)
    power = np.square(channels, dtype=np.float64).mean(0)
    if np.square(mean, dtype=np.float64).mean() < CANCELLED * power.mean():
        return np.ascontiguousarray(channels[:, int(power.argmax())])
    return mean


def resample(samples: np.ndarray, given: int, wanted: int) -> np.ndarray:
    """Samples (N,) at rate `given` as float32 at rate `wanted`, through a polyphase low-pass filter."""
    samples = np.ascontiguousarray(samples, np.float32)
    if given == wanted:
        return samples
    from scipy.signal import resample_poly

    divisor = math.gcd(given, wanted)
    return resample_poly(samples, wanted // divisor, given // divisor)


def _read_soundfile(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    if path.suffix.lower() == ".wav":
        check_wav(path)
    try:
        with soundfile.SoundFile(str(path)) as stream:
            declared = stream.frames
            samples = stream.read(dtype="float32", always_2d=True)
            rate = stream.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        try:  # a name may lie about what is in the file
            return _read_container(path)
        except InputError:
            reason = str(getattr(error, "error_string", error)).rstrip(". ") or "damaged"
            raise InputError(f"not a readable recording ({reason})", path, "copy or convert it again") from error
    if len(samples) < declared < 1 << 62:
        raise InputError(f"truncated: {len(samples)} of {declared} samples", path, "copy the recording again")
    return samples, rate


def check_wav(path: Path) -> None:
    """Raises InputError for a wav whose file ends before its data chunk does; libsndfile reads on without a word."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return  # soundfile names the fault
        while len(chunk := stream.read(8)) == 8:
            name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            if name == b"data":
                there = size - stream.tell()
                if length > there and length not in UNKNOWN_SIZES and length < 0xFFFFFF00:
                    what = f"truncated: {there} of {length} bytes of samples"
                    raise InputError(what, path, "copy the recording again")
                return
            stream.seek(length + length % 2, 1)


def _read_container(path: Path) -> tuple[np.ndarray, int]:
    import av

    parts: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InputError("no sound in the file", path, "give one with an audio track")
            stream = container.streams.audio[0]
            rate = stream.codec_context.sample_rate
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                parts += [part.to_ndarray() for part in to_float.resample(frame)]
            parts += [part.to_ndarray() for part in to_float.resample(None)]
            declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"truncated or not a readable recording ({reason})", path, "copy or convert it again"
        ) from error
    samples = np.concatenate(parts, 1).T if parts else np.empty((0, 1), np.float32)
    there = len(samples) / rate
    if there < 0.95 * declared - 0.1:  # encoders pad, so a little less than declared is no fault
        raise InputError(f"truncated: {there:.2f} of {declared:.2f} s", path, "copy the recording again")
    return samples, rate
