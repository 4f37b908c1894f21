"""Log mel energies as other toolkits compute them, so that their published networks read what they were trained on."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from speakerkd.errors import InputError
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.frontend.mel import htk_filters, speechbrain_filters, tensorflow_filters

FILTERS = {"torchaudio": htk_filters, "speechbrain": speechbrain_filters, "tensorflow": tensorflow_filters}
OFFSET = 1e-6  # added to torchaudio's energies before the logarithm
TINY = 1e-8  # bounds of the TensorFlow-like energies
LEAST, RANGE = 1e-10, 80.0  # speechbrain: least energy, and dB below the loudest that are kept


def published_fbank(waves: Tensor, settings: FbankSettings) -> Tensor:
    """Log mel energies (B, T, F) of recordings (B, N) in [-1, 1], `settings.kind` other than kaldi.

    torchaudio: MelSpectrogram with centred, mirrored windows and ln(x + 1e-6), of voxceleb_trainer and ReDimNet.
    speechbrain: its Fbank, in dB, nothing lower than 80 dB below the recording's loudest. tensorflow: ReDimNet's
    `tf` features. Raises InputError for a recording that is too short to be mirrored.
    """
    waves = waves.float()
    window, filters = _tables(settings.model_dump_json(), waves.device)
    if settings.scale_wave:
        deviation = waves.std(1, keepdim=True, unbiased=False)
        waves = (waves - waves.mean(1, keepdim=True)) / (deviation + OFFSET)
    if settings.preemphasis:
        # the sample before the first is the second, as mirrored
        before = torch.cat([waves[:, 1:2], waves[:, :-1]], 1)
        waves = waves - settings.preemphasis * before
    if settings.kind == "tensorflow":
        return _tensorflow(waves, settings, window, filters)
    fft = settings.fft_size
    if waves.shape[1] <= fft // 2:
        what = f"{waves.shape[1]} samples, this front end needs more than {fft // 2}"
        raise InputError(what, "a recording", "leave the recording out")
    mode = "reflect" if settings.kind == "torchaudio" else "constant"
    spectrum = torch.stft(
        waves, fft, settings.window_shift, settings.window_size, window, pad_mode=mode, return_complex=True
    )
    energies = spectrum.abs().square().transpose(1, 2) @ filters.T
    if settings.kind == "torchaudio":
        return (energies + OFFSET).log()
    decibels = 10 * energies.clamp(min=LEAST).log10()
    return torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - RANGE)


def _tensorflow(waves: Tensor, settings: FbankSettings, window: Tensor, filters: Tensor) -> Tensor:
    side = settings.window_shift // 2
    frames = functional.pad(waves, (side, side)).unfold(1, settings.window_size, settings.window_shift) * window
    spectrum = torch.fft.rfft(frames, settings.fft_size)[..., :-1]
    energies = spectrum.abs().square().clamp(TINY, 1 / TINY) @ filters.T
    return (energies.clamp(TINY, 1 / TINY) + TINY).log()


@functools.lru_cache(maxsize=16)
def _tables(described: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Window and filters of settings."""
    settings = FbankSettings.model_validate_json(described)
    size = settings.window_size
    periodic = settings.kind != "tensorflow"
    window = {
        "hamming": lambda: torch.hamming_window(size, periodic=periodic),
        "hanning": lambda: torch.hann_window(size, periodic=periodic),
        "povey": lambda: torch.hann_window(size, periodic=periodic).pow(0.85),
    }[settings.window]()
    high = settings.high if settings.high > 0 else settings.rate / 2 + settings.high
    filters = FILTERS[settings.kind](settings.mels, settings.fft_size, settings.rate, settings.low, high)
    return window.to(device), filters.to(device)
