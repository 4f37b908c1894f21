"""Weights and sounds that can be made again anywhere: golden embeddings of published networks are of these."""

import zlib

import numpy as np


def filled(key: str, shape: tuple[int, ...], integer: bool = False) -> np.ndarray:
    """Values for a weight of this name and shape, the same on every machine; networks stay finite with them."""
    if integer:
        return np.zeros(shape, np.int64)
    random = np.random.RandomState(zlib.crc32(key.encode()))
    values = random.standard_normal(shape)
    if key.endswith("running_var"):
        values = 1 + 0.2 * np.abs(values)
    elif len(shape) == 1 and key.endswith("weight"):
        values = 1 + 0.1 * values
    elif len(shape) >= 2 and not key.endswith(".w"):
        values = values / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.02 * values
    return values.astype(np.float32)


def voice(seconds: float = 2.5, rate: int = 16000) -> np.ndarray:
    """A gliding tone with overtones, swelling and fading, in noise: (N,) float32 in [-1, 1], 16-bit steps."""
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * (120 * time + 15 * np.sin(2 * np.pi * 0.7 * time))
    sound = sum(np.sin(n * phase) / n for n in range(1, 25)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time))
    sound = 0.2 * sound + 0.01 * np.random.RandomState(0).standard_normal(len(time))
    return (np.round(sound / np.abs(sound).max() * 16000) / 32768).astype(np.float32)
