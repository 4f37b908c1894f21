"""The two types that every network, loss and objective speaks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

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
        return replace(self, **{f.name: _rows(getattr(self, f.name), mask) for f in fields(self)})

    def to(self, device, non_blocking: bool = False) -> Batch:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            self, **{k: None if v is None else v.to(device, non_blocking=non_blocking) for k, v in moved.items()}
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

    def rows(self, mask: Tensor) -> Output:
        """The samples where `mask` (B,) bool is true."""
        return Output(
            self.embedding[mask],
            _rows(self.logits, mask),
            [m[mask] for m in self.maps],
            None if self.strong is None else self.strong.rows(mask),
            [p[mask] for p in self.parts],
        )


def _rows(value: Tensor | None, mask: Tensor) -> Tensor | None:
    return None if value is None else value[mask]
