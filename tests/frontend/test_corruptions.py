"""Damage done on purpose must be the damage its name and strength say, or robustness figures mean nothing."""

import pytest
import torch
from torch.nn import functional

from speakerkd.errors import InputError
from speakerkd.frontend.corruptions import CORRUPTIONS, corrupt


def draw():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_stronger_is_worse_and_stays_in_range(name):
    view = functional.interpolate(torch.rand(4, 3, 5, 5, generator=draw()), (32, 32), mode="bicubic").clamp(0, 1)
    harm = [(corrupt(view, name, strength, draw()) - view).abs().mean().item() for strength in range(1, 6)]
    assert harm == sorted(harm)
    assert harm[0] > 0
    worst = corrupt(view, name, 5, draw())
    assert worst.shape == view.shape
    assert 0 <= worst.min() <= worst.max() <= 1


def test_salt_and_pepper_has_its_density_in_both_colours():
    view = torch.full((2, 3, 200, 200), 0.5)
    damaged = corrupt(view, "salt_pepper", 3, draw())[:, 0]  # density 0.1
    assert (damaged == 0).float().mean().item() == pytest.approx(0.05, abs=0.004)
    assert (damaged == 1).float().mean().item() == pytest.approx(0.05, abs=0.004)


def test_noise_has_its_deviation():
    view = torch.full((2, 3, 200, 200), 0.5)
    assert corrupt(view, "gaussian_noise", 3, draw()).std().item() == pytest.approx(0.1, abs=0.002)


def test_blur_keeps_a_flat_picture_and_spreads_a_point():
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(corrupt(flat, "blur", 5, draw()), flat)
    point = torch.zeros(1, 3, 64, 64)
    point[..., 32, 32] = 1
    spread = corrupt(point, "blur", 3, draw())[0, 0]
    x = torch.arange(64.0) - 32
    assert spread.sum().item() == pytest.approx(1, abs=1e-4)
    assert (spread.sum(0) * x**2).sum().sqrt().item() == pytest.approx(0.03 * 64, rel=0.05)


def test_unknown_names_and_strengths():
    view = torch.zeros(1, 3, 8, 8)
    with pytest.raises(InputError, match="did you mean 'blur'"):
        corrupt(view, "blurr", 1, draw())
    with pytest.raises(InputError, match="strength 6"):
        corrupt(view, "blur", 6, draw())
