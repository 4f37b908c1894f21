"""A moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Ema(nn.Module, Generic[M]):
    """A copy of `network` whose parameters follow it: p <- decay p + (1 - decay) p_network; buffers are copied.

    Early on the decay is (1 + n) / (10 + n) after n updates, where that is smaller, so the first weights are forgotten.
    """

    updates: Tensor

    def __init__(self, network: M, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64), persistent=True)
        self._count = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        decay = min(self.decay, (1 + self._count) / (10 + self._count))
        self._count += 1
        self.updates.fill_(self._count)
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)
        mine, theirs = list(self.network.buffers()), list(network.buffers())
        if mine:
            torch._foreach_copy_(mine, theirs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._count = int(self.updates)
