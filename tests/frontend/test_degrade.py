"""A poor sensor made of a good one: the damage is of the amount that is asked for, and follows from the draw alone."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from scipy.stats import kstest

from speakerkd.frontend.degrade import DegradeSettings, degrade, hashed_uniform, sample_word


def draws(count, seed=0):
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))


def photo(size=64):
    from skimage import data

    return np.array(Image.fromarray(data.astronaut()).resize((size, size)))


@pytest.mark.parametrize(("amount", "reading", "lost"), [(0.1, "corrupted", 0.1), (0.1, "kept", 0.9)])
def test_both_readings_of_the_papers_ratio(amount, reading, lost):
    grey = torch.full((50, 32, 32, 3), 100, dtype=torch.uint8)
    seen = degrade(grey, DegradeSettings(amount=amount, reading=reading), draws(50))
    assert ((seen - 100 / 255).abs() > 0.01).float().mean().item() == pytest.approx(lost, abs=0.005)
    assert (seen == 1).float().mean().item() == pytest.approx(lost / 2, abs=0.005)  # half salt, half pepper
    assert (seen == 0).float().mean().item() == pytest.approx(lost / 2, abs=0.005)
    assert (seen.std(-1) < 1e-6).all()  # a pixel is hit in all channels at once


def test_the_same_draw_gives_the_same_damage_in_any_batch():
    pictures = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    numbers = draws(8)
    for name, amount in (("salt_pepper", 0.3), ("gaussian", 0.1)):
        settings = DegradeSettings(name=name, amount=amount)
        together = degrade(pictures, settings, numbers)
        assert torch.equal(together[5:6], degrade(pictures[5:6], settings, numbers[5:6]))
        assert not torch.allclose(together, degrade(pictures, settings, draws(8, 1)))
    damaged = degrade(pictures[:1].expand(2, -1, -1, -1), DegradeSettings(amount=0.3), numbers[:2])
    assert not torch.equal(damaged[0], damaged[1])


def test_the_numbers_behind_it_are_uniform_and_independent():
    numbers = hashed_uniform(sample_word(draws(3000)), 300)
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 1e-4
    assert torch.corrcoef(numbers.T).fill_diagonal_(0).abs().max() < 0.1  # position against position
    assert torch.corrcoef(numbers[:300]).fill_diagonal_(0).abs().max() < 0.35  # sample against sample, 300 numbers each


def test_gaussian_noise_is_normal_of_its_deviation():
    grey = torch.full((100, 16, 16, 3), 128, dtype=torch.uint8)
    noise = degrade(grey, DegradeSettings(name="gaussian", amount=0.05), draws(100)) - 128 / 255
    assert kstest((noise / 0.05).flatten().numpy(), "norm").pvalue > 1e-4


@pytest.mark.parametrize("quality", [10, 30, 75])
def test_jpeg_loses_what_pillows_jpeg_loses(quality):
    picture, stream = photo(), io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    pillow = np.array(Image.open(stream)).astype(float)
    ours = degrade(torch.from_numpy(picture)[None], DegradeSettings(name="jpeg", amount=quality), draws(1))[0] * 255
    lost = np.abs(pillow - picture).mean()
    assert np.abs(ours.numpy() - pillow).mean() < 0.2 * lost


def test_jpeg_of_one_channel_and_of_odd_sides():
    picture, stream = photo(61)[:, :50, 0], io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=20)
    pillow = np.array(Image.open(stream)).astype(float)
    batch = torch.from_numpy(np.ascontiguousarray(picture))[None, :, :, None]
    ours = degrade(batch, DegradeSettings(name="jpeg", amount=20), draws(1))[0, :, :, 0] * 255
    assert np.abs(ours.numpy() - pillow).mean() < 0.05 * np.abs(pillow - picture).mean() + 0.1


def test_blur_is_scipys_and_low_resolution_keeps_the_mean():
    from scipy.ndimage import gaussian_filter

    picture = photo(32)
    batch = torch.from_numpy(picture)[None]
    blurred = degrade(batch, DegradeSettings(name="blur", amount=1.5), draws(1))[0, 8:-8, 8:-8].numpy()
    expected = gaussian_filter(picture / 255, (1.5, 1.5, 0), mode="nearest", truncate=8 / 3)[8:-8, 8:-8]
    assert np.abs(blurred - expected).max() < 0.01
    small = degrade(batch, DegradeSettings(name="low_resolution", amount=4), draws(1))[0].numpy()
    assert small.mean() == pytest.approx(picture.mean() / 255, abs=0.01)
    assert np.abs(np.diff(small, axis=0)).mean() < 0.5 * np.abs(np.diff(picture / 255, axis=0)).mean()


def test_any_channels_and_floats():
    bands = torch.randn(4, 16, 16, 13)
    seen = degrade(bands, DegradeSettings(amount=0.25), draws(4))
    untouched = (seen == bands).all(-1)
    assert untouched.float().mean().item() == pytest.approx(0.75, abs=0.06)
    whole = torch.randint(0, 65536, (2, 16, 16, 2)).to(torch.uint16)
    assert degrade(whole, DegradeSettings(amount=0.0), draws(2)).sub(whole.float() / 65535).abs().max() < 1e-6


@pytest.mark.parametrize(
    "wrong",
    [{"amount": 1.2}, {"name": "jpeg", "amount": 0}, {"name": "blur", "amount": 1, "reading": "kept"}],
)
def test_amounts_out_of_bounds(wrong):
    with pytest.raises(ValidationError, match=r"amount from|of salt_pepper"):
        DegradeSettings(**wrong)
