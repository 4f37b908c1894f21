"""A speech network over random crops of Fbank features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data import resident
from speakerkd.data.archive import FeatureArchive
from speakerkd.data.datadir import require_file
from speakerkd.data.resident import ResidentFeatures
from speakerkd.data.utterances import Copies, Utterances, read_copies, read_utterances
from speakerkd.errors import InputError
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.disentangled import DisentangledBranch, Uses
from speakerkd.models.network import Network
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import front_end_of, is_speech_model
from speakerkd.tasks.base import DataSettings, Embed, Package, Task
from speakerkd.tasks.dev_eer import EarlyTrials
from speakerkd.tasks.online_speech import OnlineSpeech, TaughtAtOwnSpeed
from speakerkd.tasks.source import PlainSource, Source
from speakerkd.teachers.inputs import CachedTeacher, JoinedTeachers, OnlineFaces, SameCrop, TeacherInput, read_teacher
from speakerkd.teachers.module import Teacher, build_branches, build_several, build_teacher
from speakerkd.work.records import read_json


class SpeakerTask(Task[DataSettings, SpeakerSettings]):
    """A speech network over random crops of Fbank features."""

    Data, Student = DataSettings, SpeakerSettings
    metric, lower_is_better, latest = "eer", True, True
    crops, frames, block = 3, 400, 64  # early evaluation: 4 s crops a recording, recordings a batch

    def open(self) -> None:
        self._dev: tuple[FeatureArchive, EarlyTrials] | None = None
        self._dims: list[int] = []  # of several teachers' embeddings
        used = [*self.data.directories, *self.data.copies, *([self.data.dev] if self.data.dev else [])]
        for directory in used:
            require_file(directory, "feats.scp")
        frontend_of(used)

    def student(self) -> Network:
        return build_speaker(self.settings)

    def example(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(2, self.data.crop_frames, self.settings.mels, generator=generator)

    def source(self, device: str, strong: bool) -> Source:
        utterances = read_utterances(self.data.directories)
        mels = self.settings.mels
        if utterances.archives[0].dim != mels:
            raise InputError(
                f"the features have {utterances.archives[0].dim} bands, the student takes {mels}",
                utterances.archives[0].scp,
                f"set student.mels to {utterances.archives[0].dim}, or make features of {mels} bands",
            )
        cached = self._teacher([archive.keys for archive in utterances.archives])
        copies = read_copies(self.data.copies, utterances) if self.data.copies else None
        if self.data.fraction < 1:
            kept = self.data.rows_used(utterances.labels, self.seed)
            utterances = utterances.keep(kept)
            cached = None if cached is None else cached.keep(kept)
            copies = None if copies is None else copies.keep(kept)
        online = self._online(utterances) if self.data.online else None
        teacher: TeacherInput | SameCrop | None = cached
        if online is not None and len(online.speeds) > 1 and not (teacher is None or isinstance(teacher, SameCrop)):
            teacher = TaughtAtOwnSpeed(teacher, len(utterances.keys), len(online.keys))
        # copies are cropped from their memory maps, and online crops made of recordings
        wanted = self.data.resident if copies is None and online is None else False
        if wanted is True and device == "cpu":
            raise InputError("data.resident is true on a CPU", "data.resident", "set it to auto")
        keep = wanted is True or (wanted == "auto" and resident.fits(utterances, device))
        return FbankSource(
            utterances,
            self.data.crop_frames,
            teacher,
            device=device if keep else "cpu",
            time_mask=self.data.time_mask,
            band_mask=self.data.band_mask,
            strong=strong,
            copies=copies,
            online=online,
        )

    def _online(self, utterances: Utterances) -> OnlineSpeech:
        assert self.data.online is not None
        if self.data.copies:
            fix = "take one: copies are cropped from disk, data.online reads recordings"
            raise InputError("data.copies beside data.online", "data.online", fix)
        frontend = frontend_of(self.data.directories)
        if frontend is None:
            raise InputError("no feats.json", self.data.directories[0], "run `speakerkd fbank` again")
        return OnlineSpeech(self.data.directories, utterances, FbankSettings(**frontend), self.data.online)

    def _teacher(self, keys: list[list[str]]) -> OnlineFaces | CachedTeacher | JoinedTeachers | SameCrop | None:
        if not self.taught:
            return None
        if self.teacher.several:
            names = {n: one.archive or f"teacher.{n}.scp" for n, one in self.teacher.several.items()}
            several = [read_teacher(self.data.directories, name, keys) for name in names.values()]
            self._dims = [teacher.vectors.shape[1] for teacher in several]
            return JoinedTeachers(several)
        if self.teacher.online and self.teacher.name is not None and is_speech_model(self.teacher.name):
            self._same_features(self.teacher.name)
            return SameCrop()
        if self.teacher.online:
            return OnlineFaces.read(self.data.directories, keys)
        return read_teacher(self.data.directories, self.teacher.archive or "teacher.scp", keys)

    def _same_features(self, teacher: str) -> None:
        """Raises InputError where a speech teacher reads other features than the student's."""
        mine, theirs = self.metadata()["frontend"], front_end_of(teacher)
        other = [k for k in sorted(theirs.keys() & mine.keys()) if theirs[k] != mine[k]]
        if other:
            what = (
                f"a teacher that reads {other[0]} {theirs[other[0]]} cannot run along on features of {mine[other[0]]}"
            )
            raise InputError(what, teacher, "cache it with `speakerkd embed-teacher`, which reads the recordings")

    def frozen_teacher(self, inputs: Tensor, names: Sequence[str]) -> Teacher:
        if self.teacher.several:
            return build_several(self.teacher, self._dims, names, self.data.directories[0])
        return build_teacher(self.teacher, inputs, names, self.data.directories[0])

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        if self.data.dev is None:
            return {}
        if self._dev is None:
            archive = FeatureArchive(Path(self.data.dev) / "feats.scp")
            self._dev = archive, EarlyTrials(self.data.dev, archive.index)
        archive, trials = self._dev
        parts = []
        for start in range(0, len(trials.recordings), self.block):
            positions = trials.recordings[start : start + self.block]
            room = np.maximum(archive.frames[positions] - self.frames, 0)
            starts = np.linspace(0, room, self.crops).astype(np.int64).T.ravel()
            crops = archive.crops(np.repeat(positions, self.crops), starts, self.frames)
            embedding = torch.nn.functional.normalize(embed(torch.from_numpy(crops)), dim=1)
            parts.append(embedding.unflatten(0, (-1, self.crops)).mean(1))
        return trials.figures(torch.cat(parts))

    def branches(self, classes: int) -> tuple[Network, Teacher]:
        """A voice's branch, and a face's as the trainable teacher (`teacher.trainable: true`)."""
        return build_branches(self.student, self.teacher, classes)

    def evaluate_together(
        self, embed_with: Callable[[Network], Embed], student: Network, teacher: Teacher
    ) -> dict[str, float]:
        """The voice's EER; the face network is scored when all is done."""
        return self.evaluate(embed_with(student))

    def packages(self, student: Network, teacher: Teacher) -> list[Package]:
        """The voice's network, and the face's below `teacher/`; of each also its parts apart, `inv/` and `inf/`."""
        assert teacher.network is not None and teacher.settings is not None
        assert isinstance(student, DisentangledBranch) and isinstance(teacher.network, DisentangledBranch)
        voice, face, frontend = student, teacher.network, self.metadata()["frontend"]
        result = [
            Package("", "speaker", voice, self.settings, frontend, self.metric, "teacher"),
            Package("teacher", "face", face, teacher.settings, None, self.metric),
        ]
        parts: tuple[Uses, ...] = ("inv", "inf")
        for part in parts:
            of_face = f"teacher/{part}"
            result.append(Package(part, "speaker", voice.part(part), self.settings, frontend, self.metric, of_face))
            result.append(Package(of_face, "face", face.part(part), teacher.settings, None, self.metric))
        return result

    def metadata(self) -> dict[str, Any]:
        return {"frontend": frontend_of(self.data.directories) or {"mels": self.settings.mels}}

    def deployed(self, student: Network, classifier: nn.Linear | None) -> tuple[Network, Settings]:
        return student, self.settings


def frontend_of(directories: Sequence[str]) -> dict[str, Any] | None:
    """The settings that the features of directories were made with (feats.json); None where none says.

    Raises InputError where two directories' differ.
    """
    first: tuple[Path, dict[str, Any]] | None = None
    for directory in directories:
        path = Path(directory) / "feats.json"
        if not path.is_file():
            continue
        settings = read_json(path, dict[str, Any], "run `speakerkd fbank` again")
        if first is not None and first[1] != settings:
            raise InputError(f"features made with other settings than those of {first[0]}", path, "make both the same")
        first = path, settings
    return None if first is None else first[1]


class FbankSource(PlainSource):
    """Random crops of `length` frames of every utterance, as a speech network's input.

    device: keep the features in this device's memory and crop there; "cpu" crops the memory map.
    time_mask, band_mask: the widest strip of frames and bands set to the crop's mean (SpecAugment, Park et al. 2019).
    strong: also give a second view with strips of up to a quarter of the frames and bands masked.
    copies: augmented copies; an utterance is drawn clean or as one of those it has, all alike. online: recordings that
    are changed as they are drawn, in their place; its samples are then the source's.
    """

    def __init__(
        self,
        utterances: Utterances,
        length: int,
        teacher: TeacherInput | SameCrop | None = None,
        *,
        device: str = "cpu",
        time_mask: int = 0,
        band_mask: int = 0,
        strong: bool = False,
        copies: Copies | None = None,
        online: OnlineSpeech | None = None,
    ) -> None:
        samples = utterances if online is None else online
        self.keys, self.labels, self.names = samples.keys, samples.labels, samples.names
        self.paired = None if teacher is None else teacher.paired
        self.draws = 9 if copies is None and online is None else 10
        self._copies, self._online = copies, online
        self.device = device
        self.length = length
        self._room = np.maximum(samples.frames - length, 0) + 1
        self._teacher = teacher
        self._masks = (time_mask, band_mask)
        self._strong = strong
        self._resident = ResidentFeatures(utterances, device) if device != "cpu" else None
        self._utterances = utterances

    def student(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        starts = (draws[:, 0] * self._room[indices]).astype(np.int64)
        if self._resident is not None:
            return self._resident.crops(indices, starts, self.length)
        if self._online is not None:
            return torch.from_numpy(self._online.crops(indices, starts, self.length, draws[:, 9]))
        crops = self._utterances.crops(indices, starts, self.length)
        if self._copies is not None:
            self._copies.replace(crops, self._copies.choose(indices, draws[:, 9]), indices, starts)
        return torch.from_numpy(crops)

    def teacher(self, indices: np.ndarray, draws: np.ndarray) -> Tensor | None:
        if isinstance(self._teacher, SameCrop):
            return self.student(indices, draws)
        return None if self._teacher is None else self._teacher.take(indices)

    def view(self, raw: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        time, band = self._masks
        plain = mask_strips(raw, draws[:, 1:5], time, band) if time or band else raw
        if not self._strong:
            return plain, None
        return plain, mask_strips(raw, draws[:, 5:9], self.length // 4, raw.shape[2] // 4)


def mask_strips(x: Tensor, draws: Tensor, time: int, band: int) -> Tensor:
    """Fbank (B, T, F) with one strip of 0 to `time` frames and one of 0 to `band` bands set to each band's mean.

    draws: (B, 4) uniform numbers in [0, 1): width and place of the time strip, then of the band strip.
    """
    mean = x.mean(1, keepdim=True)
    hidden = _strip(x.shape[1], time, draws[:, 0:1], draws[:, 1:2])[:, :, None]
    hidden = hidden | _strip(x.shape[2], band, draws[:, 2:3], draws[:, 3:4])[:, None, :]
    return torch.where(hidden, mean, x)


def _strip(size: int, widest: int, wide: Tensor, position: Tensor) -> Tensor:
    """(B, size) bool, True inside the strip; wide, position: (B, 1) in [0, 1)."""
    width = torch.floor(wide * (min(widest, size) + 1))
    start = torch.floor(position * (size - width + 1))
    at = torch.arange(size, device=wide.device)[None]
    return (at >= start) & (at < start + width)
