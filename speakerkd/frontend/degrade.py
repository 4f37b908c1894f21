"""A poor sensor made of a good one: noise, blur, low resolution or JPEG on the batch, as the sample's own draw says.

Every random number is a hash of the sample's draw and the place in the picture: the same draw gives the same damage,
whatever the batch, the device and the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from speakerkd.config import Settings

DRAWS = 2  # uniform numbers of a sample that its damage follows from
# name -> (least, greatest) amount
BOUNDS = {
    "salt_pepper": (0.0, 1.0),
    "gaussian": (0.0, 10.0),
    "blur": (0.0, 100.0),
    "low_resolution": (1.0, 256.0),
    "jpeg": (1.0, 100.0),
}


class DegradeSettings(Settings):
    """What makes the poor picture. Second paper: salt_pepper, "ratio .1" on small sets and .5 on ImageNet's."""

    name: Literal["salt_pepper", "gaussian", "blur", "low_resolution", "jpeg"] = Field(
        "salt_pepper", description="the kind of damage, done before crops and flips"
    )
    amount: float = Field(
        0.1,
        description="salt_pepper: share of the pixels; gaussian: standard deviation, of values in [0, 1]; blur: "
        "standard deviation in pixels; low_resolution: factor of the side; jpeg: quality, 1 to 100",
    )
    reading: Literal["corrupted", "kept"] = Field(
        "corrupted", description="salt_pepper: whether amount is the share that is lost or the share that stays"
    )
    fixed: bool = Field(False, description="one draw a picture for all epochs, as a damaged copy on disk would have")

    @model_validator(mode="after")
    def _in_bounds(self) -> DegradeSettings:
        low, high = BOUNDS[self.name]
        if not low <= self.amount <= high:
            raise ValueError(f"{self.name} takes an amount from {low:g} to {high:g}, given {self.amount:g}")
        if self.reading == "kept" and self.name != "salt_pepper":
            raise ValueError(f"reading: kept is of salt_pepper, not of {self.name}")
        return self


def value_of_one(pictures: Tensor) -> float:
    """The stored value that counts as 1: 255, 65535, or 1 for floats."""
    return float(torch.iinfo(pictures.dtype).max) if not pictures.is_floating_point() else 1.0


def degrade(pictures: Tensor, settings: DegradeSettings, draws: Tensor) -> Tensor:
    """Damaged pictures: (B, H, W, C) as stored to float32 (B, H, W, C), integers scaled to and kept in [0, 1].

    draws: (B, DRAWS) uniform in [0, 1) float32, which decide the damage.
    """
    whole = not pictures.is_floating_point()
    x = (pictures.float() / value_of_one(pictures)).permute(0, 3, 1, 2)
    word = sample_word(draws).to(x.device)
    x = DAMAGE[settings.name](x, settings, word)
    return (x.clamp(0, 1) if whole else x).permute(0, 2, 3, 1)


def sample_word(draws: Tensor) -> Tensor:
    """48 random bits (B,) int64 of two uniform float32 numbers (B, 2)."""
    halves = (draws.double() * 2**24).long()
    return halves[:, 0] << 24 | halves[:, 1]


def hashed_uniform(word: Tensor, count: int) -> Tensor:
    """Uniform numbers (B, count) float32 in [0, 1), 24 bits each: a hash of a sample's word (B,) and the position."""
    counter = torch.arange(1, count + 1, device=word.device, dtype=torch.int32) * 0x85EBCA7
    low, high = (word & 0xFFFFFF).int()[:, None], (word >> 24).int()[:, None]
    x = _mix(low * 0x9E3779B + counter)
    return _mix(x ^ high * 0x2C1B3C6).bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).float() * 2.0**-24


def _mix(x: Tensor) -> Tensor:
    """A 32-bit integer hash, xor-shift and multiply; int32 products wrap round, and shifts are made unsigned."""
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = (x ^ (x >> shift).bitwise_and_((1 << 32 - shift) - 1)).mul_(factor)
    return x ^ (x >> 15).bitwise_and_((1 << 17) - 1)


def sprinkle(x: Tensor, share: float, draw: Tensor) -> Tensor:
    """Salt and pepper: a share of the pixels, in all channels at once, half black and half white.

    x: (B, C, H, W). draw: (B, 1, H, W) uniform in [0, 1).
    """
    return torch.where(draw < share / 2, 0.0, torch.where(draw < share, 1.0, x))


def gaussian_blur(x: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of (B, C, H, W) with a standard deviation in pixels; edges are repeated."""
    channels, reach = x.shape[1], max(1, round(3 * deviation))
    taps = torch.arange(-reach, reach + 1).to(x)
    kernel = torch.softmax(-(taps**2) / (2 * deviation**2), 0).expand(channels, 1, 1, -1)
    padded = functional.pad(x, (reach,) * 4, mode="replicate")
    return functional.conv2d(
        functional.conv2d(padded, kernel, groups=channels), kernel.transpose(2, 3), groups=channels
    )


def _salt_pepper(x: Tensor, settings: DegradeSettings, word: Tensor) -> Tensor:
    share = settings.amount if settings.reading == "corrupted" else 1 - settings.amount
    return sprinkle(x, share, hashed_uniform(word, x.shape[2] * x.shape[3]).view(len(x), 1, *x.shape[2:]))


def _gaussian(x: Tensor, settings: DegradeSettings, word: Tensor) -> Tensor:
    """Box and Muller's transform of hashed numbers."""
    count = x[0].numel()
    u = hashed_uniform(word, 2 * count)
    radius = (-2 * (1 - u[:, :count]).log()).sqrt()  # 1 - u is never 0
    return x + settings.amount * (radius * (2 * math.pi * u[:, count:]).cos()).view_as(x)


def _blur(x: Tensor, settings: DegradeSettings, word: Tensor) -> Tensor:
    return gaussian_blur(x, settings.amount) if settings.amount else x


def _low_resolution(x: Tensor, settings: DegradeSettings, word: Tensor) -> Tensor:
    small = [max(1, round(side / settings.amount)) for side in x.shape[2:]]
    return functional.interpolate(functional.interpolate(x, small, mode="area"), x.shape[2:], mode="bilinear")


# The quantisation tables of the JPEG standard, ITU T.81, K.1 and K.2
LUMINANCE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
CHROMINANCE = "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99"


def _jpeg(x: Tensor, settings: DegradeSettings, word: Tensor) -> Tensor:
    """What JPEG loses, computed on the batch: colour halved (4:2:0) and blocks of 8 x 8 quantised; no entropy coding.

    Pictures of other than three channels are quantised as luminance, channel by channel.
    """
    quality = round(settings.amount)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    tables = []
    for text in (LUMINANCE, CHROMINANCE):
        values = [float(v) for v in text.split()]
        base = torch.tensor(values + [99.0] * (64 - len(values))).to(x).view(8, 8)
        tables.append(((base * scale + 50) / 100).floor().clamp(1, 255))
    shape = x.shape[2:]
    x = (x * 255).round()
    if x.shape[1] != 3:
        return _quantised(x - 128, tables[0]).add(128).round()[:, :, : shape[0], : shape[1]] / 255
    to_ycc = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]).to(x)
    ycc = torch.einsum("kc,bchw->bkhw", to_ycc, x)
    ycc = functional.pad(ycc, (0, -shape[1] % 2, 0, -shape[0] % 2), mode="replicate")
    light = _quantised(ycc[:, :1] - 128, tables[0]).add(128)
    colour = functional.avg_pool2d(ycc[:, 1:], 2)
    small = colour.shape[2:]
    colour = _quantised(colour, tables[1])[:, :, : small[0], : small[1]]
    colour = functional.interpolate(colour, scale_factor=2, mode="bilinear")
    ycc = torch.cat([part[:, :, : shape[0], : shape[1]] for part in (light, colour)], 1)
    back = torch.tensor([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]).to(x)
    return torch.einsum("ck,bkhw->bchw", back, ycc).round().clamp(0, 255) / 255


def _quantised(x: Tensor, table: Tensor) -> Tensor:
    """(B, C, H, W) after the discrete cosine transform of 8 x 8 blocks, rounding to the table's steps, and back.

    Sides that are no multiple of 8 are filled with their edge and stay so.
    """
    x = functional.pad(x, (0, -x.shape[3] % 8, 0, -x.shape[2] % 8), mode="replicate")
    count, channels, height, width = x.shape
    k = torch.arange(8).to(x)
    basis = torch.cos(math.pi / 8 * (k[None] + 0.5) * k[:, None]) / 2
    basis[0] /= math.sqrt(2)
    blocks = x.view(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    blocks = basis.T @ ((basis @ blocks @ basis.T / table).round() * table) @ basis
    return blocks.transpose(3, 4).reshape(count, channels, height, width)


DAMAGE: dict[str, Callable[[Tensor, DegradeSettings, Tensor], Tensor]] = {
    "salt_pepper": _salt_pepper,
    "gaussian": _gaussian,
    "blur": _blur,
    "low_resolution": _low_resolution,
    "jpeg": _jpeg,
}
