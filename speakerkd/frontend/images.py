"""Views of pictures for a network: crops, flips and sizes made on the batch, on its device.

Resampling along one axis is linear, so a crop, a resize and a flip of one picture are two small matrices, and of a
batch two batched matrix products. The matrices hold the antialiased triangle filter that torchvision resizes with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from speakerkd.config import Settings
from speakerkd.data.images import Sensor
from speakerkd.data.sampler import identities, sample_draws
from speakerkd.frontend.degrade import DRAWS as DAMAGE_DRAWS
from speakerkd.frontend.degrade import DegradeSettings, degrade, value_of_one

TRIALS = 10  # crops that are tried before the centre is taken, as in torchvision
GEOMETRY = 3 + 2 * TRIALS  # uniform numbers of a crop: mirror, place, and an area and a ratio a trial
DRAWS = GEOMETRY + DAMAGE_DRAWS  # and those that damage follows from


class ImageViewSettings(Settings):
    """The training view and the test view of a picture."""

    size: int = Field(224, ge=8, le=1024, description="pixels a side that the network sees")
    crop: Literal["resized", "shifted", "padded", "none"] = Field(
        "resized",
        description="training crop: of random area and ratio; of the test view's size at a random place; of the whole "
        "size from a zero-padded picture; or the whole picture",
    )
    scale: tuple[float, float] = Field((0.08, 1.0), description="share of the area that a resized crop keeps")
    ratio: tuple[float, float] = Field((3 / 4, 4 / 3), description="width to height of a resized crop")
    padding: float = Field(0.125, ge=0, le=0.5, description="zero border of a padded crop, as a share of the side")
    flip: bool = Field(True, description="mirror half of the training pictures")
    test_crop: float = Field(0.875, gt=0, le=1, description="centre share of the side for the test view (224 of 256)")
    mean: tuple[float, ...] | None = Field(None, description="a channel each, in [0, 1]; taken from the data if absent")
    std: tuple[float, ...] | None = Field(None, description="a channel each, in [0, 1]; taken from the data if absent")
    degrade: DegradeSettings | None = Field(None, description="damage done to the pictures first; null: none")
    turn: bool = Field(
        False, description="half of the training pictures turned by a random right angle, and upside down or not"
    )
    sensor: Sensor = Field("first", description="of pairs: whose pictures these are; both: channels stacked")


def train_view(pictures: Tensor, draws: Tensor, settings: ImageViewSettings) -> Tensor:
    """Damaged, then randomly cropped and mirrored pictures: (B, H, W, C) to float (B, C, S, S), integers in [0, 1].

    draws: (B, DRAWS) float32 uniform in [0, 1), what decides a picture's crop and damage.
    """
    if settings.degrade is not None:
        pictures = degrade(pictures, settings.degrade, draws[:, GEOMETRY:DRAWS])
    height, width = pictures.shape[1:3]
    whole = torch.tensor([height, width], dtype=torch.float32, device=draws.device)
    share = draws[:, 1:3]
    if settings.crop == "resized":
        boxes = random_boxes(draws[:, 1:GEOMETRY], height, width, scale=settings.scale, ratio=settings.ratio)
    elif settings.crop == "shifted":
        side = whole.min().expand(len(draws), 2) * settings.test_crop
        boxes = torch.cat([share * (whole - side), side], 1)
    elif settings.crop == "padded":
        reach = (settings.padding * whole).round()
        boxes = torch.cat([(share * (2 * reach + 1)).floor() - reach, whole.expand_as(share)], 1)
    else:
        boxes = torch.cat([torch.zeros_like(share), whole.expand_as(share)], 1)
    flips = draws[:, 0] < 0.5 if settings.flip else None
    view = resample(pictures, boxes, settings.size, flips, within_box=settings.crop == "resized")
    return turned(view, draws[:, 0]) if settings.turn else view


def turned(view: Tensor, draw: Tensor) -> Tensor:
    """Half of the pictures (B, C, S, S) turned by 0, 90, 180 or 270 degrees, and half of those then upside down.

    draw: (B,) uniform in [0, 1), the one that decides on the mirror: what follows its first binary digit decides here.
    """
    rest = (2 * draw) % 1
    turns, rest = rest < 0.5, (2 * rest) % 1
    quarter, rest = (4 * rest).floor(), (4 * rest) % 1
    result = view
    for angle in (1, 2, 3):
        result = torch.where((turns & (quarter == angle)).view(-1, 1, 1, 1), view.rot90(angle, (2, 3)), result)
    return torch.where((turns & (rest < 0.5)).view(-1, 1, 1, 1), result.flip(2), result)


def test_view(pictures: Tensor, settings: ImageViewSettings, draws: Tensor | None = None) -> Tensor:
    """The centre of each picture: (B, H, W, C) to float (B, C, S, S), integers scaled to [0, 1].

    The shorter side is resized to S / test_crop and the centre S x S kept (Resize 256, CenterCrop 224).
    draws: (B, DRAWS), from which damage follows; needed where the settings name damage.
    """
    if settings.degrade is not None:
        assert draws is not None
        pictures = degrade(pictures, settings.degrade, draws[:, GEOMETRY:DRAWS])
    count, height, width = pictures.shape[:3]
    side = min(height, width) * settings.test_crop
    box = torch.tensor([(height - side) / 2, (width - side) / 2, side, side])
    return resample(pictures, box.expand(count, 4), settings.size)


def network_input(
    pictures: Tensor,
    settings: ImageViewSettings,
    keys: Sequence[str],
    change: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The normalised test view: (B, H, W, C) as stored to (B, C, S, S).

    keys: the pictures' names, from which damage that the settings name follows: it is the same in every evaluation.
    change: done to the view before it is normalised.
    """
    view = test_view(pictures, settings, fixed_draws(keys) if settings.degrade is not None else None)
    return normalise_as(view if change is None else change(view), settings)


def fixed_draws(keys: Sequence[str]) -> Tensor:
    """Draws (B, DRAWS) that follow from the pictures' names alone."""
    return torch.from_numpy(sample_draws(0, 0, identities(keys), DRAWS).astype(np.float32))


def normalise_as(view: Tensor, settings: ImageViewSettings) -> Tensor:
    """The view with the mean and deviation that the settings name."""
    assert settings.mean is not None and settings.std is not None
    return normalise(view, torch.tensor(settings.mean), torch.tensor(settings.std))


def normalise(view: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(view - mean) / std a channel: float (B, C, S, S), (C,), (C,)."""
    return (view - mean.view(-1, 1, 1).to(view)) / std.view(-1, 1, 1).to(view)


def random_boxes(
    draws: Tensor, height: int, width: int, *, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Crops of random area and ratio, whole pixels: (B, 4) float of top, left, height, width.

    draws: (B, 2 + 2 trials) uniform: place, then areas and ratios of each trial. The distribution is torchvision's
    RandomResizedCrop: the first trial that fits, else the centre with the ratio held within bounds.
    """
    areas, ratios = draws[:, 2:].chunk(2, 1)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * areas)
    shape = (math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * ratios).exp()
    wide, high = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
    first = fits.float().argmax(1, keepdim=True)
    wide, high = wide.gather(1, first).squeeze(1), high.gather(1, first).squeeze(1)
    top = (draws[:, 0] * (height - high + 1)).floor()
    left = (draws[:, 1] * (width - wide + 1)).floor()
    centre_wide, centre_high = min(width, round(height * ratio[1])), min(height, round(width / ratio[0]))
    centre = [(height - centre_high) // 2, (width - centre_wide) // 2, centre_high, centre_wide]
    boxes = torch.stack([top, left, high, wide], 1)
    return torch.where(fits.any(1, keepdim=True), boxes, torch.tensor(centre, device=boxes.device, dtype=boxes.dtype))


def resample(
    pictures: Tensor, boxes: Tensor, size: int, flips: Tensor | None = None, within_box: bool = False
) -> Tensor:
    """Resize a box of each picture to size x size: (B, H, W, C) to float (B, C, size, size), integers scaled to [0, 1].

    boxes: (B, 4) top, left, height, width in pixels, fractions allowed; outside the picture is black.
    flips: (B,) bool, mirrored left to right. within_box: the filter sees no pixel outside the box (crop, then
    resize) or those around it too (resize, then crop).
    """
    count, height, width, channels = pictures.shape
    boxes = boxes.to(pictures.device, torch.float32)
    rows = _filter(boxes[:, 0], boxes[:, 2], height, size, within_box) / value_of_one(pictures)
    columns = _filter(boxes[:, 1], boxes[:, 3], width, size, within_box)
    if flips is not None:
        columns = torch.where(flips.to(pictures.device)[:, None, None], columns.flip(1), columns)
    tall = torch.bmm(rows, pictures.float().reshape(count, height, width * channels)).view(count, size, width, channels)
    bands = tall.permute(0, 3, 1, 2).reshape(count, channels * size, width)
    return torch.bmm(bands, columns.transpose(1, 2)).view(count, channels, size, size)


def _filter(start: Tensor, extent: Tensor, length: int, size: int, within_box: bool) -> Tensor:
    """Weights (B, size, length) of the antialiased triangle filter that resizes [start, start + extent) to `size`."""
    start, extent = start.view(-1, 1, 1), extent.view(-1, 1, 1)
    scale = extent / size
    centre = start + (torch.arange(size, device=start.device).view(1, -1, 1) + 0.5) * scale
    pixel = torch.arange(length, device=start.device).view(1, 1, -1) + 0.5
    weight = (1 - (pixel - centre).abs_() / scale.clamp(min=1)).clamp_(min=0)
    if within_box:
        weight *= (pixel > start) & (pixel < start + extent)
        return weight / weight.sum(-1, keepdim=True)
    black = (centre < 0) | (centre > length)
    return (weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)).masked_fill_(black, 0)
