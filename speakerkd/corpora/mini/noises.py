"""Noise, music and babble in the layout of MUSAN, made from numpy and espeak-ng."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from speakerkd.corpora.mini.sentences import sentence
from speakerkd.corpora.mini.voices import RATE, speak

Maker = Callable[[np.random.Generator], np.ndarray]

SECONDS = 8
# Voices that espeak-ng ships, so that background speech is nobody of the corpus.
SPEECH = ("en+f1", "en+m2", "en-us+f4", "en+m5", "en-us+m7", "en+linda")


def coloured(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Noise whose power falls by f^-slope: 0 white, 1 pink, 2 brown; (SECONDS * RATE,), peak 1."""
    count = SECONDS * RATE
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    return peak(np.fft.irfft(spectrum * frequency ** (-slope / 2), count))


def wind(rng: np.random.Generator) -> np.ndarray:
    swell = np.interp(np.arange(SECONDS * RATE), np.linspace(0, SECONDS * RATE, 17), rng.uniform(0.1, 1, 17))
    return peak(coloured(rng, 1.5) * swell)


def hum(rng: np.random.Generator) -> np.ndarray:
    time = np.arange(SECONDS * RATE) / RATE
    base = rng.uniform(45, 120)
    tones = np.zeros(len(time))
    for k in range(1, 12):
        tones += rng.uniform(0.2, 1) / k * np.sin(2 * np.pi * base * k * time + rng.uniform(0, 6))
    return peak(peak(tones) + 0.1 * coloured(rng, 1))


def clatter(rng: np.random.Generator) -> np.ndarray:
    samples = 0.02 * coloured(rng, 0)
    decay = np.exp(-np.arange(RATE // 4) / (RATE * 0.03))
    for start in rng.integers(0, len(samples) - len(decay), 30):
        ring = np.sin(2 * np.pi * rng.uniform(600, 5000) * np.arange(len(decay)) / RATE)
        samples[start : start + len(decay)] += rng.uniform(0.2, 1) * decay * ring
    return peak(samples)


def siren(rng: np.random.Generator) -> np.ndarray:
    time = np.arange(SECONDS * RATE) / RATE
    pitch = rng.uniform(500, 900) * 2 ** (0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * time))
    return peak(np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.2 * coloured(rng, 1))


def tune(rng: np.random.Generator) -> np.ndarray:
    """Chords of three decaying tones over a walking bass, in a random key and tempo."""
    samples = np.zeros(SECONDS * RATE)
    beat = int(RATE * rng.uniform(0.3, 0.6))
    key = 110 * 2 ** (rng.integers(0, 12) / 12)
    brightness = rng.uniform(0.3, 0.8)
    for start in range(0, len(samples) - 2 * beat, beat):
        root = rng.choice([0, 5, 7, 9])
        steps = [root - 12, root, root + rng.choice([3, 4]), root + 7] if start // beat % 2 == 0 else [root - 12]
        time = np.arange(2 * beat) / RATE
        for step in steps:
            pitch = key * 2 ** (step / 12)
            tone = sum(brightness**k * np.sin(2 * np.pi * pitch * (k + 1) * time) for k in range(6))
            samples[start : start + 2 * beat] += tone * np.exp(-4 * time) * np.minimum(1, 200 * time)
    return peak(samples)


def talk(rng: np.random.Generator, voice: str) -> np.ndarray:
    return peak(np.concatenate([speak(sentence(rng, 10), voice) for _ in range(3)]))


def peak(samples: np.ndarray) -> np.ndarray:
    """Scale so that the loudest sample is at 0.7 of full scale."""
    return 0.7 * samples / np.abs(samples).max()


def recipes() -> dict[str, Maker]:
    """{path below musan, without extension: function of a generator that gives (samples,) at 16 kHz}."""
    noise: list[Maker] = [
        *(functools.partial(coloured, slope=slope) for slope in (0, 1, 2)),
        *(make for make in (wind, hum, clatter, siren) for _ in range(2)),
    ]
    speech: list[Maker] = [functools.partial(talk, voice=voice) for voice in SPEECH]
    kinds: dict[str, list[Maker]] = {"noise": noise, "music": [tune] * 6, "speech": speech}
    return {f"{kind}/mini/{kind}-mini-{n:04d}": make for kind, makes in kinds.items() for n, make in enumerate(makes)}
