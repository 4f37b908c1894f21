"""Score files of the FAME challenge: the distance of voice and face in every line of a test list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speakerkd.corpora.mavceleb import PAIRS
from speakerkd.data.text import fields_of, numbered_lines
from speakerkd.data.vectors import read_shared_vectors
from speakerkd.errors import InputError
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.metrics import eer, sort_scores
from speakerkd.evaluation.model import fbank_settings
from speakerkd.evaluation.protocol import Protocol, vectors
from speakerkd.evaluation.recordings import ArchivedRecordings
from speakerkd.models.trained_model import TrainedModel
from speakerkd.work.files import whole_file


@dataclass(frozen=True, slots=True)
class FameScores:
    """A written score file. filled: keys that lack a voice or a face and have the median. eer: in %, with labels."""

    path: Path
    lines: int
    filled: list[str]
    eer: float | None


def write_fame_scores(
    directory: Path | str, package: TrainedModel, out: Path | str, labels: Path | str | None = None
) -> FameScores:
    """Write `KEY DISTANCE` for every line of DIR/fame_pairs, in its order; the smaller, the likelier one person.

    The distance is Euclidean between the voice's and the projected face's embedding, both of length 1.

    Parameters
    ----------
    directory: a data directory with features, teacher embeddings and `fame_pairs`.
    package: the model, which a face network taught.
    out: the file to write.
    labels: a file of `KEY 0|1`, 1 for one person, which the challenge keeps to itself.

    Raises
    ------
    InputError: where one of them is missing, or the labels do not name the same keys.
    """
    directory, out = Path(directory), Path(out)
    keys = [
        fields_of(line)[0] for _, line in numbered_lines(directory / PAIRS, "list", "run `speakerkd prepare mavceleb`")
    ]
    known, faces, row = read_shared_vectors(directory / "teacher.scp")
    recordings = ArchivedRecordings(directory / "feats.scp", fbank_settings(package))
    protocol = Protocol(name="mean")
    heard = embed(package, recordings, protocol, refuse=lambda key, error: None)
    voice = dict(zip(heard.keys, _unit(vectors(protocol, heard.values)), strict=True))
    import torch

    projected = package.project(torch.from_numpy(faces)).cpu().numpy()
    face = {key: projected[index] for key, index in zip(known, row.tolist(), strict=True)}
    there = [key for key in keys if key in voice and key in face]
    if not there:
        raise InputError(
            "no line has both voice and face", directory, "run `speakerkd fbank`, `faces`, `embed-teacher`"
        )
    distance = {key: float(np.linalg.norm(voice[key] - face[key])) for key in there}
    median = float(np.median(list(distance.values())))
    filled = [key for key in keys if key not in distance]
    with whole_file(out) as stream:
        stream.writelines(f"{key} {distance.get(key, median):.6f}\n" for key in keys)
    return FameScores(out, len(keys), filled, None if labels is None else _eer(out, labels))


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _eer(scores: Path, labels: Path | str) -> float:
    labelled = _pairs(labels)
    scored = _pairs(scores)
    if labelled.keys() != scored.keys():
        missing = len(scored.keys() - labelled.keys())
        raise InputError(f"{missing} of {len(scored)} keys have no label", labels, "give the labels of this list")
    target = np.array([labelled[key] == "1" for key in scored])
    return 100 * eer(sort_scores(-np.array([float(value) for value in scored.values()]), target))


def _pairs(path: Path | str) -> dict[str, str]:
    rows = {}
    for number, line in numbered_lines(path, "list"):
        fields = fields_of(line)
        if len(fields) != 2:
            raise InputError(f"{len(fields)} fields", f"{path}:{number}", "a line is `KEY VALUE`")
        rows[fields[0]] = fields[1]
    return rows
