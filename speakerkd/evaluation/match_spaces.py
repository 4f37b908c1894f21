"""The spaces that `match-test` compares voices and faces in: the model's own, centred, or through a fitted map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.sampler import evenly_spaced
from speakerkd.errors import InputError
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.linear_map import LinearMap, fit_linear_map
from speakerkd.evaluation.match_test_set import TestSet, open_test_set
from speakerkd.evaluation.protocol import Protocol, vectors

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel

CENTRE_VOICES = 500  # recordings that a directory's mean voice is taken from, evenly spaced
FIT_VOICES = 5000  # recordings at most that the map from voices to faces is fitted on, evenly spaced


def embed_voices(
    package: TrainedModel,
    tests: TestSet,
    used: NDArray,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Voices (M, D) of length 1, of the used rows; the others stay 0."""
    embedded = embed(package, tests.recordings, protocol, places=used.tolist(), progress=progress)
    values = vectors(protocol if protocol.name != "crops" else Protocol(name="mean"), embedded.values)
    result = np.zeros((len(tests.recordings.keys), values.shape[1]), np.float32)
    result[used] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return result


def mean_voice_and_face(
    directory: Path, package: TrainedModel, protocol: Protocol
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean voice and mean face (D,) of a data directory, over vectors of length 1."""
    known = open_test_set(directory, package)
    used = evenly_spaced(len(known.recordings.keys), CENTRE_VOICES)
    return embed_voices(package, known, used, protocol)[used].mean(0), known.faces.mean(0)


def fitted_map(directory: Path, package: TrainedModel, tests: TestSet, protocol: Protocol) -> LinearMap:
    """The map fitted on a directory's recordings that have a face; refused where it shares people with the test."""
    training = open_test_set(directory, package, same_session=True)
    both = sorted(set(training.people) & set(tests.people))
    if both:
        what = f"{len(both)} people are in both ({both[0]})"
        raise InputError(what, f"--fit {directory}", "fit on people that are not in the test")

    # only recordings with a face say where a voice should go
    row, keys = training.face_of(), training.recordings.keys
    paired = [voice for voice, key in enumerate(keys) if key in row and training.voices.identity[voice] >= 0]
    used = np.array(paired, np.int64)[evenly_spaced(len(paired), FIT_VOICES)]
    faces = training.stored[[row[keys[voice]] for voice in used.tolist()]]
    voices = embed_voices(package, training, used, protocol)[used]
    return fit_linear_map(voices, faces / np.linalg.norm(faces, axis=1, keepdims=True), training.voices.identity[used])
