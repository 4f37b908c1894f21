"""A linear speaker classifier over cached teacher embeddings, which gives the methods that want them teacher logits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from speakerkd.data.archive import read_shared_vectors
from speakerkd.data.datadir import read_table
from speakerkd.errors import InputError
from speakerkd.work.origin import Stamp
from speakerkd.work.reading import check_file
from speakerkd.work.records import parse_json
from speakerkd.work.weights import write_tensors

DECAY = 1e-3  # of half the squared weights over standardised inputs
ROWS = 8192  # at a time: their logits over all speakers are held at once
STEPS = 200


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """A fitted classifier: its file, K speakers, M embeddings it was fitted to, and its accuracy on them in [0, 1]."""

    path: Path
    speakers: int
    embeddings: int
    accuracy: float


def fit_classifier(directory: Path | str, decay: float = DECAY, base: str = "teacher") -> FittedClassifier:
    """Fit a classifier of the speakers of `utt2spk` to `<base>.scp`; write `<base>_classifier.safetensors`.

    weight (K, D) and bias (K,) apply to embeddings as they are stored; row k is the k-th of the sorted speaker ids.
    Every distinct embedding counts once. Raises InputError where fewer than two speakers have one.
    """
    directory = Path(directory)
    path, scp = directory / f"{base}_classifier.safetensors", directory / f"{base}.scp"
    if not scp.is_file():
        raise InputError("no teacher embeddings", scp, "make them with `speakerkd embed-teacher`")
    keys, vectors, row = read_shared_vectors(scp)
    speaker = read_table(directory / "utt2spk")
    labels = sorted(set(speaker.values()))
    number = {name: k for k, name in enumerate(labels)}
    label = np.full(len(vectors), -1, np.int64)
    for key, row_of_key in zip(keys, row.tolist(), strict=True):
        if key not in speaker:
            raise InputError(
                f"'{key}' of {scp.name} has no speaker", directory / "utt2spk", "prepare the directory again"
            )
        mine = number[speaker[key]]
        if label[row_of_key] not in (-1, mine):
            names = f"{labels[label[row_of_key]]} and {labels[mine]}"
            raise InputError(f"{names} share a face", scp, "correct utt2spk or utt2session: a face is of one speaker")
        label[row_of_key] = mine
    if len(np.unique(label)) < 2:
        raise InputError("faces of fewer than two speakers", scp, "give more speakers")
    stamp = Stamp(path, [scp.with_suffix(".ark"), scp, directory / "utt2spk"], decay=decay)
    if not stamp.is_current():
        weight, bias = fit(vectors, label, len(labels), decay)
        _save(path, weight, bias, labels)
        stamp.write()
    classifier = load_classifier(path)
    return FittedClassifier(
        path, len(labels), len(vectors), accuracy(classifier.weight, classifier.bias, vectors, label)
    )


def fit(vectors: np.ndarray, label: np.ndarray, classes: int, decay: float = DECAY) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression: weight (K, D) and bias (K,) float32 for vectors (M, D) with labels (M,).

    The least of mean cross-entropy + decay / 2 * squared weights, over inputs standardised by their mean and deviation,
    which are then folded into weight and bias. Found by L-BFGS, so the result has no random part.
    """
    from torch.nn.functional import cross_entropy

    x = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    y = torch.from_numpy(label)
    mean, deviation = x.mean(0), x.std(0, correction=0).clamp(min=1e-6)
    x = (x - mean) / deviation
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=STEPS, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = decay / 2 * weight.square().sum()
        loss.backward()
        total = loss.detach()
        for rows, labels in zip(x.split(ROWS), y.split(ROWS), strict=True):
            part = cross_entropy(rows @ weight.T + bias, labels, reduction="sum") / len(x)
            part.backward()
            total = total + part.detach()
        return total

    optimiser.step(closure)
    with torch.no_grad():
        folded = weight / deviation
        return folded, bias - folded @ mean


def accuracy(weight: Tensor, bias: Tensor, vectors: np.ndarray, label: np.ndarray) -> float:
    """Share of vectors (M, D) whose greatest logit is that of their label (M,)."""
    x, y = torch.from_numpy(vectors), torch.from_numpy(label)
    with torch.no_grad():
        hits = [((a @ weight.T + bias).argmax(1) == b).sum() for a, b in zip(x.split(ROWS), y.split(ROWS), strict=True)]
    return float(sum(hits)) / len(x)


def _save(path: Path, weight: Tensor, bias: Tensor, labels: list[str]) -> None:
    write_tensors(path, {"weight": weight, "bias": bias}, {"labels": json.dumps(labels)})


class SpeakerClassifier(nn.Linear):
    """A frozen linear layer from embeddings (B, D) to scores (B, K); labels: its K speaker ids."""

    def __init__(self, weight: Tensor, bias: Tensor, labels: list[str]) -> None:
        super().__init__(weight.shape[1], weight.shape[0])
        self.labels = labels
        self.load_state_dict({"weight": weight, "bias": bias})
        self.requires_grad_(False).eval()


def load_classifier(path: Path | str) -> SpeakerClassifier:
    """The classifier that `fit_classifier` wrote; raises InputError for a file that is absent, damaged or another's."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    fix = "make it with `speakerkd embed-teacher --classifier`"
    check_file(path, "teacher classifier", fix)
    try:
        with safe_open(path, "pt") as stored:
            weight, bias = stored.get_tensor("weight"), stored.get_tensor("bias")
            labels = parse_json((stored.metadata() or {})["labels"], list[str], path, fix)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError("not a teacher classifier, or a damaged one", path, fix) from error
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or len(labels) != len(bias):
        raise InputError("a teacher classifier whose parts do not fit", path, fix)
    return SpeakerClassifier(weight, bias, labels)
