"""Trained models from Python: load, embed, similarity, verify, match.

import speakerkd.api as speakerkd

model = speakerkd.load("exp/margin")
model.verify("a.wav", "b.wav").same
model.match(audio="a.wav", faces=["f1.jpg", "f2.jpg"]).chosen
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError

if TYPE_CHECKING:
    from speakerkd.evaluation.embeddings import Embeddings
    from speakerkd.models.trained_model import TrainedModel

File = str | Path
FACES = 64  # pictures that the teacher sees at a time


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two recordings are of one speaker.

    score: minus the mean distance of their crops, in [-2, 0]. same: None where no threshold is known.
    threshold: at or above it scores are of one speaker; source: where it comes from. probability: of one speaker, at
    even odds before hearing them, where the model is calibrated; else None.
    """

    score: float
    same: bool | None
    threshold: float | None
    source: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An option of a match and its cosine with the probe."""

    path: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Match:
    """Options by falling similarity, and the first of them, or None where it ties with the next."""

    probe: str
    candidates: list[Candidate]

    @property
    def chosen(self) -> str | None:
        first, *rest = self.candidates
        return None if rest and rest[0].similarity == first.similarity else first.path


class Model:
    """A trained speech model with what it takes to use it."""

    def __init__(self, package: TrainedModel, teacher_weights: File | None = None) -> None:
        self.package = package
        self.teacher_weights = teacher_weights

    @property
    def directory(self) -> Path:
        """The experiment directory that it was loaded from."""
        return Path(self.package.directory)

    def embed(self, recordings: Sequence[File], protocol: str = "whole") -> NDArray[np.float32]:
        """Embeddings of audio files: (N, D) of length 1 (`whole`, `mean`), or (N, crops, D) (`crops`).

        Raises InputError naming a file that cannot be read.
        """
        from speakerkd.evaluation.protocol import Protocol, vectors

        values = vectors(Protocol(name=protocol), self._embed(recordings, protocol).values)
        return values / np.linalg.norm(values, axis=-1, keepdims=True)

    def _embed(self, recordings: Sequence[File], protocol: str) -> Embeddings:
        from speakerkd.evaluation.embed import embed
        from speakerkd.evaluation.model import fbank_settings
        from speakerkd.evaluation.protocol import Protocol
        from speakerkd.evaluation.recordings import AudioRecordings

        files = {f"{place} {path}": [path] for place, path in enumerate(recordings)}  # a file may be named twice
        return embed(self.package, AudioRecordings(files, fbank_settings(self.package)), Protocol(name=protocol))

    def similarity(self, first: File, second: File, protocol: str = "crops") -> float:
        """Score of two recordings under a protocol; higher is more alike."""
        from speakerkd.evaluation.protocol import Protocol, scores, vectors

        chosen = Protocol(name=protocol)
        values = vectors(chosen, self._embed([first, second], protocol).values)
        return float(scores(chosen, values[:1], values[1:], np.zeros(1, int), np.zeros(1, int))[0])

    def verify(self, first: File, second: File, threshold: float | None = None) -> Verdict:
        """Score two recordings under protocol `crops` and decide, by the best threshold that is known.

        In this order: the given one, the calibration beside the model, the EER threshold of a list it was scored on.
        """
        score = self.similarity(first, second)
        if threshold is not None:
            return Verdict(score, score >= threshold, threshold, "given")
        fitted = self._calibration
        if fitted is not None:
            ratio = float(fitted.apply(np.array([score]))[0])
            cut = -fitted.offset / fitted.scores[0]
            source = f"calibration on {fitted.development} ({self.directory / 'calibration.json'})"
            return Verdict(score, ratio >= 0, cut, source, 1 / (1 + math.exp(-ratio)))
        cut, source = self._eer_threshold
        return Verdict(score, None if cut is None else score >= cut, cut, source)

    @cached_property
    def _calibration(self):
        from speakerkd.evaluation.calibration import load_calibration

        path = self.directory / "calibration.json"
        if not path.is_file():
            return None
        fitted = load_calibration(path)
        fits = fitted.protocol == "crops" and fitted.model in ("", self.package.digest) and len(fitted.scores) == 1
        return fitted if fits and not fitted.qualities and fitted.scores[0] > 0 else None

    @cached_property
    def _eer_threshold(self) -> tuple[float | None, str]:
        """The threshold at the EER of the longest list that was scored plainly with this model, and its name."""
        path = self.directory / "results.json"
        entries: dict[str, Any] = {}
        if path.is_file():
            try:
                entries = json.loads(path.read_text("utf-8")).get("scores", {})
            except ValueError as error:
                raise InputError("not a results file", path, "score a list again") from error
        for name, entry in sorted(entries.items(), key=lambda item: (item[1].get("trials", 0), item[0]), reverse=True):
            plain = name.endswith(".crops") and entry.get("eer_threshold") is not None
            if plain and entry.get("made", {}).get("model", "").endswith(self.package.digest):
                return entry["eer_threshold"], f"EER threshold of {name.removesuffix('.crops')} ({path})"
        fix = "score a labelled list of recordings like yours with `speakerkd score --calibrate`, or give a threshold"
        return None, f"no threshold is known for this model; {fix}"

    def faces(self, pictures: Sequence[File]) -> NDArray[np.float32]:
        """Faces of pictures (or videos) as the model compares them with voices: (N, D) of length 1.

        The largest face is found, aligned, and put through the teacher and the projection head. Raises InputError
        naming a file without a face, and where the teacher's weights are not to be found.
        """
        import torch

        from speakerkd.frontend.faces import face_of
        from speakerkd.models.face_network import embed_pictures

        teacher = self._teacher  # before the pictures: what is missing is told at once
        crops = torch.from_numpy(np.stack([face_of(path).crop for path in pictures]))
        seen = [embed_pictures(teacher, part).float() for part in crops.to(self.package.device).split(FACES)]
        return self.package.project(torch.cat(seen)).cpu().numpy()

    @cached_property
    def _teacher(self):
        from speakerkd.teachers.load import find_teacher, load_teacher

        record = self.package.teacher
        if record is None:
            what = "this model has no face teacher, so it cannot be matched with faces"
            raise InputError(what, self.directory, "use one that a face network taught")
        weights = self.teacher_weights or record.weights
        where = self.directory / "model.json"
        if weights is None or not Path(weights).exists():
            what = f"the weights of the teacher '{record.name}' are not at {weights}"
            raise InputError(what, where, "say where they are with --teacher-weights")
        found = find_teacher(record.name, weights)
        if record.digest and found.digest != record.digest:
            what = f"{weights} are not the weights of the teacher that taught this model"
            raise InputError(what, where, "say where those are with --teacher-weights")
        return load_teacher(record.name, weights).to(self.package.device)

    def match(self, audio: File, faces: Sequence[File]) -> Match:
        """Which face belongs to a voice: cosines between the recording and every picture, highest first."""
        return self._match(audio, self.embed([audio], "mean"), faces, self.faces(faces))

    def match_voices(self, face: File, audios: Sequence[File]) -> Match:
        """Which voice belongs to a face: cosines between the picture and every recording, highest first."""
        return self._match(face, self.faces([face]), audios, self.embed(audios, "mean"))

    def _match(self, probe: File, one: NDArray, options: Sequence[File], many: NDArray) -> Match:
        cosines = (many @ one[0]).tolist()
        rows = sorted(zip(options, cosines, strict=True), key=lambda row: -row[1])
        return Match(str(probe), [Candidate(str(path), cosine) for path, cosine in rows])


def load(model: File | None = None, device: str = "auto", teacher_weights: File | None = None) -> Model:
    """Load a trained model: the given experiment directory, else $SPEAKERKD_MODEL, else exp/latest.

    device: cpu, cuda or auto. teacher_weights: where the face teacher's weights are, if not where they were.
    Raises InputError, saying how to get a model, where there is none.
    """
    from speakerkd.evaluation.model import load_speaker_model

    return Model(load_speaker_model(model, device), teacher_weights)


def embed(recordings: Sequence[File], model: File | None = None, protocol: str = "whole") -> NDArray[np.float32]:
    """Embeddings of audio files by a model; see `Model.embed`."""
    return load(model).embed(recordings, protocol)


def similarity(first: File, second: File, model: File | None = None, protocol: str = "crops") -> float:
    """Score of two recordings by a model; see `Model.similarity`."""
    return load(model).similarity(first, second, protocol)


def verify(first: File, second: File, model: File | None = None, threshold: float | None = None) -> Verdict:
    """Whether two recordings are of one speaker; see `Model.verify`."""
    return load(model).verify(first, second, threshold)


def match(
    *,
    audio: File | None = None,
    faces: Sequence[File] = (),
    face: File | None = None,
    audios: Sequence[File] = (),
    model: File | None = None,
) -> Match:
    """Match one recording with faces (`audio`, `faces`), or one face with recordings (`face`, `audios`)."""
    if audio is not None and faces and face is None and not audios:
        return load(model).match(audio, faces)
    if face is not None and audios and audio is None and not faces:
        return load(model).match_voices(face, audios)
    raise InputError("give audio and faces, or face and audios", "match", "name one probe and at least one option")
