"""Pictures of results: DET curves, learning curves, the map of the two embedding spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

FEW = 8  # curves whose names fit into a picture; those of more stand beside it
DET_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def _canvas(width: float, height: float):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(figure, path: Path) -> Path:
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def _plot_canvas(width: float, height: float, curves: int):
    """A canvas for named curves, larger for many, whose colours come again with another dash after ten."""
    from cycler import cycler
    from matplotlib import colormaps

    figure, axes = _canvas(width, height) if curves <= FEW else _canvas(width + 1.8, max(height, 0.3 + 0.18 * curves))
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * cycler(color=colormaps["tab10"].colors))
    return figure, axes


def _name_curves(figure, axes, curves: int) -> None:
    if curves <= FEW:
        axes.legend(frameon=False)
    else:
        figure.legend(frameon=False, loc="outside right upper", fontsize="small")


def det_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path, title: str = "") -> Path:
    """Detection error trade-off on normal-deviate axes. curves: {system: (false-accept rates, false-reject rates)}."""
    figure, axes = _plot_canvas(5.2, 4.8, len(curves))
    for label, (accept, reject) in curves.items():
        inside = (accept > 0) & (accept < 1) & (reject > 0) & (reject < 1)
        axes.plot(norm.ppf(accept[inside]), norm.ppf(reject[inside]), label=label, linewidth=1.6)
    low, high = norm.ppf(DET_TICKS[0]), norm.ppf(0.55)
    axes.plot([low, high], [low, high], color="grey", linewidth=0.8, linestyle=":")
    for setter in (axes.set_xticks, axes.set_yticks):
        setter(norm.ppf(DET_TICKS), [f"{100 * t:g}" for t in DET_TICKS])
    axes.set(xlim=(low, high), ylim=(low, high), title=title)
    axes.set_xlabel("false accepts, %")
    axes.set_ylabel("false rejects, %")
    _name_curves(figure, axes, len(curves))
    return _save(figure, path)


def learning_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    path: Path,
    ylabel: str = "EER, %",
    accuracy: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> Path:
    """A figure over training (the first paper's Fig. 6). curves: {system: [(epoch, value), ...]}.

    accuracy: likewise, in percent over the training samples, drawn dashed on an axis of its own.
    """
    figure, axes = _plot_canvas(5.2, 3.4, len(curves))
    colours = {}
    for label, points in curves.items():
        (line,) = axes.plot(*zip(*points, strict=True), label=label, marker="o", markersize=3, linewidth=1.6)
        colours[label] = line.get_color()
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.set_ylim(bottom=0)
    if accuracy:
        right = axes.twinx()
        for label, points in accuracy.items():
            right.plot(*zip(*points, strict=True), linestyle="--", linewidth=1.2, color=colours.get(label, "grey"))
        right.set_ylabel("training accuracy, % (dashed)")
        right.set_ylim(0, 100)
    _name_curves(figure, axes, len(curves))
    return _save(figure, path)


@dataclass(frozen=True, slots=True)
class Example:
    """A voice's name and the faces it chose from: (picture uint8 (H, W, 3), cosine) each, the right one first."""

    voice: str
    faces: Sequence[tuple[np.ndarray, float]]


def match_examples(examples: Sequence[Example], path: Path) -> Path:
    """Faces that voices were matched with (the first paper's Fig. 7): the right one framed green, cosines below.

    The right face stands left and right in turn; a chosen wrong one is framed red.
    """
    many = max(len(example.faces) for example in examples)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(
        len(examples), many, figsize=(1.7 * many, 2.0 * len(examples)), layout="constrained", squeeze=False
    )
    for number, (example, row) in enumerate(zip(examples, grid, strict=True)):
        chosen = int(np.argmax([cosine for _, cosine in example.faces]))
        order = list(range(len(example.faces)))
        order = order[number % many :] + order[: number % many]
        for place, axes in zip(order, row, strict=False):
            picture, cosine = example.faces[place]
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f"{cosine:+.2f}")
            colour = "tab:green" if place == 0 else "tab:red" if place == chosen else "lightgrey"
            for spine in axes.spines.values():
                spine.set(edgecolor=colour, linewidth=4)
        row[0].set_title(example.voice, fontsize="small", loc="left")
    return _save(figure, path)


def embedding_map(
    groups: Mapping[str, np.ndarray], path: Path, genders: Sequence[str] | None = None, seed: int = 0
) -> Path:
    """Where two modalities lie (the first paper's Fig. 8): t-SNE of unit vectors, one colour a group.

    groups: {name: (N, D)}, row i of each is the same utterance; genders: N of m or f, drawn dark and light.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    dim = max(v.shape[1] for v in groups.values())
    stacked = np.concatenate([np.pad(_unit(v), ((0, 0), (0, dim - v.shape[1]))) for v in groups.values()])
    start = PCA(min(30, *stacked.shape), random_state=seed).fit_transform(stacked)
    perplexity = float(min(30, max(2, len(stacked) // 4)))
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(start)
    figure, axes = _canvas(5.2, 4.4)
    count = len(next(iter(groups.values())))
    for i, (label, colour) in enumerate(zip(groups, ("tab:red", "tab:green", "tab:blue", "tab:orange"), strict=False)):
        part = points[i * count : (i + 1) * count]
        alpha = [0.95 if g == "m" else 0.4 for g in genders] if genders is not None else 0.7
        axes.scatter(part[:, 0], part[:, 1], s=14, color=colour, alpha=alpha, label=label, linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.legend(frameon=False)
    return _save(figure, path)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
