"""Trained models from Python: load, embed, similarity, verify, match.

>>> import speakerkd
>>> model = speakerkd.load("exp/mini-margin_classifier")  # doctest: +SKIP
>>> model.verify("a.wav", "b.wav").same  # doctest: +SKIP
True

A recording is a path, the bytes of a file, an open file, or (samples, rate); a picture is a path (of a video too),
bytes, an open file, a PIL image or an array (H, W, 3) of RGB; a tensor serves as an array. `embed`, `verify` and
`faces` take lists of them as well, or whatever else gives them one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from speakerkd.answers import Candidate, Match, Verdict, name_of, ranked
from speakerkd.errors import InputError
from speakerkd.media.inputs import listed, with_rate
from speakerkd.report.results_file import read_results_file

if TYPE_CHECKING:
    from speakerkd.evaluation.calibration import Calibration
    from speakerkd.evaluation.embeddings import Embeddings
    from speakerkd.evaluation.settings import ProtocolName
    from speakerkd.frontend.pictures import PictureSource as Picture
    from speakerkd.frontend.truncation import Truncated
    from speakerkd.models.disentangled import DisentangledBranch
    from speakerkd.models.face_network import FaceNetwork
    from speakerkd.models.trained_model import TrainedModel

__all__ = ["Candidate", "Match", "Model", "Verdict", "embed", "load", "match", "similarity", "verify"]

File: TypeAlias = str | Path
Recording: TypeAlias = str | Path | bytes | BinaryIO | NDArray[Any] | tuple[NDArray[Any], int]
FACES = 64  # pictures that the teacher sees at a time


class Model:
    """A trained speech model with what it takes to use it."""

    def __init__(
        self,
        package: TrainedModel,
        teacher_weights: File | None = None,
        vad: bool = False,
        truncated: Truncated = "refuse",
    ) -> None:
        self.package = package
        self.vad, self.truncated = vad, truncated
        self.teacher_weights = teacher_weights

    @property
    def directory(self) -> Path:
        """The directory that it was loaded from."""
        return Path(self.package.directory or ".")

    @property
    def protocol(self) -> ProtocolName:
        """How it is scored unless told otherwise."""
        return self.package.protocol

    @property
    def identity(self) -> tuple[str, str, int]:
        """Digest, name and embedding size, by which a gallery knows whose embeddings it holds."""
        return self.package.digest, str(self.directory), self.package.dim

    def embed(
        self,
        recordings: Recording | Sequence[Recording],
        protocol: ProtocolName = "whole",
        *,
        rate: int | None = None,
    ) -> NDArray[np.float32]:
        """Embeddings of length 1, of a list (N, D), of one recording (D,); with protocol `crops` (N, crops, D).

        Parameters
        ----------
        recordings: one, or a list. They are embedded in batches, and do not change each other's embedding.
        protocol: `whole`, `mean` (of crops), or `crops`.
        rate: in Hz, of recordings that are arrays of samples (N,), (N, channels) or (channels, N).

        Raises
        ------
        InputError: naming what cannot be read.
        """
        from speakerkd.evaluation.protocol import Protocol, vectors

        heard, many = listed(recordings)
        if not heard:
            return np.empty((0, self.package.dim), np.float32)
        values = vectors(Protocol(name=protocol), self._embed(heard, protocol, rate).values)
        unit = values / np.linalg.norm(values, axis=-1, keepdims=True)
        return unit if many else unit[0]

    def _embed(self, recordings: Sequence[Recording], protocol: ProtocolName, rate: int | None = None) -> Embeddings:
        from speakerkd.evaluation.embed import embed
        from speakerkd.evaluation.model import fbank_settings
        from speakerkd.evaluation.protocol import Protocol
        from speakerkd.evaluation.recordings import AudioRecordings

        # a recording may be named twice
        sounds = {
            f"{position} {name_of(item, position)}": [with_rate(item, rate)] for position, item in enumerate(recordings)
        }
        heard = AudioRecordings(sounds, fbank_settings(self.package), truncated=self.truncated, vad=self.vad)
        return embed(self.package, heard, Protocol(name=protocol))

    def similarity(
        self, first: Recording, second: Recording, protocol: ProtocolName | None = None, *, rate: int | None = None
    ) -> float:
        """Score of two recordings; higher is more alike.

        Parameters
        ----------
        protocol: `whole` or `mean`: the cosine, in [-1, 1]; `crops`: minus the mean distance of crops, in [-2, 0];
            None: the model's own.
        rate: in Hz, of recordings that are arrays of samples.

        Raises
        ------
        InputError: naming what cannot be read.
        """
        pair = [listed(one) for one in (first, second)]
        if pair[0][1] or pair[1][1]:
            raise InputError("a list of recordings", "similarity", "give one and one, or lists to `verify`")
        return float(self._scores(pair[0][0], pair[1][0], protocol, rate)[0])

    def _scores(
        self,
        first: Sequence[Recording],
        second: Sequence[Recording],
        protocol: ProtocolName | None,
        rate: int | None,
    ) -> NDArray[Any]:
        """Scores of corresponding recordings (N,)."""
        from speakerkd.evaluation.protocol import Protocol, scores, vectors

        rule = Protocol(name=protocol or self.package.protocol)
        values = vectors(rule, self._embed([*first, *second], rule.name, rate).values)
        rows = np.arange(len(first))
        return scores(rule, values[: len(first)], values[len(first) :], rows, rows)

    @overload
    def verify(
        self,
        first: list[Recording],
        second: list[Recording],
        threshold: float | None = None,
        *,
        rate: int | None = None,
    ) -> list[Verdict]: ...

    @overload
    def verify(
        self, first: Recording, second: Recording, threshold: float | None = None, *, rate: int | None = None
    ) -> Verdict: ...

    def verify(
        self,
        first: Recording | list[Recording],
        second: Recording | list[Recording],
        threshold: float | None = None,
        *,
        rate: int | None = None,
    ) -> Verdict | list[Verdict]:
        """Score two recordings under the model's protocol and decide, by the best threshold that is known.

        Parameters
        ----------
        first, second: a recording each, or two lists of one length, compared pair by pair.
        threshold: None takes the calibration beside the model, else the EER threshold of a list it was scored on.
        rate: in Hz, of recordings that are arrays of samples.

        Returns
        -------
        A `Verdict`, of lists a list of them; its `same` is None where no threshold is known.

        Raises
        ------
        InputError: naming what cannot be read; for lists of different lengths.
        """
        if threshold is not None and not (isinstance(threshold, Real) and math.isfinite(threshold)):
            raise InputError(f"a threshold of {threshold!r}", "verify", "give a finite number")
        (some, many), (others, are_many) = listed(first), listed(second)
        if many != are_many:
            raise InputError("one recording against a list of them", "verify", "give two recordings, or two lists")
        if len(some) != len(others):
            raise InputError(f"lists of {len(some)} and {len(others)} recordings", "verify", "give pairs")
        verdicts = [self._verdict(float(score), threshold) for score in self._scores(some, others, None, rate)]
        return verdicts if many else verdicts[0]

    @property
    def threshold(self) -> tuple[float | None, str]:
        """At or above which score recordings are taken for one speaker's, and where it comes from; None: not known."""
        fitted = self._calibration
        if fitted is not None:
            return -fitted.offset / fitted.scores[0], f"calibration on {fitted.development}"
        return self._eer_threshold

    def _verdict(self, score: float, threshold: float | None) -> Verdict:
        if threshold is not None:
            return Verdict(score, score >= threshold, threshold, "given")
        fitted = self._calibration
        if fitted is not None:
            ratio = float(fitted.apply(np.array([score]))[0])
            cut = -fitted.offset / fitted.scores[0]
            source = f"calibration on {fitted.development} ({self.directory / 'calibration.json'})"
            return Verdict(score, ratio >= 0, cut, source, 1 / (1 + math.exp(-ratio)))
        known, source = self._eer_threshold
        return Verdict(score, None if known is None else score >= known, known, source)

    @cached_property
    def _calibration(self) -> Calibration | None:
        from speakerkd.evaluation.calibration import load_calibration

        path = self.directory / "calibration.json"
        if not path.is_file():
            return None
        fitted = load_calibration(path)
        fits = (
            fitted.protocol == self.package.protocol
            and fitted.model in ("", self.package.digest)
            and len(fitted.scores) == 1
        )
        return fitted if fits and not fitted.qualities and fitted.scores[0] > 0 else None

    @cached_property
    def _eer_threshold(self) -> tuple[float | None, str]:
        """The threshold at the EER of the longest list that was scored plainly with this model, and its name."""
        path = self.directory / "results.json"
        entries: dict[str, Any] = {}
        if path.is_file():
            entries = read_results_file(path).get("scores", {})
        for name, entry in sorted(entries.items(), key=lambda item: (item[1].get("trials", 0), item[0]), reverse=True):
            plain = name.endswith(f".{self.package.protocol}") and entry.get("eer_threshold") is not None
            if plain and str(entry.get("made", {}).get("model", "")).endswith(self.package.digest):
                return entry["eer_threshold"], f"EER threshold of {name.rpartition('.')[0]} ({path})"
        fix = "score a labelled list of recordings like yours with `speakerkd score --calibrate`, or give a threshold"
        return None, f"no threshold is known for this model; {fix}"

    def faces(self, pictures: Picture | Sequence[Picture]) -> NDArray[np.float32]:
        """Faces of pictures (or videos) as the model compares them with voices: (N, D), of one (D,), of length 1.

        The largest face is found, aligned, and put through the teacher and the projection head.

        Raises
        ------
        InputError: naming a file without a face; where the teacher's weights are not to be found.
        """
        from speakerkd.frontend.faces import face_of

        self.check_faces()  # before the pictures: what is missing is told at once
        seen, many = listed(pictures)
        if not seen:
            return np.empty((0, self.package.dim), np.float32)
        projected = self.aligned_faces(np.stack([face_of(picture).crop for picture in seen]))
        return projected if many else projected[0]

    def check_faces(self) -> None:
        """Raises InputError, saying why, where this model cannot be matched with faces."""
        _ = self._teacher

    @property
    def face_teacher(self) -> FaceNetwork | DisentangledBranch:
        """The frozen face network that taught this model; raises InputError where there is none, or no weights."""
        return self._teacher

    def aligned_faces(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Aligned faces (N, 112, 112, 3) of RGB as the model compares them with voices: (N, D), of length 1."""
        import torch

        from speakerkd.models.face_network import embed_pictures

        parts = torch.from_numpy(crops).to(self.package.device).split(FACES)
        seen = [embed_pictures(self._teacher, part).float() for part in parts]
        return self.package.project(torch.cat(seen)).cpu().numpy()

    @cached_property
    def _teacher(self) -> FaceNetwork | DisentangledBranch:
        from speakerkd.teachers.load import find_teacher, load_teacher

        record = self.package.teacher
        if record is None or record.kind == "speech":
            what = "this model has no face teacher, so it cannot be matched with faces"
            raise InputError(what, self.directory, "use one that a face network taught")
        weights = self.teacher_weights or record.weights
        where = self.directory / "model.json"
        if weights is None or not Path(weights).exists():
            what = f"the weights of the teacher '{record.name}' are not at {weights}"
            raise InputError(what, where, "say where they are with --teacher-weights")
        file = find_teacher(record.name, weights)
        if record.digest and file.digest != record.digest:
            what = f"{weights} are not the weights of the teacher that taught this model"
            raise InputError(what, where, "say where those are with --teacher-weights")
        return load_teacher(record.name, weights).to(self.package.device)

    def match(
        self,
        audio: Recording | None = None,
        faces: Picture | Sequence[Picture] = (),
        *,
        face: Picture | None = None,
        audios: Recording | Sequence[Recording] = (),
        rate: int | None = None,
    ) -> Match:
        """Which face belongs to a voice (`audio`, `faces`), or which voice to a face (`face`, `audios`).

        Parameters
        ----------
        audio, face: the probe, one of the two.
        faces, audios: the options; one may stand without a list.
        rate: in Hz, of recordings that are arrays of samples.

        Returns
        -------
        The options by falling cosine with the probe, in [-1, 1].

        Raises
        ------
        InputError: for another combination; naming what cannot be read; as `faces` does.
        """
        shown, heard = listed(faces)[0], listed(audios)[0]
        if audio is not None and shown and face is None and not heard:
            return ranked(audio, self.embed([audio], "mean", rate=rate), shown, self.faces(shown))
        if face is not None and heard and audio is None and not shown:
            return self.match_voices(face, heard, rate=rate)
        raise InputError("give audio and faces, or face and audios", "match", "name one probe and at least one option")

    def match_voices(self, face: Picture, audios: Recording | Sequence[Recording], *, rate: int | None = None) -> Match:
        """Which voice belongs to a face: cosines between the picture and every recording, highest first."""
        heard, _ = listed(audios)
        return ranked(face, self.faces([face]), heard, self.embed(heard, "mean", rate=rate))


def load(
    model: File | None = None,
    device: str = "auto",
    teacher_weights: File | None = None,
    *,
    vad: bool = False,
    truncated: Truncated = "refuse",
) -> Model:
    """Load a trained model: the given experiment directory, else $SPEAKERKD_MODEL, else exp/latest.

    Parameters
    ----------
    device: cpu, cuda, mps (Apple) or auto.
    teacher_weights: where the face teacher's weights are, if they have moved.
    vad: leave out what is not speech before embedding (silero-vad).
    truncated: "keep" what is there of a recording of which a part is missing, with a warning, or "refuse" it.

    Raises
    ------
    InputError: where there is no model, saying how to get one.
    """
    from speakerkd.evaluation.model import load_speaker_model

    return Model(load_speaker_model(model, device), teacher_weights, vad, truncated)


def embed(
    recordings: Recording | Sequence[Recording],
    model: File | None = None,
    protocol: ProtocolName = "whole",
    *,
    rate: int | None = None,
) -> NDArray[np.float32]:
    """Embeddings of recordings by a model; see `Model.embed`."""
    return load(model).embed(recordings, protocol, rate=rate)


def similarity(
    first: Recording,
    second: Recording,
    model: File | None = None,
    protocol: ProtocolName | None = None,
    *,
    rate: int | None = None,
) -> float:
    """Score of two recordings by a model; see `Model.similarity`."""
    return load(model).similarity(first, second, protocol, rate=rate)


def verify(
    first: Recording,
    second: Recording,
    model: File | None = None,
    threshold: float | None = None,
    *,
    rate: int | None = None,
) -> Verdict:
    """Whether two recordings are of one speaker; see `Model.verify`."""
    return load(model).verify(first, second, threshold, rate=rate)


def match(
    *,
    audio: Recording | None = None,
    faces: Picture | Sequence[Picture] = (),
    face: Picture | None = None,
    audios: Recording | Sequence[Recording] = (),
    model: File | None = None,
    rate: int | None = None,
) -> Match:
    """Match one recording with faces (`audio`, `faces`), or one face with recordings (`face`, `audios`)."""
    return load(model).match(audio, faces, face=face, audios=audios, rate=rate)
