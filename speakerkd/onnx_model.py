"""An exported model in use: recordings to embeddings and scores through onnxruntime, without torch."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from speakerkd.answers import Match, Verdict, ranked
from speakerkd.config import parse
from speakerkd.data.sounds import Sound, read_sounds
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings, write_embeddings
from speakerkd.evaluation.model import find_model
from speakerkd.evaluation.settings import ProtocolName
from speakerkd.frontend.audio import Recorded, read_recording
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.frontend.sounds import record_sound
from speakerkd.frontend.truncation import Truncated
from speakerkd.media.inputs import listed, with_rate
from speakerkd.onnx_faces import OnnxFaces
from speakerkd.version import __version__
from speakerkd.work.files import digest
from speakerkd.work.records import read_json
from speakerkd.work.rejected import Rejected

log = logging.getLogger(__name__)
MODEL, HEAD, FBANK, RECORD = "model.onnx", "head.onnx", "fbank.onnx", "onnx.json"
CROPS, FRAMES, SHORTEST = 10, 400, 100  # as `evaluation.protocol`, which needs torch
EXPORT = "make it with `speakerkd export EXP --onnx`"


class Record(BaseModel):
    """Content of onnx.json."""

    reads: str
    frontend: dict[str, Any]
    dim: int
    model: str
    protocol: str = "crops"
    weights: str
    threshold: float | None = Field(None, description="scores at or above it are of one speaker")
    threshold_source: str = ""
    teacher: dict[str, Any] | None = None
    faces: dict[str, Any] | None = Field(None, description="how the face teacher beside it takes pictures")
    no_faces: str = Field("", description="why there is no face teacher beside it")
    eer: dict[str, Any] | None = Field(None, description="list, torch and onnx: EERs that were compared")


def read_record(folder: Path) -> Record:
    """The checked content of a folder's onnx.json."""
    return read_json(folder / RECORD, Record, EXPORT)


class OnnxModel:
    """A model that `speakerkd export --onnx` wrote, on one thread's worth of a processor or more.

    Raises InputError for a folder without one, files that do not belong together, and an export that reads Fbank.
    """

    def __init__(
        self, directory: Path | str, threads: int = 0, truncated: Truncated = "refuse", vad: bool = False
    ) -> None:
        self.truncated, self.vad = truncated, vad
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError("onnxruntime is not installed", "--runtime onnx", "pip install onnxruntime") from error
        self.directory = folder = Path(directory)
        if not (folder / RECORD).is_file() and (folder / "onnx" / RECORD).is_file():
            self.directory = folder = folder / "onnx"
        if not (folder / RECORD).is_file():
            raise InputError("no exported model here", folder, EXPORT)
        self.record = read_record(folder)
        if not (folder / FBANK).is_file():
            what = "an export without fbank.onnx, which makes its input of recordings"
            raise InputError(
                what, folder, "export with --reads fbank; front ends other than Kaldi's run in torch alone"
            )
        if digest(folder / MODEL) != self.record.weights:
            raise InputError(f"{MODEL} is not the file that {RECORD} describes", folder, EXPORT)
        self.settings = parse(FbankSettings, self.record.frontend, folder / RECORD)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        providers = [
            p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in onnxruntime.get_available_providers()
        ]
        self._session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=providers)
        self._fbank = onnxruntime.InferenceSession(str(folder / FBANK), options, providers=providers)
        self._options = options
        self._head: Any = None
        if (folder / HEAD).is_file():
            self._head = onnxruntime.InferenceSession(str(folder / HEAD), options, providers=providers)

    @property
    def protocol(self) -> str:
        """How it is scored unless told otherwise."""
        return self.record.protocol

    @property
    def identity(self) -> tuple[str, str, int]:
        """Digest and embedding size of the model that was exported, and this folder's name, as a gallery knows it."""
        return self.record.model, str(self.directory), self.record.dim

    def embed(self, recordings: Any, protocol: str = "whole", *, rate: int | None = None) -> NDArray[np.float32]:
        """Embeddings as `speakerkd.Model.embed` gives them: (D,) of one recording, (N, D) of a list."""
        items, many = listed(recordings)
        if not items:
            return np.empty((0, self.record.dim), np.float32)
        sounds = [with_rate(item, rate) for item in items]
        embeddings = np.stack([self.embed_sound(self._heard(item), protocol, item) for item in sounds])
        return embeddings if many else embeddings[0]

    def _heard(self, recording: Any) -> Recorded:
        return read_recording(recording, self.settings.rate, truncated=self.truncated, vad=self.vad)

    def embed_sound(self, recorded: Recorded, protocol: str, source: Any) -> NDArray[np.float32]:
        """The embedding (D,), or with `crops` (crops, D), of a recording; source: what it was read from."""
        samples, where = recorded.samples, source if isinstance(source, str | Path | Sound) else "a recording"
        if recorded.missing:
            log.warning("%s: truncated and kept, %.2f s missing", where, recorded.missing)
        if self.settings.frames(len(samples)) == 0:
            raise InputError(f"{len(samples)} samples, less than one window", where, "leave the recording out")
        (features,) = self._fbank.run(None, {"waveform": samples[None]})
        if protocol == "whole":
            return self._run(_at_least(features[0], SHORTEST)[None])[0]
        crops = self._crops(features[0])
        if protocol == "crops":
            return crops
        mean = crops.mean(0)
        return mean / np.linalg.norm(mean)

    def _crops(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of ten crops of 400 frames of Fbank (T, F) the embeddings (10, D)."""
        if len(features) <= FRAMES:
            return np.repeat(self._run(_at_least(features, FRAMES)[None]), CROPS, 0)
        starts = np.linspace(0, len(features) - FRAMES, CROPS).astype(np.int64)
        return self._run(np.stack([features[start : start + FRAMES] for start in starts]))

    def _run(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        (embedding,) = self._session.run(None, {"fbank": np.ascontiguousarray(features, np.float32)})
        return embedding

    def project(self, teacher: NDArray[np.float32]) -> NDArray[np.float32]:
        """Teacher embeddings (B, D_T) as they compare with `embed`'s by cosine, (B, D)."""
        if self._head is None:
            raise InputError("this model has no projection head", self.directory, "export one that a teacher taught")
        (projected,) = self._head.run(None, {"teacher": np.ascontiguousarray(teacher, np.float32)})
        return projected

    def faces(self, pictures: Any) -> NDArray[np.float32]:
        """Faces of pictures as `speakerkd.Model.faces` gives them: (D,) of one, (N, D) of a list."""
        shown, many = listed(pictures)
        if not shown:
            return np.empty((0, self.record.dim), np.float32)
        projected = self.project(self._faces.embed(shown))
        return projected if many else projected[0]

    @cached_property
    def _faces(self) -> OnnxFaces:
        if self.record.faces is None:
            if self.record.teacher is None:
                what, fix = "this model has no face teacher", "use one that a face network taught"
            else:
                what, fix = "exported without the face teacher", "export again where its weights are, with --faces"
            raise InputError(f"{what}{': ' if self.record.no_faces else ''}{self.record.no_faces}", self.directory, fix)
        return OnnxFaces(self.directory, self.record.faces.get("pixels"), self._options)

    def match(self, audio: Any, faces: Any) -> Match:
        """Which face belongs to a voice: cosines, highest first."""
        shown, _ = listed(faces)
        return ranked(audio, self.embed([audio], "mean"), shown, self.faces(shown))

    def match_voices(self, face: Any, audios: Any) -> Match:
        """Which voice belongs to a face: cosines, highest first."""
        heard, _ = listed(audios)
        return ranked(face, self.faces([face]), heard, self.embed(heard, "mean"))

    def similarity(self, first: Any, second: Any, *, rate: int | None = None) -> float:
        """Score of two recordings under the model's protocol; higher is more alike."""
        a, b = self.embed([first, second], self.record.protocol, rate=rate)
        if self.record.protocol != "crops":
            return float(a @ b)
        return -float(np.sqrt(np.clip(2 - 2 * a @ b.T, 0, None)).mean())

    def verify(self, first: Any, second: Any, threshold: float | None = None) -> Verdict:
        """Score and decision; the threshold is the given one, else the export's."""
        score = self.similarity(first, second)
        cut = self.record.threshold if threshold is None else threshold
        source = "given" if threshold is not None else self.record.threshold_source
        reason = source if cut is not None else "no threshold is known for this model; give one"
        return Verdict(score, None if cut is None else score >= cut, cut, reason)


def _at_least(features: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Features (T, F) repeated from their beginning to so many frames, where they are fewer."""
    return features if len(features) >= frames else features[np.arange(frames) % len(features)]


def open_exported(directory: Path | None, truncated: Truncated = "refuse", vad: bool = False) -> OnnxModel:
    """The exported model of a folder, or of the folder `onnx` in the experiment that a command would use."""
    return OnnxModel(find_model(directory), truncated=truncated, vad=vad)


def embed_exported(
    directory: Path, out: Path, model: OnnxModel, protocol: ProtocolName | None, max_rejected: float
) -> tuple[Path, Rejected]:
    """Embed the recordings of a data directory's wav.scp (and segments) into one file, without torch.

    Returns the file and the account of what was refused. Raises InputError where that is more than `max_rejected`.
    """
    name = protocol or model.record.protocol
    rejected = Rejected(out, max_rejected)
    keys, values = [], []
    for key, sound in read_sounds(directory).items():
        try:
            recorded = record_sound(sound, model.settings.rate, model.truncated, model.vad)
            values.append(model.embed_sound(recorded, "whole" if name == "whole" else "crops", sound))
            keys.append(key)
        except InputError as error:
            rejected.refuse(key, error)
    rejected.take(len(keys))
    rejected.close()
    if not keys:
        raise InputError("no recording could be embedded", directory, f"see {out.name}.rejected")
    origin: dict[str, str | int] = {"protocol": name, "digest": model.record.model, "data": str(directory)}
    origin |= {"version": __version__, "runtime": "onnx"}
    if name != "whole":
        origin |= {"crops": CROPS, "frames": FRAMES}
    return write_embeddings(out, Embeddings(keys, np.stack(values), origin)), rejected
