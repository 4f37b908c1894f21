"""Pictures of dimensional structure: matrices of similarity between dimensions, and where intermediate features lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speakerkd.report.tables import Column, shared_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
MOST_COLOURS = 20  # classes that can be told apart by colour
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
    figure, squares = _squares(len(matrices))
    for square, name, matrix in zip(squares, _titles(list(matrices)), matrices.values(), strict=True):
        size = np.abs(matrix)
        order = np.argsort(-size.mean(0))
        shown = square.imshow(size[np.ix_(order, order)], vmin=0, vmax=1, cmap="magma_r", interpolation="nearest")
        off = (size.sum() - np.trace(size)) / (len(size) * (len(size) - 1))
        square.set_title(f"{name}\n{len(size)} dimensions, mean off the diagonal {off:.3f}", fontsize=9)
    figure.colorbar(shown, ax=list(squares), shrink=0.8, label="|cosine| of two output dimensions")
    return _saved(figure, path)


def feature_maps(
    features: Mapping[str, NDArray], label: NDArray, classes: Sequence[str], path: Path, seed: int = 0
) -> Path:
    """t-SNE of intermediate features (N, C) of each network, a colour a class (second paper, Fig. 2c, d).

    label: (N,) classes of the pictures, positions in `classes`; up to twenty get a legend and colours of their own.
    """
    from sklearn.manifold import TSNE

    most = max(1, len(classes) - 1)
    colours = "tab10" if len(classes) <= 10 else "tab20"
    figure, squares = _squares(len(features))
    for square, name, values in zip(squares, _titles(list(features)), features.values(), strict=True):
        unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        perplexity = float(min(30, max(2, len(unit) // 4)))
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)
        dots = square.scatter(points[:, 0], points[:, 1], c=label, cmap=colours, vmin=0, vmax=most, s=6, linewidths=0)
        square.set_title(name, fontsize=9)
    if len(classes) <= MOST_COLOURS:
        handles = dots.legend_elements(num=list(range(len(classes))))[0]
        figure.legend(handles, list(classes), loc="outside lower center", ncols=10, fontsize=8, frameon=False)
    return _saved(figure, path)


def _titles(names: Sequence[str]) -> list[str]:
    """Names of networks without what all begin with, broken where they are wider than their square."""
    shared = shared_prefix(names)
    return ["\n".join(wrap(name[shared:].replace("-", "- "), 40)).replace("- ", "-") for name in names]


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
    for square in flat:
        square.set(xticks=[], yticks=[])
    for square in flat[count:]:
        square.axis("off")
    return figure, flat[:count]


def _saved(figure: Figure, path: Path) -> Path:
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
