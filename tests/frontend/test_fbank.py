"""What a user loses if these fail: models trained on features that no other tool can make."""

import numpy as np
import pytest
import torch
import torchaudio

from speakerkd.config import parse
from speakerkd.errors import InputError
from speakerkd.frontend.fbank import FbankSettings, fbank


def oracle(wave, mels, **options):
    options = {"window_type": "hamming", "frame_length": 25, "frame_shift": 10} | options
    return torchaudio.compliance.kaldi.fbank(wave[None] * 32768, num_mel_bins=mels, dither=0, **options)


@pytest.fixture(scope="module")
def waves():
    generator = torch.Generator().manual_seed(5)
    waves = torch.randn(7, 20_123, generator=generator) * 0.1
    waves[1, :9000] = 0  # digital silence
    waves[2] = 0.5  # nothing but an offset
    waves[3] += 0.3
    waves[4] *= 1e-4
    waves[5] = torch.sin(torch.arange(20_123) * 0.3) * 0.9
    waves[6] = torch.sign(waves[6])  # clipped
    return waves


@pytest.mark.parametrize("mels", [40, 64, 80])
def test_equals_torchaudio(waves, mels):
    ours = fbank(waves, FbankSettings(mels=mels))
    theirs = torch.stack([oracle(wave, mels) for wave in waves])
    assert ours.shape == (7, 124, mels)
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"window": "povey"}, {"window_type": "povey"}),
        ({"window": "hanning", "preemphasis": 0.5}, {"window_type": "hanning", "preemphasis_coefficient": 0.5}),
        ({"low": 100, "high": -400}, {"low_freq": 100, "high_freq": -400}),
        ({"frame_length": 32, "frame_shift": 8}, {"frame_length": 32, "frame_shift": 8}),
        ({"rate": 8000}, {"sample_frequency": 8000}),
    ],
)
def test_other_settings_equal_torchaudio(waves, settings, options):
    ours = fbank(waves[:1], FbankSettings(**settings))
    assert (ours[0] - oracle(waves[0], 40, **options)).abs().max() < 1e-4


def test_long_recordings_are_cut_into_chunks_without_seams():
    wave = torch.randn(1, 160 * 1200, generator=torch.Generator().manual_seed(1)) * 0.2
    ours = fbank(wave)
    assert len(ours[0]) == 1198 > 2 * 512
    assert (ours[0] - oracle(wave[0], 40)).abs().max() < 1e-4


def test_a_tone_falls_into_its_band():
    # Kaldi's mel scale, 1127 ln(1 + f/700), from 20 to 8000 Hz in 41 equal steps: band 19 is centred at 1622 Hz
    edges = 700 * (np.exp(np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700), 42) / 1127) - 1)
    wave = torch.sin(2 * torch.pi * edges[20] * torch.arange(16000) / 16000)
    assert (fbank(wave[None].float())[0].argmax(-1) == 19).all()


def test_counts_whole_windows_only():
    settings = FbankSettings()
    assert settings.fft_size == 512
    for samples, frames in ((0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (32_240, 200), (64_240, 400)):
        assert settings.frames(samples) == frames
        assert fbank(torch.ones(2, samples), settings).shape == (2, frames, 40)


def test_a_misspelt_setting_is_named():
    with pytest.raises(InputError, match=r"unknown setting 'mel', x\.yaml, did you mean 'mels'"):
        parse(FbankSettings, {"mel": 40}, "x.yaml")
    with pytest.raises(InputError, match="setting 'mels'"):
        parse(FbankSettings, {"mels": 4}, "x.yaml")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu(waves):
    assert (fbank(waves.cuda()).cpu() - fbank(waves)).abs().max() < 1e-3
