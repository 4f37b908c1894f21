"""Voices of mini: espeak-ng, through ctypes, with a voice definition derived from a face."""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from speakerkd.errors import InputError

RATE = 16000
ENGINE_RATE = 22050
SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: no threads, samples handed to the callback
UTF8 = 1
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """What sets one voice apart."""

    pitch: float  # Hz, in the middle of its range
    span: float  # of pitch, octaves
    formants: tuple[float, float, float]  # ratios for the first, the second, and the third and higher formants
    rate: float  # words a minute
    breath: float  # dB of breath noise below the voice
    stress: float  # how much louder stressed syllables are, in the engine's units

    def varied(self, rng: np.random.Generator, amount: float) -> Voice:
        """The same person on another day (amount 1) or in another sentence (less)."""
        jitter = rng.normal(0, amount, 4)
        return replace(
            self,
            pitch=self.pitch * 2 ** (0.035 * jitter[0]),
            span=self.span * np.exp(0.12 * jitter[1]),
            formants=tuple(f * np.exp(0.007 * jitter[2]) for f in self.formants),
            rate=self.rate * np.exp(0.04 * jitter[3]),
        )

    def definition(self) -> str:
        """The voice as an espeak-ng voice file."""
        low, high = self.pitch * 2 ** (-self.span / 2), self.pitch * 2 ** (self.span / 2)
        first, second, higher = (100 * f for f in self.formants)
        lines = ["name mini", "language en", f"pitch {low:.0f} {high:.0f}"]
        for number, frequency in enumerate((first, first, second, *[higher] * 6)):
            lines.append(f"formant {number} {frequency:.0f} 100 100")
        stress = round(self.stress)
        lines.append(f"stressAdd {-stress} {-stress} 0 0 0 0 {stress} {stress}")
        return "\n".join(lines) + "\n"


def from_face(point: np.ndarray) -> Voice:
    """The voice of a person from the face's place (6,) in (-1, 1): smooth, so near faces have near voices.

    The first component moves pitch and the length of the vocal tract together, as sex and size do in people.
    """
    a, b, c, d, e, f = (float(v) for v in point)
    tract = np.exp(-0.10 * a + 0.04 * b)
    return Voice(
        pitch=145 * 2 ** (-0.5 * a + 0.12 * b),
        span=0.55 * np.exp(0.5 * f),
        formants=(tract * np.exp(0.07 * d), tract * np.exp(-0.07 * d), tract * np.exp(0.06 * c)),
        rate=165 * np.exp(0.16 * b),
        breath=-24 + 9 * e,
        stress=10 * f,
    )


@contextlib.contextmanager
def _engine() -> Iterator[ctypes.CDLL]:
    """The engine, loaded afresh: it keeps state between sentences, and the output would depend on their order."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise InputError(
            "espeakng-loader is not installed", "prepare mini", "install the extra: pip install 'speakerkd[mini]'"
        ) from error
    import _ctypes

    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except OSError as error:
        raise InputError(f"espeak-ng does not load ({error})", "prepare mini", "reinstall espeakng-loader") from error
    try:
        home = str(Path(espeakng_loader.get_data_path()).parent)
        if library.espeak_Initialize(SYNCHRONOUS, 0, home.encode(), 0) != ENGINE_RATE:
            raise InputError("espeak-ng does not start", home, "reinstall espeakng-loader")
        yield library
    finally:
        library.espeak_Terminate()
        close = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary")  # noqa: B009  (Windows)
        close(library._handle)


def speak(text: str, voice: Voice | str) -> np.ndarray:
    """Say `text`: (samples,) float32 at 16 kHz in [-1, 1], the same samples every time.

    voice: a Voice, or the name of one that espeak-ng ships (`en+f3`).
    Raises InputError when the engine is missing or refuses.
    """
    from scipy.signal import resample_poly

    parts: list[bytes] = []

    def collect(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = Callback(collect)
    with _engine() as engine, tempfile.TemporaryDirectory() as folder:
        engine.espeak_SetSynthCallback(callback)
        if isinstance(voice, str):
            refused = engine.espeak_SetVoiceByName(voice.encode())
        else:
            definition = Path(folder) / "voice"
            definition.write_text(voice.definition())
            refused = engine.espeak_SetVoiceByFile(str(definition).encode())
            engine.espeak_SetParameter(1, round(voice.rate), 0)  # espeakRATE
        coded = text.encode()
        if refused or engine.espeak_Synth(coded, len(coded) + 1, 0, 0, 0, UTF8, None, None):
            raise InputError("espeak-ng refuses the voice or the text", repr(text), "report it with this text")
        engine.espeak_Synchronize()
    samples = np.frombuffer(b"".join(parts), np.int16) / 32768
    return resample_poly(samples, 320, 441).astype(np.float32)


def breathe(samples: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add breath: noise above about 2 kHz that follows the loudness of (samples,), `level` dB below it."""
    window = RATE // 50
    loudness = np.sqrt(np.convolve(samples**2, np.ones(window) / window, "same"))
    noise = rng.normal(size=len(samples) + 1)
    return samples + (10 ** (level / 20) * loudness * np.diff(noise) / np.sqrt(2)).astype(np.float32)


@dataclass(frozen=True)
class Channel:
    """What a video's microphone and room do to the voice: a gentle equaliser, a level and some noise."""

    curve: tuple[float, ...]  # dB at 0, 2, 4, 6, 8 kHz
    level: float  # dB below full scale
    snr: float  # dB

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Channel:
        return cls(tuple(rng.normal(0, 2.5, 5)), rng.uniform(-30, -18), rng.uniform(22, 36))

    def apply(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Pass (samples,) float32 through the channel; the result stays within [-1, 1]."""
        from scipy.fft import next_fast_len

        size = next_fast_len(len(samples), real=True)
        spectrum = np.fft.rfft(samples, size)
        places = np.linspace(0, 4, len(spectrum))
        spectrum *= 10 ** (np.interp(places, np.arange(5), self.curve) / 20)
        shaped = np.fft.irfft(spectrum, size)[: len(samples)]
        shaped *= 10 ** (self.level / 20) / np.sqrt(np.mean(shaped**2) + 1e-12)
        noise = rng.normal(0, 10 ** ((self.level - self.snr) / 20), len(samples))
        noise = 0.5 * (noise + np.concatenate(([0], noise[:-1]))) * np.sqrt(2)  # falls off towards 8 kHz
        return np.clip(shaped + noise, -1, 1).astype(np.float32)
