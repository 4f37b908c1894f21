"""How well a face teacher tells a data directory's people apart: the EER of its embeddings, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.archive import read_shared_vectors
from speakerkd.data.datadir import read_table
from speakerkd.evaluation import metrics


@dataclass(frozen=True, slots=True)
class FaceEer:
    """EER in percent over some trials between the faces of people; each face is of another session."""

    eer_percent: float
    targets: int
    nontargets: int
    faces: int
    people: int

    def __str__(self) -> str:
        trials = f"{self.targets:,} target and {self.nontargets:,} non-target trials"
        between = f"between {self.faces:,} faces of {self.people:,} people"
        return f"EER of its faces {self.eer_percent:.2f} % ({trials} {between})"


def face_eer(directory: Path | str, archive: str = "teacher.scp", count: int = 40_000, seed: int = 0) -> FaceEer | None:
    """The EER by cosine over the stored embeddings of a directory, half of the trials targets.

    Every distinct embedding is a face. Targets pair two faces of one person, and so two sessions. The first paper
    states .64 % for IR-50 and 11.91 % for its weak teacher, without saying on which faces.

    Parameters
    ----------
    directory: a data directory with a teacher's embeddings.
    archive: their index in it.
    count: of trials, at most.

    Returns
    -------
    EER and the number of trials; None where no trial of either kind can be drawn: one person, or one face a person.
    """
    directory = Path(directory)
    keys, vectors, row = read_shared_vectors(directory / archive)
    speaker = read_table(directory / "utt2spk")
    person = np.full(len(vectors), -1, np.int64)
    names = {name: number for number, name in enumerate(sorted(set(speaker.values())))}
    for key, number in zip(keys, row.tolist(), strict=True):
        if key in speaker:
            person[number] = names[speaker[key]]
    usable = np.flatnonzero((person >= 0) & (np.linalg.norm(vectors, axis=1) > 0))
    vectors, person = vectors[usable], person[usable]
    order = np.argsort(person, kind="stable")
    vectors, person = vectors[order], person[order]
    _, first, many = np.unique(person, return_index=True, return_counts=True)
    if len(many) < 2 or many.max() < 2:
        return None
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = _targets(first, many, count // 2, seed), _nontargets(first, many, count - count // 2, seed)
    scores = np.concatenate([np.einsum("nd,nd->n", unit[a], unit[b]) for a, b in pairs])
    labels = np.repeat([1, 0], [len(pairs[0][0]), len(pairs[1][0])]).astype(np.int8)
    figure = 100 * metrics.eer(metrics.sort_scores(scores, labels))
    return FaceEer(float(figure), len(pairs[0][0]), len(pairs[1][0]), len(person), len(many))


def _targets(first: NDArray, many: NDArray, count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Two different faces of one person: all such pairs where they are few, else drawn, people alike."""
    able = np.flatnonzero(many > 1)
    if (many[able] * (many[able] - 1) // 2).sum() <= count:
        pairs = [np.triu_indices(n, 1) for n in many[able]]
        start = np.repeat(first[able], [len(a) for a, _ in pairs])
        return start + np.concatenate([a for a, _ in pairs]), start + np.concatenate([b for _, b in pairs])
    generator = np.random.default_rng([seed, 0])
    who = able[generator.integers(len(able), size=count)]
    one = (generator.random(count) * many[who]).astype(np.int64)
    other = (generator.random(count) * (many[who] - 1)).astype(np.int64)
    return first[who] + one, first[who] + other + (other >= one)


def _nontargets(first: NDArray, many: NDArray, count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Faces of two different people: all such pairs where they are few, else drawn, people alike."""
    if (many.sum() ** 2 - (many**2).sum()) // 2 <= count:
        person = np.repeat(np.arange(len(many)), many)  # faces stand in their people's order
        a, b = np.triu_indices(len(person), 1)
        return a[person[a] != person[b]], b[person[a] != person[b]]
    generator = np.random.default_rng([seed, 1])
    one = generator.integers(len(many), size=count)
    other = generator.integers(len(many) - 1, size=count)
    other += other >= one
    a, b = (first[who] + (generator.random(count) * many[who]).astype(np.int64) for who in (one, other))
    return a, b
