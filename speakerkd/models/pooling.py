"""From a sequence of frames to one vector: statistics, attentive by frame (Okabe) and attentive by channel.

Every pooling takes frames (B, C, T) and optionally `lengths` (B,), the count of valid frames of each row; frames beyond
it have no influence on the attention or the statistics. Weights and statistics are computed in at least float32,
whatever autocast says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from speakerkd.models.precision import at_least_float32

SMALL = 1e-7  # wespeaker's floor
FLOOR = 1e-5  # smallest variance; keeps the gradient of the square root finite on constant frames


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """(B, 1, T) bool: True for the first `lengths[b]` of `frames` frames."""
    return (torch.arange(frames, device=lengths.device) < lengths[:, None])[:, None]


def weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    """Mean (B, C) of frames (B, C, T) under weights (B, 1 or C, T) that sum to one over time."""
    return (x * weight).sum(2)


def weighted_statistics(x: Tensor, weight: Tensor, floor: float = FLOOR) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, both (B, C), of frames (B, C, T) under weights (B, 1 or C, T) that sum to one.

    The variance is the biased one, taken about the mean, and not below `floor`.
    """
    mean = weighted_mean(x, weight)
    variance = (weight * (x - mean[:, :, None]).square()).sum(2)
    return mean, variance.clamp(min=floor).sqrt()


def unbiased_variance(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance, both (B, C), of frames (B, C, T); weight: `even_weights` of them."""
    frames = (weight > 0).sum(2)
    mean = weighted_mean(x, weight)
    variance = (weight * (x - mean[:, :, None]).square()).sum(2) * frames / (frames - 1).clamp(min=1)
    return mean, variance


def even_weights(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """(B, 1, T): the same weight for every valid frame of (B, C, T)."""
    if lengths is None:
        return torch.ones_like(x[:, :1]) / x.shape[2]
    mask = frame_mask(lengths, x.shape[2]).to(x.dtype)
    return mask / mask.sum(2, keepdim=True)


def attention_weights(scores: Tensor, lengths: Tensor | None) -> Tensor:
    """Softmax over time of scores (B, 1 or C, T) in at least float32, zero beyond `lengths`."""
    scores = at_least_float32(scores)
    if lengths is not None:
        scores = scores.masked_fill(~frame_mask(lengths, scores.shape[2]), float("-inf"))
    return scores.softmax(2)


class Pooling(nn.Module):
    """Frames (B, C, T), of which the first `lengths` (B,) count, to one vector (B, dim)."""

    dim: int

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        raise NotImplementedError


class MeanPooling(Pooling):
    """Temporal average pooling: (B, C, T) -> (B, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dim = channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = at_least_float32(x)
        return weighted_mean(x, even_weights(x, lengths))


class StatisticsPooling(Pooling):
    """Mean and standard deviation over time: (B, C, T) -> (B, 2C) (Snyder et al. 2018, x-vector)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dim = 2 * channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = at_least_float32(x)
        return torch.cat(weighted_statistics(x, even_weights(x, lengths)), 1)


class UnbiasedStatisticsPooling(Pooling):
    """Mean and the root of the unbiased variance plus 1e-7: (B, C, T) -> (B, 2C) (wespeaker's TSTP)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dim = 2 * channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = at_least_float32(x)
        mean, variance = unbiased_variance(x, even_weights(x, lengths))
        return torch.cat([mean, (variance + SMALL).sqrt()], 1)


class FrameAttention(nn.Module):
    """One weight a frame, softmax over time of v' tanh(W x_t + b) (Okabe et al. 2018, Eq. 1 and 2)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.xavier_normal_(self.score.weight)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Weights (B, 1, T) for frames (B, C, T)."""
        scores = self.score(torch.tanh(self.hidden(x.transpose(1, 2))))  # (B, T, 1)
        return attention_weights(scores.transpose(1, 2), lengths)


class SelfAttentivePooling(Pooling):
    """Mean under one learned weight a frame: (B, C, T) -> (B, C) (SAP, Cai et al. 2018)."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.attention = FrameAttention(channels, hidden)
        self.dim = channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return weighted_mean(at_least_float32(x), self.attention(x, lengths))


class AttentiveStatisticsPooling(Pooling):
    """Mean and standard deviation under one learned weight a frame: (B, C, T) -> (B, 2C) (ASP, Okabe et al. 2018)."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.attention = FrameAttention(channels, hidden)
        self.dim = 2 * channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return torch.cat(weighted_statistics(at_least_float32(x), self.attention(x, lengths)), 1)


class ChannelAttentivePooling(Pooling):
    """Mean and standard deviation under one learned weight a frame and channel: (B, C, T) -> (B, 2C).

    `between` is what stands between the attention's two 1x1 convolutions: ReLU and BatchNorm (ResNetSE34V2, the
    default), tanh (wespeaker's ASTP), or ReLU, BatchNorm and tanh (ECAPA-TDNN, Desplanques et al. 2020). With a
    `context` the attention sees the utterance's mean and standard deviation beside every frame: the biased one
    (`ecapa`), or the unbiased one of the variance plus `floor` (`astp`).
    """

    def __init__(
        self,
        channels: int,
        hidden: int = 128,
        between: Literal["relu-bn", "tanh", "relu-bn-tanh"] = "relu-bn",
        context: Literal["ecapa", "astp"] | None = None,
        floor: float = FLOOR,
    ) -> None:
        super().__init__()
        middle: dict[str, list[nn.Module]] = {
            "relu-bn": [nn.ReLU(), nn.BatchNorm1d(hidden)],
            "tanh": [nn.Tanh()],
            "relu-bn-tanh": [nn.ReLU(), nn.BatchNorm1d(hidden), nn.Tanh()],
        }
        self.attention = nn.Sequential(
            nn.Conv1d(3 * channels if context else channels, hidden, 1),
            *middle[between],
            nn.Conv1d(hidden, channels, 1),
        )
        self.context = context
        self.floor = floor
        self.dim = 2 * channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        seen = x
        x = at_least_float32(x)
        if self.context:
            around = self._context(x, even_weights(x, lengths))
            seen = torch.cat([x, *(s[:, :, None].expand_as(x) for s in around)], 1)  # (B, 3C, T)
        weight = attention_weights(self.attention(seen), lengths)  # (B, C, T)
        return torch.cat(weighted_statistics(x, weight, self.floor), 1)

    def _context(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.context == "ecapa":
            return weighted_statistics(x, weight, self.floor)
        mean, variance = unbiased_variance(x, weight)
        return mean, (variance + self.floor).sqrt()


# name -> pooling(channels, hidden units of the attention)
POOLINGS: dict[str, Callable[[int, int], Pooling]] = {
    "mean": lambda channels, _: MeanPooling(channels),
    "statistics": lambda channels, _: StatisticsPooling(channels),
    "sap": SelfAttentivePooling,
    "asp": AttentiveStatisticsPooling,
    "asp_channel": ChannelAttentivePooling,
    "asp_context": lambda channels, hidden: ChannelAttentivePooling(channels, hidden, "relu-bn-tanh", "ecapa"),
    # wespeaker's
    "tstp": lambda channels, _: UnbiasedStatisticsPooling(channels),
    "astp": lambda channels, hidden: ChannelAttentivePooling(channels, hidden, "tanh", floor=SMALL),
    "astp_context": lambda channels, hidden: ChannelAttentivePooling(channels, hidden, "tanh", "astp", SMALL),
}


def build_pooling(name: str, channels: int, hidden: int = 128) -> Pooling:
    """The pooling of this name over (B, channels, T), with `hidden` units in its attention if it has one.

    Its `.dim` is the width of what it returns.
    """
    return POOLINGS[name](channels, hidden)
