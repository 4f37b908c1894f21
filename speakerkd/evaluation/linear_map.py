"""A linear map from voices to faces, fitted on training people: what of a face a network's embeddings tell.

It asks the same of every network, of one that no face taught too, whose own cosines with faces mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError

FOLDS = 5  # of the training people, to choose the penalty
PENALTIES = np.geomspace(1e-4, 1e3, 15)  # times the mean square of a voice's numbers, for every recording
FEWEST = FOLDS  # people


@dataclass(frozen=True, slots=True)
class LinearMap:
    """face - mean face = (voice - mean voice) @ weight, by ridge regression.

    weight: (D, E). voice, face: means (D,) and (E,). penalty: as `PENALTIES`. people: how many it was fitted on.
    """

    weight: NDArray[np.float64]
    voice: NDArray[np.float64]
    face: NDArray[np.float64]
    penalty: float
    people: int

    def voices(self, values: NDArray) -> NDArray[np.float32]:
        """What voices (n, D) of length 1 tell of their faces: (n, E) of length 1."""
        return _unit((values - self.voice) @ self.weight)

    def faces(self, values: NDArray) -> NDArray[np.float32]:
        """Faces (n, E) of length 1 about the training people's mean: (n, E) of length 1."""
        return _unit(values - self.face)


def fit_linear_map(voices: NDArray, faces: NDArray, people: NDArray) -> LinearMap:
    """Fit the map from voices to faces by ridge regression.

    The penalty is the one whose maps, fitted without a fifth of the people, point best at these people's faces (mean
    cosine about the mean face).

    Parameters
    ----------
    voices: (n, D) of length 1.
    faces: (n, E) of length 1, of the same recordings.
    people: (n,), the speakers.

    Raises
    ------
    InputError: for fewer than 5 people.
    """
    known, number = np.unique(people, return_inverse=True)
    if len(known) < FEWEST:
        raise InputError(f"{len(known)} people with voice and face", "--fit", f"give {FEWEST} or more")
    fold = np.random.default_rng(0).permutation(len(known))[number] % FOLDS
    cosines = np.zeros(len(PENALTIES))
    for left in range(FOLDS):
        mine, others = fold == left, fold != left
        fitted = _maps(voices[others], faces[others])
        target = _unit(faces[mine] - fitted[2])
        for index, weight in enumerate(fitted[0]):
            cosines[index] += (_unit((voices[mine] - fitted[1]) @ weight) * target).sum()
    best = int(cosines.argmax())
    weights, voice, face = _maps(voices, faces, PENALTIES[best : best + 1])
    return LinearMap(weights[0], voice, face, float(PENALTIES[best]), len(known))


def _maps(voices: NDArray, faces: NDArray, penalties: NDArray = PENALTIES) -> tuple[list[NDArray], NDArray, NDArray]:
    """The weights at each penalty, mean voice and mean face."""
    voice, face = voices.mean(0, dtype=np.float64), faces.mean(0, dtype=np.float64)
    x, y = voices - voice, faces - face
    values, vectors = np.linalg.eigh(x.T @ x)
    turned = vectors.T @ (x.T @ y)
    scale = max(values.mean(), np.finfo(np.float64).tiny)
    return [vectors @ (turned / (values + penalty * scale)[:, None]) for penalty in penalties], voice, face


def _unit(values: NDArray) -> NDArray[np.float32]:
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.maximum(length, np.finfo(np.float32).tiny)).astype(np.float32)
