"""Residual blocks and fresh weights that several networks share."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _Normalise(torch.autograd.Function):
    """Batch normalisation by given statistics; the gradient knows that they are the batch's own."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse)
        y = (x.float() - mean[:, None, None]) * (weight * inverse)[:, None, None] + bias[:, None, None]
        # never a conversion that changes nothing: torch 2.11, compiling, would lose the gradient
        return y if y.dtype == x.dtype else y.to(x.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
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
    def forward(ctx, x: Tensor, origin: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, origin, scale)
        y = (x.float() - origin[:, None, None]) * scale[:, :, None, None] + shift[:, :, None, None]
        return y if y.dtype == x.dtype else y.to(x.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
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
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the channel means (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        # not mean: compiled, its gradient divides every pixel
        mean = sum_over_pixels(x) / (x.shape[2] * x.shape[3])
        return x * self.fc(mean.to(x.dtype))[:, :, None, None]

    def after(self, norm: BatchNorm2d, x: Tensor) -> Tensor:
        """This of norm(x), as one map: normalising and scaling by a gate are one product and one sum a channel.

        The gate's input, the channel means of norm(x), follows from those of x. Compiled on a processor, where passes
        over the maps take what convolutions leave, a step of ResNetSE34V2 is 6 % shorter.
        """
        if not (self.training and norm.plain(x)):  # a folded network, which never trains, has an Identity for norm
            return self(norm(x))
        origin = middle(x.detach())
        off = x.float() - origin[:, None, None]
        share = 1 / (x.shape[2] * x.shape[3])
        first, second = sum_over_pixels(off) * share, sum_over_pixels(off.square()) * share
        mean = first.mean(0)
        variance = (second.mean(0) - mean.square()).clamp(min=0)
        with torch.no_grad():
            norm.follow(mean + origin, variance, x.numel() // x.shape[1])
        scale = norm.weight * (variance + norm.eps).rsqrt()
        shift = norm.bias - mean * scale
        gate = self.fc(first * scale + shift)
        gate = gate if gate.dtype == torch.float32 else gate.float()
        return _ScaleEach.apply(x, origin, gate * scale, gate * shift)


class BasicBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, shortcut, ReLU (He et al. 2016)."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.downsample = projection(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + shortcut)


class SqueezeBlock(nn.Module):
    """conv-ReLU-BN-conv-BN-SE, shortcut, ReLU: the order of voxceleb_trainer's ResNetSE networks."""

    folds = (("conv2", "bn2"),)

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.se = SqueezeExcite(channels)
        self.downsample = projection(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(functional.relu(self.conv1(x)))
        return functional.relu(self.se.after(self.bn2, self.conv2(y)) + shortcut)


SAFE_CHANNELS = 16


class SparseConv2d(nn.Conv2d):
    """A 1x1 convolution with stride as one without over every stride-th pixel: the same result and names.

    torch 2.11 on processors writes past its memory in the weight gradient of a strided 1x1 convolution with fewer than
    16 channels in channels-last order, float32 (seen: 4, 8 and 12 channels to 8 and 16; crash or silent damage).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def projection(inputs: int, channels: int, stride: int) -> nn.Sequential | None:
    """The 1x1 shortcut where a block changes channels or size, else None (identity)."""
    if stride == 1 and inputs == channels:
        return None
    kind = SparseConv2d if stride > 1 and inputs < SAFE_CHANNELS else nn.Conv2d
    return nn.Sequential(kind(inputs, channels, 1, stride, bias=False), BatchNorm2d(channels))


def residual_stage(block: type[nn.Module], inputs: int, channels: int, count: int, stride: int) -> nn.Sequential:
    """`count` blocks, the first of which changes channels and size."""
    return nn.Sequential(block(inputs, channels, stride), *(block(channels, channels, 1) for _ in range(count - 1)))


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """A copy of a trained network in which each BatchNorm that follows a convolution is part of its weights.

    Found in `nn.Sequential`, and where a block names the pairs in its `folds`. For evaluation only: outputs are the
    same to rounding, with a pass over the maps less.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        pairs = list(getattr(module, "folds", ()))
        if isinstance(module, nn.Sequential):
            pairs = list(pairwise(name for name, _ in module.named_children()))
        for first, second in pairs:
            conv, norm = getattr(module, first), getattr(module, second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return network


def kaiming(network: nn.Module) -> None:
    """Fresh convolution weights, normal with variance 2 / fan-out (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
