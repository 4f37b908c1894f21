"""What is compared in a trial, under a name that every score file carries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from speakerkd.config import Settings, parse
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings
from speakerkd.evaluation.score import mean_crops, score_cosine, score_crops
from speakerkd.evaluation.settings import ProtocolName

SHORTEST = 100  # frames; of a recording shorter than this the frames are repeated


class Protocol(Settings):
    """How a recording becomes embeddings, and two recordings' embeddings a score."""

    name: ProtocolName = Field(
        "crops", description="crops: mean distance of crops; whole: one embedding; mean: of the crops"
    )
    crops: int = Field(10, ge=1, le=1000, description="crops a recording, evenly spaced over its frames")
    frames: int = Field(400, ge=10, le=100_000, description="frames a crop; shorter recordings are repeated to fill it")

    @property
    def kind(self) -> str:
        """The scores' scale: `distance` (minus a distance) or `cosine`."""
        return "distance" if self.name == "crops" else "cosine"

    def starts(self, frames: int) -> NDArray[np.int64]:
        """First frames (crops,) of the crops of a recording of so many frames; all 0 where it is no longer than one."""
        return np.linspace(0, max(0, frames - self.frames), self.crops).astype(np.int64)

    def __str__(self) -> str:
        if self.name == "whole":
            return "whole (one embedding a recording, cosine)"
        pieces = f"{self.crops} crops of {self.frames} frames"
        if self.name == "mean":
            return f"mean ({pieces}, cosine of their L2-normalised embeddings' means)"
        return (
            f"crops ({pieces}, minus the mean of all {self.crops**2} Euclidean distances of L2-normalised embeddings)"
        )


def protocol_of(embeddings: Embeddings, wanted: ProtocolName | None, where: object) -> Protocol:
    """The protocol that a file of embeddings can be scored by: the wanted one, else its own, else what its shape says.

    Raises InputError where `crops` or `mean` is wanted of single vectors, or `whole` of crops.
    """
    crops = embeddings.values.shape[1] if embeddings.values.ndim == 3 else None
    name = wanted or ("crops" if crops else "whole")
    if (name == "whole") != (crops is None):
        has = f"matrices of {crops} crops" if crops else "one vector a recording"
        fix = "use --protocol crops or mean" if crops else "use --protocol whole, or embed with --protocol crops"
        raise InputError(f"protocol {name}, but these embeddings are {has}", where, fix)
    own = embeddings.origin.get("frames")
    return parse(Protocol, {"name": name, "crops": crops or 1, **({"frames": own} if own else {})}, where)


def vectors(protocol: Protocol, values: NDArray) -> NDArray:
    """What is compared: crops (N, C, D) as they are, or one vector a recording (N, D)."""
    return mean_crops(values) if protocol.name == "mean" and values.ndim == 3 else values


def scores(protocol: Protocol, enrol: NDArray, test: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Scores (n,) of trials between two tables that `vectors` returned; higher is more alike.

    Parameters
    ----------
    enrol, test: (N, D) and (M, D), or with protocol `crops` (N, C, D) and (M, C, D).
    rows, columns: (n,) int, of each trial the row of its enrolment and of its test.
    """
    compare = score_crops if protocol.name == "crops" else score_cosine
    return compare(enrol, test, rows, columns)
