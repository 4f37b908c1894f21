"""Damage done to pictures on purpose, in five strengths, to measure how much of the accuracy survives it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from speakerkd.errors import InputError, nearest
from speakerkd.frontend.degrade import gaussian_blur, sprinkle

Corruption = Callable[[Tensor, float, torch.Generator], Tensor]


def gaussian_noise(view: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of this standard deviation."""
    return view + deviation * torch.randn(view.shape, generator=generator).to(view)


def salt_pepper(view: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Turn this share of the pixels, in all channels at once, black or white."""
    draw = torch.rand((view.shape[0], 1, *view.shape[2:]), generator=generator).to(view)
    return sprinkle(view, density, draw)


def blur(view: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Gaussian blur whose standard deviation is this share of the side."""
    return gaussian_blur(view, share * view.shape[-1])


def brightness(view: Tensor, shift: float, generator: torch.Generator) -> Tensor:
    """Add a constant to every pixel."""
    return view + shift


def contrast(view: Tensor, kept: float, generator: torch.Generator) -> Tensor:
    """Draw every pixel towards its picture's mean; `kept` is the contrast that is left."""
    mean = view.mean((1, 2, 3), keepdim=True)
    return mean + kept * (view - mean)


def pixelate(view: Tensor, kept: float, generator: torch.Generator) -> Tensor:
    """Shrink the picture to this share of its side and enlarge it without smoothing."""
    side = max(1, round(kept * view.shape[-1]))
    small = functional.interpolate(view, (side, side), mode="area")
    return functional.interpolate(small, view.shape[2:], mode="nearest-exact")


CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "gaussian_noise": (gaussian_noise, (0.02, 0.05, 0.1, 0.2, 0.3)),
    "salt_pepper": (salt_pepper, (0.01, 0.03, 0.1, 0.2, 0.5)),
    "blur": (blur, (0.01, 0.02, 0.03, 0.05, 0.08)),
    "brightness": (brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (contrast, (0.75, 0.5, 0.35, 0.2, 0.1)),
    "pixelate": (pixelate, (0.8, 0.6, 0.5, 0.35, 0.25)),
}


def corrupt(view: Tensor, name: str, strength: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, C, S, S) in [0, 1], damaged in one of the ways of CORRUPTIONS; strength: 1 (mild) to 5."""
    if name not in CORRUPTIONS:
        raise InputError(f"no such corruption '{name}'", "the corruption asked for", nearest(name, CORRUPTIONS))
    if not 1 <= strength <= 5:
        raise InputError(f"strength {strength}", "the corruption asked for", "give a number from 1 to 5")
    damage, amounts = CORRUPTIONS[name]
    return damage(view, amounts[strength - 1], generator).clamp(0, 1)
