"""Views of pictures against torchvision's, which is what published accuracies were made with."""

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from speakerkd.frontend.images import DRAWS, ImageViewSettings, normalise, random_boxes, resample, train_view, turned
from speakerkd.frontend.images import test_view as centre_view


def pictures(count, height, width, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=draw)


def draws(count, seed=0):
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))


def channels_first(batch):
    return batch.permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("size", [16, 32, 64])
def test_crop_and_resize_equal_torchvision(size):
    batch = pictures(4, 40, 48)
    boxes = torch.tensor([[3, 5, 20, 31], [0, 0, 40, 48], [10, 2, 8, 40], [37, 45, 3, 3.0]])
    views = resample(batch, boxes, size, within_box=True)
    for view, picture, (top, left, high, wide) in zip(views, channels_first(batch), boxes.int().tolist(), strict=True):
        expected = tv.resized_crop(picture, top, left, high, wide, [size, size], antialias=True)
        torch.testing.assert_close(view, expected, atol=1e-6, rtol=0)


def test_flips_mirror_left_and_right():
    batch = pictures(2, 8, 8)
    views = resample(batch, torch.tensor([[0, 0, 8, 8.0]]).expand(2, 4), 8, torch.tensor([True, False]))
    torch.testing.assert_close(views[0], channels_first(batch)[0].flip(-1))
    torch.testing.assert_close(views[1], channels_first(batch)[1])


def test_test_view_equals_resize_and_centre_crop():
    batch = pictures(3, 64, 64)
    expected = tv.center_crop(tv.resize(channels_first(batch), [32, 32], antialias=True), [28, 28])
    view = centre_view(batch, ImageViewSettings(size=28))
    torch.testing.assert_close(view, expected, atol=1e-6, rtol=0)
    up = tv.center_crop(tv.resize(channels_first(batch), [256, 256], antialias=True), [224, 224])
    torch.testing.assert_close(centre_view(batch, ImageViewSettings(size=224)), up, atol=1e-5, rtol=0)


def test_test_view_of_the_whole_picture_is_the_picture():
    batch = pictures(2, 32, 32)
    view = centre_view(batch, ImageViewSettings(size=32, test_crop=1))
    torch.testing.assert_close(view, channels_first(batch), atol=1e-6, rtol=0)


def test_padded_crop_is_a_shifted_picture_on_black():
    batch = pictures(64, 8, 8) // 2 + 100  # no pixel of the picture is black
    settings = ImageViewSettings(size=8, crop="padded", padding=0.25, flip=False)
    views = train_view(batch, draws(64), settings)
    padded = torch.nn.functional.pad(channels_first(batch), (2, 2, 2, 2))
    seen = set()
    for number, view in enumerate(views):
        offsets = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.allclose(view, padded[number, :, top : top + 8, left : left + 8], atol=1e-6)
        ]
        assert len(offsets) == 1
        seen.add(offsets[0])
    assert len(seen) > 15  # of 25 places


def test_shifted_crop_keeps_the_scale_of_the_test_view():
    ramp = torch.arange(64, dtype=torch.uint8).expand(16, 64, 64)[..., None].expand(-1, -1, -1, 3)
    view = train_view(
        ramp.contiguous(), draws(16), ImageViewSettings(size=28, crop="shifted", flip=False, test_crop=0.875)
    )
    inner = view[:, 0, 0, 2:-2] * 255
    torch.testing.assert_close(inner.diff(dim=1), torch.full((16, 23), 2.0), atol=1e-3, rtol=0)
    assert 0 <= inner.min() <= inner.max() <= 63
    assert inner[:, 0].max() > inner[:, 0].min() + 2


def test_boxes_are_distributed_as_torchvisions():
    torch.manual_seed(1)
    ours = random_boxes(draws(20_000)[:, 1:], 32, 32, scale=(0.08, 1), ratio=(3 / 4, 4 / 3))
    blank = torch.zeros(3, 32, 32)
    theirs = torch.tensor(
        [RandomResizedCrop.get_params(blank, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(20_000)], dtype=torch.float32
    )
    torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=0.25, rtol=0)
    torch.testing.assert_close(ours.std(0), theirs.std(0), atol=0.25, rtol=0)
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= 32).all()
    assert (ours[:, 1] + ours[:, 3] <= 32).all()


def test_a_picture_too_narrow_for_any_ratio_falls_back_to_its_centre():
    boxes = random_boxes(draws(8)[:, 1:], 100, 10, scale=(0.9, 1), ratio=(3 / 4, 4 / 3))
    assert boxes.tolist() == [[43, 0, 13, 10]] * 8  # torchvision: width 10, height round(10 / 0.75), centred


def test_the_same_seed_gives_the_same_views():
    batch, settings = pictures(8, 32, 32), ImageViewSettings(size=32)
    first, again, other = (train_view(batch, draws(8, s), settings) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_normalise():
    view = torch.full((1, 3, 1, 1), 0.5)
    result = normalise(view, torch.tensor([0.5, 0.25, 0.0]), torch.tensor([1.0, 0.25, 0.5]))
    assert result.flatten().tolist() == [0, 1, 1]


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_right_angles_follow_from_the_digits_of_one_draw(quarter):
    """Binary digits of the draw: mirror, turned or not (0: turned), two for the angle, upside down (0) or not."""
    view = torch.rand(1, 2, 5, 5)
    angle = quarter / 16
    for upright, down in ((1 / 32, False), (0.0, True)):
        rotated = turned(view, torch.tensor([0.5 + angle + upright]))
        expected = np.rot90(view.numpy(), quarter, (2, 3))
        assert np.array_equal(rotated, expected[:, :, ::-1] if down else expected)
    assert torch.equal(turned(view, torch.tensor([0.25 + angle])), view)
