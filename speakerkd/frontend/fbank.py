"""Log mel filter-bank energies, as Kaldi computes them, for a batch of recordings at once, on a CPU or a GPU."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.frontend.mel import kaldi_filters
from speakerkd.frontend.published_fbank import published_fbank

__all__ = ["FbankSettings", "fbank"]

SCALE = 32768.0  # Kaldi's features are of 16-bit sample values
FLOOR = 1.1920928955078125e-07  # float32 epsilon, Kaldi's least energy before the logarithm
CPU_FRAMES = 512  # at a time: their spectra stay in the cache
DEVICE_FRAMES = 1 << 16  # at a time over the whole batch: 0.3 GB of spectra


def fbank(waves: Tensor, settings: FbankSettings | None = None) -> Tensor:
    """Log mel energies (B, T, F) of recordings (B, N) float32 in [-1, 1]; T is 0 for less than one window.

    Kind `kaldi`: without dither; the mean of each window is removed before pre-emphasis; power spectrum; natural
    logarithm. Equal to torchaudio.compliance.kaldi.fbank of the samples times 32768 to 1e-4. Other kinds: see
    `published_fbank`.
    """
    settings = settings or FbankSettings()
    if waves.ndim != 2:
        raise ValueError(f"waves must be (B, N), not {tuple(waves.shape)}")
    if settings.kind != "kaldi":
        return published_fbank(waves, settings)
    batch, frames = len(waves), settings.frames(waves.shape[1])
    result = waves.new_empty((batch, frames, settings.mels))
    if result.numel() == 0:
        return result
    windows = (waves * SCALE).unfold(1, settings.window_size, settings.window_shift)  # (B, T, window), a view
    if waves.device.type == "cpu":
        for row in range(batch):
            _energies(windows[row : row + 1], settings, CPU_FRAMES, result[row : row + 1])
    else:
        _energies(windows, settings, max(1, DEVICE_FRAMES // batch), result)
    return result


def _energies(windows: Tensor, settings: FbankSettings, step: int, out: Tensor) -> None:
    """Fill `out` (B, T, F) from windows (B, T, W), `step` frames at a time."""
    size = settings.window_size
    window, mel = _tables(settings.model_dump_json(), windows.device)
    frames = windows.shape[1]
    # what lies past the window stays zero: the transform's padding
    padded = windows.new_zeros((len(windows), min(step, frames), settings.fft_size))
    for start in range(0, frames, step):
        chunk = windows[:, start : start + step]
        chunk = chunk - chunk.mean(-1, keepdim=True)
        space = padded[:, : chunk.shape[1]]
        # in steps that round as torchaudio's do: low bands are small differences of large numbers
        torch.mul(chunk[..., :-1], -settings.preemphasis, out=space[..., 1:size])
        torch.mul(chunk[..., :1], -settings.preemphasis, out=space[..., :1])
        space[..., :size] += chunk
        space[..., :size] *= window
        squares = torch.view_as_real(torch.fft.rfft(space)).flatten(-2).square_()
        out[:, start : start + step] = (squares @ mel).clamp_(min=FLOOR).log_()


@functools.lru_cache(maxsize=16)
def _tables(described: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """The window (size,) and the bands' weights for squared real and imaginary parts, (fft_size + 2, mels)."""
    settings = FbankSettings.model_validate_json(described)
    size = settings.window_size
    window = {
        "hamming": lambda: torch.hamming_window(size, periodic=False, alpha=0.54, beta=0.46),
        "hanning": lambda: torch.hann_window(size, periodic=False),
        "povey": lambda: torch.hann_window(size, periodic=False).pow(0.85),
    }[settings.window]()
    banks = kaldi_filters(settings.mels, settings.fft_size, settings.rate, settings.low, settings.high)
    mel = torch.nn.functional.pad(banks, (0, 1)).T.repeat_interleave(2, 0).contiguous()
    return window.to(device), mel.to(device)
