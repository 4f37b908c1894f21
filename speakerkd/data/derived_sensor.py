"""A second sensor made from the first one's pictures, for trying out where only one sensor's are at hand."""

from __future__ import annotations

from typing import Literal

import numpy as np

from speakerkd.data.bands import unit_scale

Derived = Literal["edges"]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
STEEPEST = np.sqrt(20.0, dtype=np.float32)  # the largest gradient of pictures in [0, 1], at the tip of a corner


def edges(picture: np.ndarray) -> np.ndarray:
    """How steeply the luminance rises: (H, W, C) of any type to (H, W, 1) uint8, Sobel's gradient, borders repeated."""
    grey = picture.astype(np.float32) / np.float32(unit_scale(picture.dtype))
    grey = grey @ LUMA if grey.shape[2] == 3 else grey.mean(2)
    padded = np.pad(grey, 1, mode="edge")
    across = padded[:, 2:] - padded[:, :-2]
    down = padded[2:] - padded[:-2]
    across = across[:-2] + 2 * across[1:-1] + across[2:]
    down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    steepness = np.sqrt(across**2 + down**2) / STEEPEST
    return np.rint(255 * np.clip(steepness, 0, 1)).astype(np.uint8)[:, :, None]
