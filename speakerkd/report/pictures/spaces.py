"""Where two modalities lie: t-SNE of faces, projected faces and voices (the first paper's Fig. 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.report.pictures.canvas import INK, SERIES, Picture, draw, save

MOST = 400  # points a group: more hide each other, and t-SNE takes a second for each thousand
MARKERS = {"m": "^", "f": "o", "": "o"}
WORDS = {"m": "male", "f": "female", "": ""}


def embedding_map(
    groups: Mapping[str, NDArray], path: Path, caption: str, genders: Sequence[str] | None = None, seed: int = 0
) -> Picture:
    """t-SNE of unit vectors; a colour a group, a shape a gender.

    groups: {name: (N, D)}, row i of each the same utterance. genders: N of m, f or "".
    """
    from matplotlib.lines import Line2D
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count = len(next(iter(groups.values())))
    rows = np.sort(np.random.default_rng(seed).permutation(count)[:MOST])
    gender = np.array(list(genders) if genders is not None else [""] * count)[rows]
    dim = max(vectors.shape[1] for vectors in groups.values())
    padded = [np.pad(_unit(vectors[rows]), ((0, 0), (0, dim - vectors.shape[1]))) for vectors in groups.values()]
    stacked = np.concatenate(padded)
    start = PCA(min(30, *stacked.shape), random_state=seed).fit_transform(stacked)
    perplexity = float(min(30, max(2, len(stacked) // 4)))
    with threadpool_limits(1):  # threads only wait for each other over so few points
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(start)

    figure, (axes,) = draw(5.4, 4.4)
    colours = (SERIES[1], SERIES[2], SERIES[0], SERIES[3])
    handles = []
    for position, name in enumerate(groups):
        part = points[position * len(rows) : (position + 1) * len(rows)]
        colour = colours[position % len(colours)]
        for kind in np.unique(gender):
            at = gender == kind
            axes.scatter(
                part[at, 0], part[at, 1], s=22, marker=MARKERS.get(kind, "o"), color=colour, alpha=0.75, linewidths=0
            )
        handles.append(Line2D([], [], color=colour, marker="o", linestyle="", label=name))
    for kind in np.unique(gender):
        if WORDS.get(kind):
            handles.append(
                Line2D([], [], color=INK, marker=MARKERS[kind], linestyle="", fillstyle="none", label=WORDS[kind])
            )
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("t-SNE, first axis (no unit)")
    axes.set_ylabel("t-SNE, second axis")
    axes.legend(handles=handles, frameon=False, labelcolor=INK, fontsize=9)
    return save(figure, path, caption)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
