"""Log mel filter-bank energies, as Kaldi computes them, for a batch of recordings at once, on a CPU or a GPU."""

from __future__ import annotations

import functools
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from speakerkd.config import Settings

SCALE = 32768.0  # Kaldi's features are of 16-bit sample values
FLOOR = 1.1920928955078125e-07  # float32 epsilon, Kaldi's least energy before the logarithm
CPU_FRAMES = 512  # at a time: their spectra stay in the cache
DEVICE_FRAMES = 1 << 16  # at a time over the whole batch: 0.3 GB of spectra


class FbankSettings(Settings):
    """How recordings become features; stored with a model, since its input must not change."""

    mels: int = Field(40, ge=8, le=256, description="number of mel bands")
    rate: int = Field(16000, ge=4000, le=96000, description="sample rate in Hz; other recordings are resampled to it")
    frame_length: float = Field(25.0, gt=1, le=200, description="window in ms")
    frame_shift: float = Field(10.0, gt=0.5, le=100, description="hop in ms")
    window: Literal["hamming", "hanning", "povey"] = Field("hamming", description="window function")
    preemphasis: float = Field(0.97, ge=0, lt=1, description="y[t] = x[t] - preemphasis * x[t-1]")
    low: float = Field(20.0, ge=0, description="lower edge of the lowest band in Hz")
    high: float = Field(0.0, description="upper edge of the highest band in Hz; 0 or less counts down from rate / 2")

    @property
    def window_size(self) -> int:
        """Samples a window."""
        return int(self.rate * self.frame_length * 0.001)

    @property
    def window_shift(self) -> int:
        """Samples a hop."""
        return int(self.rate * self.frame_shift * 0.001)

    @property
    def fft_size(self) -> int:
        """Samples of the Fourier transform: the next power of two."""
        return 1 << (self.window_size - 1).bit_length()

    def frames(self, samples: int) -> int:
        """Frames of a recording of so many samples; only whole windows count."""
        return max(0, 1 + (samples - self.window_size) // self.window_shift)


def fbank(waves: Tensor, settings: FbankSettings | None = None) -> Tensor:
    """Log mel energies (B, T, F) of recordings (B, N) float32 in [-1, 1]; T is 0 for less than one window.

    Without dither; the mean of each window is removed before pre-emphasis; power spectrum; natural logarithm. Equal to
    torchaudio.compliance.kaldi.fbank of the samples times 32768 to 1e-4.
    """
    settings = settings or FbankSettings()
    if waves.ndim != 2:
        raise ValueError(f"waves must be (B, N), not {tuple(waves.shape)}")
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
    from torchaudio.compliance import kaldi

    settings = FbankSettings.model_validate_json(described)
    size = settings.window_size
    window = {
        "hamming": lambda: torch.hamming_window(size, periodic=False, alpha=0.54, beta=0.46),
        "hanning": lambda: torch.hann_window(size, periodic=False),
        "povey": lambda: torch.hann_window(size, periodic=False).pow(0.85),
    }[settings.window]()
    # the last three arguments are vocal tract length warping, which is not used: its cut-offs and factor 1
    banks, _ = kaldi.get_mel_banks(
        settings.mels, settings.fft_size, settings.rate, settings.low, settings.high, 100.0, -500.0, 1.0
    )
    mel = torch.nn.functional.pad(banks, (0, 1)).T.repeat_interleave(2, 0).contiguous()
    return window.to(device), mel.to(device)
