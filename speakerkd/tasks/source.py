"""What the training loop asks of data: labels, and the two inputs of any samples, each in its own random view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor


class PlainSource:
    """What a source answers whose views are drawn by the loop, and whose teacher is given what the source has."""

    def drawn(self, seed: int, turn: int, indices: np.ndarray) -> np.ndarray | None:
        return None

    def teacher_labels(self, indices: np.ndarray, draws: np.ndarray) -> np.ndarray | None:
        return None

    def teacher_view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        return raw, None


class Source(Protocol):
    """N training samples.

    keys: N names for messages. labels: (N,) int64 in [0, K). names: K class names.
    draws: uniform numbers that a sample's random view takes; the loop draws them for the whole batch from
    (seed, step) and hands each rank its rows, so a view never depends on the number of processes.
    paired: (N,) bool, False where a sample has no teacher input; None where all have one, or none is asked for.
    device: where `student` puts its result: "cpu", or the device that the data is resident on.
    """

    @property
    def keys(self) -> Sequence[str]: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def draws(self) -> int: ...

    @property
    def paired(self) -> np.ndarray | None: ...

    @property
    def device(self) -> str: ...

    def student(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        """The student's raw input of samples (B,) int64, draws (B, draws); called in the background."""
        ...

    def teacher(self, indices: np.ndarray, draws: np.ndarray) -> Tensor | None:
        """Cached teacher embeddings (B, D), zero for unpaired samples, or the raw input of a teacher that runs online.

        None without a teacher; called in the background.
        """
        ...

    def drawn(self, seed: int, turn: int, indices: np.ndarray) -> np.ndarray | None:
        """Draws (B, draws) that follow from seed, pass and sample alone; None lets the loop draw by (seed, step)."""
        ...

    def teacher_labels(self, indices: np.ndarray, draws: np.ndarray) -> np.ndarray | None:
        """Classes of the rows of the teacher's Output where those are other samples than the student's; else None."""
        ...

    def teacher_view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        """An online teacher's input and its strong view, on the device, under the same draws as the student's.

        The raw input itself, and None, where the teacher sees it as it is.
        """
        ...

    def view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        """The network's input and a strong view, on the device, from raw (B, ...) and draws (B, draws) float32.

        The strong view is None unless the source was built to give one.
        """
        ...
