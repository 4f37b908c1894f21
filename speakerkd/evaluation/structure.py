"""The dimensional structure of networks' features (second paper, section 3.1), which its method wants to better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from speakerkd.data.images import ImageSet
from speakerkd.evaluation.images import image_view, model_labels
from speakerkd.frontend.images import network_input
from speakerkd.models.trained_model import TrainedModel

BLOCK = 256  # pictures at once


@dataclass(frozen=True, slots=True)
class Structure:
    """Features of N pictures and what is told of them.

    embedding: (N, D) output features. intermediate: (N, C) means over the positions of the first block's map.
    label: (N,) int64. similarity: (D, D) cosines between the dimensions of `embedding`.
    figures: off_diagonal, mean |cosine| of two dimensions; off_diagonal_centred, the same of their correlation;
    uniformity and uniformity_intermediate, log mean exp(-2 |u - v|^2) of two unit features, 0 where all are one.
    """

    embedding: NDArray[np.float64]
    intermediate: NDArray[np.float64]
    label: NDArray[np.int64]
    similarity: NDArray[np.float64]
    figures: dict[str, float]


def dimension_similarity(features: NDArray, centre: bool = False) -> NDArray[np.float64]:
    """Cosines (D, D) between the columns of features (N, D); a column of zeros is like none, itself included."""
    columns = np.asarray(features, np.float64)
    columns = columns - columns.mean(0) if centre else columns
    length = np.linalg.norm(columns, axis=0)
    columns = np.divide(columns, length, out=np.zeros_like(columns), where=length > 1e-12)
    return columns.T @ columns


def mean_off_diagonal(matrix: NDArray) -> float:
    """Mean absolute value off the diagonal of (D, D), D >= 2."""
    size = len(matrix)
    return float((np.abs(matrix).sum() - np.abs(np.diagonal(matrix)).sum()) / (size * (size - 1)))


def uniformity(features: NDArray, t: float = 2.0) -> float:
    """log mean over pairs i != j of exp(-t |u_i - u_j|^2), u the rows (N, D) at length 1 (Wang and Isola 2020)."""
    rows = np.asarray(features, np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    square = np.clip(2 - 2 * (rows @ rows.T), 0, None)
    pairs = square[np.triu_indices(len(rows), 1)]
    return float(np.log(np.exp(-t * pairs).mean()))


def drawn_rows(count: int, most: int) -> NDArray[np.int64]:
    """Positions, ascending, of at most so many of `count` pictures: the same draw for the same numbers."""
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def structure_of(package: TrainedModel, pictures: ImageSet, rows: NDArray[np.int64]) -> Structure:
    """The structure of a model's features of some pictures, as it sees them (damaged, where it was trained so).

    Parameters
    ----------
    package: an image classifier.
    pictures: a split, of which `rows` (n,) int are looked at.

    Raises
    ------
    InputError: for a model of another task, and for a class that it does not know.
    """
    label = model_labels(package, pictures)[rows]
    view = image_view(package)
    embeddings, intermediate = [], []
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        raw = torch.from_numpy(pictures.read(part)).to(package.device)
        output = package.outputs(network_input(raw, view, [pictures.keys[i] for i in part]), maps=True)
        first = output.maps[int(getattr(package.settings, "stem_map", False))]
        embeddings.append(output.embedding.double().cpu())
        intermediate.append(first.double().mean((2, 3)).cpu())
    embedding, between = torch.cat(embeddings).numpy(), torch.cat(intermediate).numpy()
    similarity = dimension_similarity(embedding)
    figures = {
        "off_diagonal": mean_off_diagonal(similarity),
        "off_diagonal_centred": mean_off_diagonal(dimension_similarity(embedding, centre=True)),
        "uniformity": uniformity(embedding),
        "uniformity_intermediate": uniformity(between),
    }
    return Structure(embedding, between, label, similarity, figures)
