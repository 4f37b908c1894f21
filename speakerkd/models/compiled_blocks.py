"""Normalisation and gating as compiled training on a processor wants them; elsewhere they are torch's own.

Compiled by torch 2.11 on two cores, a step of ResNetSE34V2 spends what convolutions leave on passes over the maps.
BatchNorm in one plain pass, and with a squeeze block's gate in the same pass (6 % of a step), brought that step from 57
to 62 % of the machine's matrix rate. Values and gradients are those of the textbook blocks to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Normalise(torch.autograd.Function):
    """Batch normalisation by given statistics; the gradient knows that they are the batch's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse)
        y = (x.float() - mean[:, None, None]) * (weight * inverse)[:, None, None] + bias[:, None, None]
        # never a conversion that changes nothing: torch 2.11, compiling, would lose the gradient
        return y if y.dtype == x.dtype else y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        share = x.shape[1] / x.numel()  # multiplied by: what stands here is computed again for every pixel
        off = x.float() - mean[:, None, None]
        # grad is left in its own type: the compiler would keep a float32 copy of the whole map between two passes
        bias, along = grad.sum((0, 2, 3), dtype=torch.float32), (grad * off).sum((0, 2, 3))
        weight_grad = along * inverse
        common = (bias * share)[:, None, None] + off * (weight_grad * inverse * share)[:, None, None]
        x_grad = (grad - common) * (weight * inverse)[:, None, None]
        return x_grad if x_grad.dtype == x.dtype else x_grad.to(x.dtype), weight_grad, bias, None, None


class _ScaleEach(torch.autograd.Function):
    """(x - origin) scale + shift, of maps (N, C, H, W), float32 origin (C), and scale and shift (N, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, origin: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, origin, scale)
        y = (x.float() - origin[:, None, None]) * scale[:, :, None, None] + shift[:, :, None, None]
        return y if y.dtype == x.dtype else y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, origin, scale = ctx.saved_tensors
        shift_grad = sum_over_pixels(grad)
        scale_grad = sum_over_pixels(grad * (x.float() - origin[:, None, None]))
        x_grad = grad * scale[:, :, None, None]
        return x_grad if x_grad.dtype == x.dtype else x_grad.to(x.dtype), None, scale_grad, shift_grad


def sum_over_pixels(x: Tensor) -> Tensor:
    """Of (N, C, H, W) the sums (N, C), in float32 at least; in two steps, as compiled sums of over 4,096 are slow."""
    return x.sum(3, dtype=torch.promote_types(x.dtype, torch.float32)).sum(2)


def middle(x: Tensor) -> Tensor:
    """The mean (C) of the middle pixels of maps (N, C, H, W), in float32."""
    return x[:, :, x.shape[2] // 2, x.shape[3] // 2].float().mean(0)


class BatchNorm2d(nn.BatchNorm2d):
    """torch's, with statistics in one plain pass where a processor trains compiled code.

    torch 2.11 compiles the variance into Welford's recurrence, which is slow. Here deviations are taken from the middle
    pixels' mean, which is near the whole map's, so that the difference of squares keeps its digits. (Not from the
    running mean: the compiled backward pass would read it after it has moved.)
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.plain(x):
            return super().forward(x)
        with torch.no_grad():
            origin = middle(x)
            off = x.float() - origin[:, None, None]
            mean = off.mean((0, 2, 3))
            variance = (off.square().mean((0, 2, 3)) - mean.square()).clamp(min=0)
            mean = mean + origin
            self.follow(mean, variance, x.numel() // x.shape[1])
        return _Normalise.apply(x, self.weight, self.bias, mean, (variance + self.eps).rsqrt())

    def plain(self, x: Tensor) -> bool:
        """Whether statistics are taken in the plain way."""
        return self.training and torch.compiler.is_compiling() and x.device.type == "cpu" and x.dtype != torch.float64

    def follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards a batch's mean and (biased) variance (C), of `count` values a channel."""
        assert self.num_batches_tracked is not None and self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)


def normalise_and_gate(norm: nn.Module, gate: nn.Sequential, x: Tensor) -> Tensor:
    """A squeeze block's gate(norm(x)) norm(x), of maps (N, C, H, W), in one product and one sum a channel.

    norm: a BatchNorm2d, in training (a folded network, which never trains, has an Identity there). gate: channel means
    (N, C) to factors (N, C). Its input, the channel means of norm(x), follows from those of x.
    """
    assert isinstance(norm, BatchNorm2d)
    origin = middle(x.detach())  # (C)
    off = x.float() - origin[:, None, None]
    share = 1 / (x.shape[2] * x.shape[3])
    first, second = sum_over_pixels(off) * share, sum_over_pixels(off.square()) * share  # (N, C) each

    # the batch's mean and variance a channel, from its recordings' moments
    mean = first.mean(0)
    variance = (second.mean(0) - mean.square()).clamp(min=0)
    with torch.no_grad():
        norm.follow(mean + origin, variance, x.numel() // x.shape[1])

    scale = norm.weight * (variance + norm.eps).rsqrt()
    shift = norm.bias - mean * scale
    factor = gate(first * scale + shift)  # (N, C)
    factor = factor if factor.dtype == torch.float32 else factor.float()
    return _ScaleEach.apply(x, origin, factor * scale, factor * shift)
