"""Norms and unit vectors whose value and gradient are 0, not infinite, at the zero vector; sums of terms."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable

import torch
from torch import Tensor

TINY = 1e-12  # a shorter vector has no direction; torch.nn.functional.normalize draws the line at the same length


def norm(x: Tensor, dim: int = -1, keepdim: bool = False) -> Tensor:
    """Euclidean norm over `dim`; 0 with gradient 0 where it is below 1e-12."""
    square = x.pow(2).sum(dim, keepdim=keepdim)
    longer = square > TINY**2
    return torch.where(longer, torch.where(longer, square, 1.0).sqrt(), 0.0)


def unit(x: Tensor, dim: int = -1) -> Tensor:
    """`x` at Euclidean length 1 over `dim`; 0 with gradient 0 where its norm is below 1e-12."""
    length = norm(x, dim, keepdim=True)
    return x * torch.where(length > 0, 1 / torch.where(length > 0, length, 1.0), 0.0)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine of corresponding rows: (B, D), (B, D) -> (B,); 0 where one of them is the zero vector."""
    return (unit(x) * unit(y)).sum(-1)


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors of one shape."""
    return functools.reduce(operator.add, terms)
