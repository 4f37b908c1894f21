"""How recordings become features: the settings of a front end, stored with every model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from speakerkd.config import Settings


class FbankSettings(Settings):
    """How recordings become features; stored with a model, since its input must not change."""

    kind: Literal["kaldi", "torchaudio", "speechbrain", "tensorflow"] = Field(
        "kaldi", description="whose Fbank: Kaldi's, or that of the toolkit that a published network comes from"
    )
    mels: int = Field(40, ge=8, le=256, description="number of mel bands")
    rate: int = Field(16000, ge=4000, le=96000, description="sample rate in Hz; other recordings are resampled to it")
    frame_length: float = Field(25.0, gt=1, le=200, description="window in ms")
    frame_shift: float = Field(10.0, gt=0.5, le=100, description="hop in ms")
    window: Literal["hamming", "hanning", "povey"] = Field("hamming", description="window function")
    preemphasis: float = Field(0.97, ge=0, lt=1, description="y[t] = x[t] - preemphasis * x[t-1]")
    low: float = Field(20.0, ge=0, description="lower edge of the lowest band in Hz")
    high: float = Field(0.0, description="upper edge of the highest band in Hz; 0 or less counts down from rate / 2")

    scale_wave: bool = Field(False, description="torchaudio, tensorflow: scale samples to mean 0 and variance 1 first")

    @model_validator(mode="after")
    def _bands_that_hold_something(self) -> FbankSettings:
        high = self.high if self.high > 0 else self.rate / 2 + self.high
        if not self.low < high <= self.rate / 2:
            raise ValueError(f"the bands go from {self.low:g} to {high:g} Hz, the rate allows 0 to {self.rate / 2:g}")
        return self

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
        """Samples of the Fourier transform: the next power of two; speechbrain's is the window itself."""
        if self.kind == "speechbrain":
            return self.window_size
        return 1 << (self.window_size - 1).bit_length()

    def frames(self, samples: int) -> int:
        """Frames of a recording of so many samples; only whole windows count, but centred ones beyond its ends."""
        if self.kind in ("torchaudio", "speechbrain"):
            return 1 + samples // self.window_shift if samples > self.fft_size // 2 else 0
        if self.kind == "tensorflow":
            samples += self.window_shift // 2 * 2
        return max(0, 1 + (samples - self.window_size) // self.window_shift)
