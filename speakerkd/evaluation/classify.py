"""Figures of an image classifier that was taught by text: accuracy, calibration, matching and retrieval."""

from __future__ import annotations

import numpy as np

from speakerkd.errors import InputError


def top_k(logits: np.ndarray, label: np.ndarray, k: int = 1) -> float:
    """Percentage of samples whose label is among the k largest logits; of equal logits the wrong class counts first.

    Parameters
    ----------
    logits: (N, K).
    label: (N,) in [0, K).

    >>> top_k(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 1]))
    50.0
    >>> top_k(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 1]), k=2)
    100.0
    """
    own = np.take_along_axis(logits, label[:, None], 1)
    ahead = (logits >= own).sum(1) - 1
    return 100 * float((ahead < k).mean())


def weighted_f1(label: np.ndarray, prediction: np.ndarray) -> float:
    """F1 a class, weighted by the class's share of the labels, in [0, 1] (scikit-learn's)."""
    from sklearn.metrics import f1_score

    return float(f1_score(label, prediction, average="weighted", zero_division=0))


def macro_f1(label: np.ndarray, prediction: np.ndarray) -> float:
    """Mean F1 over the classes, in [0, 1] (scikit-learn's)."""
    from sklearn.metrics import f1_score

    return float(f1_score(label, prediction, average="macro", zero_division=0))


def calibration_error(probability: np.ndarray, label: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, Eq. 3): |accuracy - confidence| of bins, weighted by their share.

    Parameters
    ----------
    probability: (N, K), rows summing to 1.
    label: (N,) in [0, K).
    bins: of confidence over [0, 1].

    Returns
    -------
    In percent.

    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))  # three of four right, as it says
    0.0
    """
    confidence = probability.max(1)
    right = probability.argmax(1) == label
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    gap = np.abs(np.bincount(bin_of, right, bins) - np.bincount(bin_of, confidence, bins))
    return 100 * float(gap.sum() / count.sum())


def class_texts(embeddings: np.ndarray) -> np.ndarray:
    """One unit vector a class from its prompts: the mean of the unit vectors. (K, P, D) to (K, D)."""
    return unit(unit(embeddings).mean(1))


def text_similarity(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Cosine of every picture with every class's text: (N, D), (K, D) to (N, K).

    Raises InputError where the two live in spaces of different size.
    """
    if images.shape[1] != texts.shape[1]:
        raise InputError(
            f"pictures have {images.shape[1]} dimensions and texts {texts.shape[1]}",
            "matching",
            "match with a model whose objective brings the two into one space",
        )
    return unit(images) @ unit(texts).T


def retrieval(similarity: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Pictures found by a class's text.

    Parameters
    ----------
    similarity: (N, K) of N pictures and K texts.
    label: (N,) in [0, K); classes without a picture are left out.

    Returns
    -------
    Mean average precision and precision of the first, in percent.
    """
    from sklearn.metrics import average_precision_score

    there = np.unique(label)
    precision = [average_precision_score(label == k, similarity[:, k]) for k in there]
    first = similarity[:, there].argmax(0)
    return {
        "text_to_image_map": 100 * float(np.mean(precision)),
        "text_to_image_top1": 100 * float((label[first] == there).mean()),
    }


def classification_figures(logits: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """top1, top5 (from 6 classes on), weighted F1 and calibration error, all in percent."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    figures = {"top1": top_k(logits, label)}
    if logits.shape[1] > 5:
        figures["top5"] = top_k(logits, label, 5)
    figures["f1_weighted"] = 100 * weighted_f1(label, logits.argmax(1))
    figures["ece"] = calibration_error(shifted / shifted.sum(1, keepdims=True), label)
    return figures


def matching_figures(images: np.ndarray, texts: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Image-to-text matching among all classes (top 1 and 5) and text-to-image retrieval, beside chance.

    Parameters
    ----------
    images: (N, D) student embeddings.
    texts: (K, P, D), the teacher's, as the student was taught them.
    label: (N,) in [0, K).

    Returns
    -------
    {figure: value in percent}.
    """
    similarity = text_similarity(images, class_texts(texts))
    figures = {"image_to_text_top1": top_k(similarity, label)}
    if len(texts) > 5:
        figures["image_to_text_top5"] = top_k(similarity, label, 5)
    return {**figures, **retrieval(similarity, label), "chance": 100 / len(texts)}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
