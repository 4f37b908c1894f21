"""Pictures of dimensional structure: matrices of similarity between dimensions, and where intermediate features lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speakerkd.report.tables import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
COLUMNS = (
    Column("off_diagonal", "|cosine| of dimensions", 3),
    Column("off_diagonal_centred", "|correlation|", 3),
    Column("uniformity", "uniformity, output", 3),
    Column("uniformity_intermediate", "first block", 3),
)


def similarity_matrices(matrices: Mapping[str, NDArray], path: Path) -> Path:
    """One square a network, |cosine| of every two dimensions from white (0) to dark (1) (second paper, Fig. 2a, b).

    Dimensions are sorted by how much they are like the others, so that squares of different networks compare.
    """
    figure, axes = _squares(len(matrices))
    for place, (name, matrix) in zip(axes, matrices.items(), strict=True):
        size = np.abs(matrix)
        order = np.argsort(-size.mean(0))
        shown = place.imshow(size[np.ix_(order, order)], vmin=0, vmax=1, cmap="magma_r", interpolation="nearest")
        off = (size.sum() - np.trace(size)) / (len(size) * (len(size) - 1))
        place.set_title(f"{name}\n{len(size)} dimensions, mean off the diagonal {off:.3f}", fontsize=9)
    figure.colorbar(shown, ax=list(axes), shrink=0.8)
    return _saved(figure, path)


def feature_maps(features: Mapping[str, NDArray], label: NDArray, path: Path, seed: int = 0) -> Path:
    """t-SNE of intermediate features (N, C) of each network, a colour a class (second paper, Fig. 2c, d)."""
    from sklearn.manifold import TSNE

    figure, axes = _squares(len(features))
    for place, (name, values) in zip(axes, features.items(), strict=True):
        unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        perplexity = float(min(30, max(2, len(unit) // 4)))
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)
        place.scatter(points[:, 0], points[:, 1], c=label, cmap="tab20", s=6, linewidths=0)
        place.set_title(name, fontsize=9)
    return _saved(figure, path)


def _squares(count: int) -> tuple[Figure, list[Axes]]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(count, 4)
    lines = -(-count // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(3.4 * columns, 3.6 * lines), layout="constrained", squeeze=False
    )
    flat = list(axes.flat)
    for place in flat:
        place.set(xticks=[], yticks=[])
    for place in flat[count:]:
        place.axis("off")
    return figure, flat[:count]


def _saved(figure: Figure, path: Path) -> Path:
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
