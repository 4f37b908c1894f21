"""The two types that every network, loss and objective speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Batch:
    """One step's input. B samples.

    student: (B, T, F) Fbank, or (B, C, H, W) images.
    teacher: cached teacher embeddings (B, D), or the teacher's raw input when it runs online; None without a teacher.
    label:   (B,) int64 class, in [0, K).
    index:   (B,) int64 position of the sample in the training set.
    paired:  (B,) bool, False where a sample has no teacher input; None when all have one.
    strong:  a second, strongly augmented view of `student`, for methods that want two; else None.
    """

    student: Tensor
    teacher: Tensor | None
    label: Tensor
    index: Tensor
    paired: Tensor | None = None
    strong: Tensor | None = None

    def rows(self, mask: Tensor) -> Batch:
        """The samples where `mask` (B,) bool is true."""
        return self._each(lambda x: x[mask])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        return self._each(lambda x: x.to(device, non_blocking=non_blocking))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        def changed(x: Tensor | None) -> Tensor | None:
            return None if x is None else change(x)

        return Batch(
            change(self.student),
            changed(self.teacher),
            change(self.label),
            change(self.index),
            changed(self.paired),
            changed(self.strong),
        )


@dataclass(slots=True)
class Output:
    """What any network returns.

    embedding: (B, D). logits: (B, K) or None. maps: block outputs, shallow to deep, each (B, C, H, W); empty
    unless asked for. strong: the Output of the strongly augmented view, or None. parts: what a network takes its
    embedding apart into, each (B, d): (z_inv, z_inf, z_irr) of a disentangled one; else empty.
    """

    embedding: Tensor
    logits: Tensor | None = None
    maps: list[Tensor] = field(default_factory=list)
    strong: Output | None = None
    parts: list[Tensor] = field(default_factory=list)

    @property
    def scores(self) -> Tensor:
        """The logits (B, K) of a network that is known to give them."""
        assert self.logits is not None
        return self.logits

    def rows(self, mask: Tensor) -> Output:
        """The samples where `mask` (B,) bool is true."""
        return Output(
            self.embedding[mask],
            None if self.logits is None else self.logits[mask],
            [m[mask] for m in self.maps],
            None if self.strong is None else self.strong.rows(mask),
            [p[mask] for p in self.parts],
        )
