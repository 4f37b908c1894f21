"""Changes to a recording before its features are made: noise, music, babble, reverberation, speed.

What a recording gets follows from (seed, its key) by a hash, so every run and machine makes the same copies.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from speakerkd.config import Settings
from speakerkd.errors import InputError
from speakerkd.frontend.audio import RATE, read_audio
from speakerkd.frontend.noise import FLOORS, Level, NoiseBank, drawn, mix_noise, readable
from speakerkd.media.folders import media_below, need_folder
from speakerkd.media.formats import AUDIO

# Kaldi's levels in dB for speaker recognition: of noise, of music, and of each of three to seven talkers
LEVELS: dict[str, tuple[int, ...]] = {"noise": (15, 10, 5, 0), "music": (15, 10, 8, 5), "babble": (20, 17, 15, 13)}
TALKERS = (3, 4, 5, 6, 7)
CATEGORY = {"noise": "noise", "music": "music", "babble": "speech"}


class NoiseStep(Settings):
    """Noise of MUSAN added at one of Kaldi's levels; babble is three to seven recordings of speech."""

    kind: Literal["noise", "music", "babble"]
    directory: Path = Field(description="noises in MUSAN's layout")
    seed: int = Field(0, ge=0)
    level: Level = Field("exact", description="how decibels are measured: exactly, or with voxceleb_trainer's floor")


class ReverbStep(Settings):
    """Convolution with a room's impulse response of unit energy, cut to the recording's length."""

    kind: Literal["reverb"] = "reverb"
    directory: Path = Field(description="impulse responses, such as RIRS_NOISES")
    seed: int = Field(0, ge=0)


class SpeedStep(Settings):
    """Played faster or slower, pitch included: another speaker to the ear."""

    kind: Literal["speed"] = "speed"
    factor: float = Field(gt=0.5, lt=2)


Step = Annotated[NoiseStep | ReverbStep | SpeedStep, Field(discriminator="kind")]


class Augmentation(Settings):
    """The steps that every recording of a data directory goes through, in turn (`augment.json`)."""

    steps: list[Step] = Field(min_length=1)


def apply(augmentation: Augmentation, key: str, samples: NDArray[np.float32], rate: int = RATE) -> NDArray[np.float32]:
    """A recording's samples (N,) after all steps; noise and reverberation keep the length, speed changes it.

    Raises InputError where noises or impulse responses are not there, or cannot be read.
    """
    for step in augmentation.steps:
        if isinstance(step, SpeedStep):
            samples = change_speed(samples, step.factor)
        elif isinstance(step, ReverbStep):
            samples = reverberate(samples, _response(step, key, rate))
        else:
            samples = _add(step, key, samples, rate)
    return samples


def change_speed(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Samples (N,) played `factor` times as fast, (about N / factor,), by polyphase resampling."""
    from scipy.signal import resample_poly

    ratio = Fraction(factor).limit_denominator(100)
    return resample_poly(samples, ratio.denominator, ratio.numerator).astype(np.float32)


def reverberate(samples: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples (N,) in a room of impulse response (M,), scaled to unit energy; the first N samples of the sound."""
    from scipy.signal import fftconvolve

    energy = np.sqrt(np.square(response, dtype=np.float64).sum())
    return fftconvolve(samples, response / energy)[: len(samples)].astype(np.float32)


def _add(step: NoiseStep, key: str, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    bank = _bank(str(step.directory), step.seed, CATEGORY[step.kind], rate)
    count = TALKERS[drawn(step.seed, key, "talkers", len(TALKERS))] if step.kind == "babble" else 1
    added = np.zeros_like(samples)
    for number in range(count):
        name = key if count == 1 else f"{key}\0talker {number}"
        level = LEVELS[step.kind][drawn(step.seed, name, "level", len(LEVELS[step.kind]))]
        noise = bank.segment(name, len(samples), CATEGORY[step.kind]).samples
        added += mix_noise(samples, noise, level, FLOORS[step.level]) - samples
    return samples + added


def _response(step: ReverbStep, key: str, rate: int) -> NDArray[np.float32]:
    _, samples = readable(
        responses(str(step.directory)),
        lambda turn, count: drawn(step.seed, key, f"response{turn}", count),
        lambda file: _read_response(file, rate),
    )
    return samples


@functools.lru_cache(maxsize=4)
def responses(directory: str) -> list[str]:
    """Impulse responses below a folder, by name; of RIRS_NOISES those of simulated small and medium rooms.

    Raises InputError where there are none.
    """
    root = need_folder(directory, "folder of impulse responses", "give the folder of RIRS_NOISES, or of recordings")
    rooms = [p for name in ("smallroom", "mediumroom") for p in root.glob(f"**/simulated_rirs/{name}") if p.is_dir()]
    paths = sorted(f"{folder}/{name}" for folder in rooms or [root] for name in media_below(folder, AUDIO))
    if not paths:
        raise InputError("no impulse responses", directory, "give the folder of RIRS_NOISES, or of recordings")
    return paths


@functools.lru_cache(maxsize=256)
def _read_response(path: str, rate: int) -> NDArray[np.float32]:
    return read_audio(path, rate)


@functools.lru_cache(maxsize=8)
def _bank(directory: str, seed: int, category: str, rate: int) -> NoiseBank:
    return NoiseBank(directory, seed, [category], rate)


def copies(musan: Path | None, rirs: Path | None, seed: int, level: Level = "exact") -> dict[str, Sequence[Step]]:
    """{name of a copy: its step} of what noises and responses allow: noise, music, babble, reverb."""
    steps: dict[str, Sequence[Step]] = {}
    if musan is not None:
        for kind in LEVELS:
            if (musan / CATEGORY[kind]).is_dir():
                steps[kind] = [NoiseStep(kind=kind, directory=musan.absolute(), seed=seed, level=level)]
    if rirs is not None:
        steps["reverb"] = [ReverbStep(directory=rirs.absolute(), seed=seed)]
    return steps
