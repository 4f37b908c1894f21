"""What a model says when it is asked: a verdict on two recordings, and options by their likeness to a probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two recordings are of one speaker.

    score: minus the mean distance of their crops, in [-2, 0], or the cosine of a model scored whole, in [-1, 1]. same:
    None where no threshold is known. threshold: at or above it scores are of one speaker; source: where it comes from.
    probability: of one speaker, at even odds before hearing them, where the model is calibrated; else None.
    """

    score: float
    same: bool | None
    threshold: float | None
    source: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An option of a match and its cosine with the probe; path: its name, place: where it stood among the options."""

    path: str
    similarity: float
    place: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """Options by falling similarity, and the name of the first of them, or None where it ties with the next."""

    probe: str
    candidates: list[Candidate]

    @property
    def chosen(self) -> str | None:
        first, *rest = self.candidates
        return None if rest and rest[0].similarity == first.similarity else first.path


def ranked(probe: object, one: NDArray[Any], options: Sequence[object], many: NDArray[Any]) -> Match:
    """Options with embeddings (N, D) by falling cosine with a probe's (1, D)."""
    cosines = (many @ one[0]).tolist()
    rows = [
        Candidate(name_of(option, position), cosines[position], position) for position, option in enumerate(options)
    ]
    return Match(name_of(probe, 0), sorted(rows, key=lambda row: -row.similarity))


def name_of(item: object, position: int) -> str:
    """A path as it is, an open file by its name, anything else by its number."""
    if isinstance(item, str | Path):
        return str(item)
    named = getattr(item, "name", None)
    return named if isinstance(named, str) else f"number {position + 1}"
