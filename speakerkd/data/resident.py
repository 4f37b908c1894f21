"""A whole feature archive in a device's memory, at the archive's own two bytes a value, cropped there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from speakerkd.data.utterances import Utterances

SHARE = 0.8  # of the free memory that `auto` gives to features at most; the rest is the network's
BLOCK = 1 << 26  # values copied to the device at a time


def fits(utterances: Utterances, device: str, workspace: int = 12 << 30) -> bool:
    """True where the features and `workspace` bytes for the network fit in the free memory of a CUDA device."""
    if not device.startswith("cuda"):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    need = 2 * int(utterances.frames.sum()) * utterances.archives[0].dim
    return need <= min(SHARE * free, free - workspace)


class ResidentFeatures:
    """Features of N utterances in device memory: stored codes, value = minimum + range * code / 65535."""

    def __init__(self, utterances: Utterances, device: str) -> None:
        frames = utterances.frames
        self.device = device
        self._frames = torch.from_numpy(frames).to(device)
        self._first = torch.from_numpy(np.cumsum(frames) - frames).to(device)
        dim = utterances.archives[0].dim
        self._codes = torch.empty((int(frames.sum()), dim), dtype=torch.int16, device=device)
        minimum, scale = np.empty(len(frames), np.float32), np.empty(len(frames), np.float32)
        owner = np.searchsorted(utterances.first, utterances.position, side="right") - 1
        block: list[np.ndarray] = []
        filled = size = 0
        for n, (number, position) in enumerate(zip(owner.tolist(), utterances.position.tolist(), strict=True)):
            archive = utterances.archives[number]
            local = int(position - utterances.first[number])
            minimum[n], span = archive.range(local)
            scale[n] = np.float32(span) / np.float32(65535)
            block.append(archive.codes(local, 0, int(frames[n])))
            size += len(block[-1])
            if size * dim >= BLOCK or n == len(frames) - 1:
                rows = torch.from_numpy(np.concatenate(block).view(np.int16))
                self._codes[filled : filled + size].copy_(rows)
                filled, size, block = filled + size, 0, []
        self._minimum = torch.from_numpy(minimum).to(device)
        self._scale = torch.from_numpy(scale).to(device)
        if device != "cpu":
            torch.cuda.synchronize(device)  # crops are taken on another stream than these copies

    def crops(self, indices: np.ndarray, starts: np.ndarray, length: int) -> Tensor:
        """Crops (B, length, F) float32 on the device; an utterance shorter than `length` wraps."""
        both = torch.from_numpy(np.stack([indices, starts]))
        if self.device != "cpu":
            both = both.pin_memory().to(self.device, non_blocking=True)
        index, start = both
        frames = self._frames[index]
        rows = (start[:, None] + torch.arange(length, device=self.device)) % frames[:, None] + self._first[index][
            :, None
        ]
        codes = (self._codes[rows].to(torch.int32) & 0xFFFF).to(torch.float32)  # the codes are unsigned
        return codes * self._scale[index][:, None, None] + self._minimum[index][:, None, None]
