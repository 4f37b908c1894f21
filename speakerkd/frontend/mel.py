"""Triangular filters on the mel scale, as the toolkits build them that published networks were trained with."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kaldi_filters(mels: int, fft: int, rate: int, low: float, high: float) -> Tensor:
    """Kaldi's: (mels, fft / 2) weights of a power spectrum without its last bin, triangles on the mel axis.

    low, high: edges in Hz; a `high` of 0 or less counts down from rate / 2. Natural-log mel scale, 1127 ln(1 + f/700).
    """
    high = high if high > 0 else rate / 2 + high
    bottom = _natural(low)
    step = (_natural(high) - bottom) / (mels + 1)
    # in float32, in steps that round as torchaudio's do: the lowest filters are small differences of large numbers
    number = torch.arange(mels)[:, None]
    left, centre, right = (bottom + (number + side) * step for side in (0.0, 1.0, 2.0))
    mel = 1127.0 * (1.0 + (rate / fft * torch.arange(fft // 2)) / 700.0).log()[None]
    up, down = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return torch.minimum(up, down).clamp(min=0)


def _natural(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)


def htk_filters(mels: int, fft: int, rate: int, low: float, high: float) -> Tensor:
    """torchaudio's default: (mels, fft / 2 + 1), triangles on the frequency axis between edges that are even in mel."""
    edges = _htk_edges(mels, low, high)
    bins = torch.linspace(0, rate // 2, fft // 2 + 1, dtype=torch.float64)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    up, down = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return torch.minimum(up, down).clamp(min=0).float()


def speechbrain_filters(mels: int, fft: int, rate: int, low: float, high: float) -> Tensor:
    """speechbrain's: (mels, fft / 2 + 1), both sides of a triangle as wide as its lower one in Hz."""
    edges = _htk_edges(mels, low, high)
    bins = torch.linspace(0, rate // 2, fft // 2 + 1, dtype=torch.float64)
    width = (edges[1:-1] - edges[:-2])[:, None]
    slope = (bins - edges[1:-1, None]) / width
    return torch.minimum(slope + 1, 1 - slope).clamp(min=0).float()


def tensorflow_filters(mels: int, fft: int, rate: int, low: float, high: float) -> Tensor:
    """TensorFlow's, as ReDimNet has them: (mels, fft / 2), triangles on the mel axis, nothing of the first bin.

    The bins are spread evenly over 0 to rate / 2, both ends included.
    """
    edges = torch.linspace(_htk(low), _htk(high), mels + 2, dtype=torch.float64)
    mel = 2595.0 * torch.log10(1 + torch.linspace(0, rate // 2, fft // 2, dtype=torch.float64) / 700.0)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)).clamp(min=0)
    filters[:, 0] = 0
    return filters.float()


def _htk(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


def _htk_edges(mels: int, low: float, high: float) -> Tensor:
    edges = torch.linspace(_htk(low), _htk(high), mels + 2, dtype=torch.float64)
    return 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
