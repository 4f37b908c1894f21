"""Gradient reversal (Ganin et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradient, None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """The input itself, whose gradient is scaled (Ganin and Lempitsky 2015).

    Parameters
    ----------
    x: of any shape.
    factor: of the gradient; -1 reverses it.
    """
    return _Scaled.apply(x, factor)
