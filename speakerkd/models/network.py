"""What every network here is: input in, `Output` out, and the size of its embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from speakerkd.tensors import Output


class Network(nn.Module):
    """A batch (B, ...) to an `Output` with embeddings (B, D); dim: D."""

    dim: int

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """maps: give the blocks' outputs too, shallow to deep."""
        raise NotImplementedError

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, maps: bool = False) -> Output: ...
