"""What the report shows of a test set: the two modalities' embeddings, and the first questions as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.datadir import read_table
from speakerkd.data.sampler import evenly_spaced
from speakerkd.errors import InputError
from speakerkd.evaluation.match import Draws
from speakerkd.evaluation.match_test_set import TestSet
from speakerkd.work.files import whole_file

EXAMPLES = 6  # questions of the picture of examples
MAPPED = 400  # pairs of a voice and a face at most that the report's map shows


def save_spaces(path: Path, tests: TestSet, voices: NDArray[np.float32], used: NDArray) -> None:
    """Embeddings of utterances with a voice and a face, row by row, evenly over the people; npz."""
    face_of, keys = tests.face_of(), tests.recordings.keys
    paired = [voice for voice in used.tolist() if keys[voice] in face_of]
    paired = [paired[i] for i in evenly_spaced(len(paired), MAPPED)]
    shown = [face_of[keys[voice]] for voice in paired]
    parts = {"face": tests.stored[shown], "face projected": tests.faces[shown], "voice": voices[paired]}
    if (tests.gender != "").any():
        parts["gender"] = tests.gender[tests.voices.identity[paired]].astype(str)
    with whole_file(path, "wb") as stream:
        np.savez(stream, **parts)  # type: ignore[arg-type]  # no array is called allow_pickle


def draw_examples(path: Path, directory: Path, tests: TestSet, draws: Draws, voices: NDArray[np.float32]) -> None:
    """The first questions of a set as a picture (the first paper's Fig. 7)."""
    from speakerkd.media.packed import read_placed
    from speakerkd.report.pictures.examples import Example, match_examples

    crops = read_table(directory / "aligned.scp")
    of_face = {row: crops[key] for key, row in tests.face_of().items() if key in crops}
    shown = []
    for probe, options in zip(draws.probe[:EXAMPLES].tolist(), draws.options[:EXAMPLES].tolist(), strict=True):
        cosines = tests.faces[options] @ voices[probe]
        faces = [
            (read_placed(of_face[row]), float(c)) for row, c in zip(options, cosines, strict=True) if row in of_face
        ]
        if len(faces) == len(options):
            shown.append(Example(tests.recordings.keys[probe], faces))
    if not shown:
        raise InputError("no pictures of the faces", directory / "aligned.scp", "make them with `speakerkd faces`")
    match_examples(shown, path)
