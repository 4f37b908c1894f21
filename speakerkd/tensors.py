"""The types that every network, loss and objective speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Samples:
    """Which B samples the rows of two Outputs are.

    label: (B,) int64 class, in [0, K). index: (B,) int64 position of the sample in the training set.
    teacher_label: classes of the rows of the second Output, where they are other samples than the first's; else None.
    """

    label: Tensor
    index: Tensor
    teacher_label: Tensor | None = None


@dataclass(slots=True)
class Batch:
    """One step's input. B samples.

    student: (B, T, F) Fbank, or (B, C, H, W) images.
    teacher: cached teacher embeddings (B, D), or the teacher's raw input when it runs online; None without a teacher.
    label:   (B,) int64 class, in [0, K).
    index:   (B,) int64 position of the sample in the training set.
    draws:   (B, n) uniform numbers in [0, 1) that decide on the samples' random views.
    taught:  (b,) int64 rows that have a teacher input; None where all have one.
    teacher_label: classes of the teacher's rows where those are other samples (independent batches); else None.
    number:  of the batch, counted over all passes of the data.

    Where several processes share a batch, `student`, `draws` and an online teacher's input are of this process's rows;
    the rest is of the whole batch, unless losses are computed over each process's rows.
    """

    student: Tensor
    teacher: Tensor | None
    label: Tensor
    index: Tensor
    draws: Tensor
    taught: Tensor | None = None
    number: int = 0
    teacher_label: Tensor | None = None

    @property
    def taught_share(self) -> float:
        """Share of the samples that have a teacher input."""
        if self.teacher is None:
            return 0.0
        return 1.0 if self.taught is None else len(self.taught) / len(self.label)

    def samples(self) -> Samples:
        """Which samples are taught: those of `taught`, or all."""
        if self.taught is None:
            return Samples(self.label, self.index)
        return Samples(self.label[self.taught], self.index[self.taught])

    def first(self, count: int) -> Batch:
        """The first `count` samples."""
        return Batch(
            self.student[:count],
            None if self.teacher is None else self.teacher[:count],
            self.label[:count],
            self.index[:count],
            self.draws[:count],
            None if self.taught is None else self.taught[self.taught < count],
            self.number,
            None
            if self.teacher_label is None
            else self.teacher_label[: count * len(self.teacher_label) // len(self.label)],
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

    def rows(self, rows: Tensor) -> Output:
        """The samples at `rows`: (B,) bool, or (b,) int64 positions."""
        return self._each(lambda x: x[rows])

    def at_least_float32(self) -> Output:
        """The output with bfloat16 and float16 tensors as float32; others stay as they are."""
        return self._each(lambda x: x.float() if x.dtype in (torch.bfloat16, torch.float16) else x)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Output:
        return Output(
            change(self.embedding),
            None if self.logits is None else change(self.logits),
            [change(m) for m in self.maps],
            None if self.strong is None else self.strong._each(change),
            [change(p) for p in self.parts],
        )
