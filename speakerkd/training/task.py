"""What is trained: the student, its data, and the figure that tells a good epoch. The loop is the same for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data import resident
from speakerkd.data.archive import FeatureArchive
from speakerkd.data.crops import SIDE, CropSource, OnlineFaces, crop_map
from speakerkd.data.datadir import read_table
from speakerkd.data.paired import FbankSource, fraction_of, read_teacher, read_utterances
from speakerkd.data.source import Source
from speakerkd.errors import InputError
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.training.early import EarlyTrials
from speakerkd.training.image_task import ImageTask
from speakerkd.training.settings import DataSettings, Experiment

Embed = Callable[[Tensor], Tensor]


class Task(Protocol):
    """One kind of training. Making an instance checks paths and reads nothing large.

    Data, Student: the settings of `data:` and `student:`. metric: the figure of `evaluate` that names the best
    checkpoint; lower_is_better. latest: `exp/latest` may name such an experiment.
    """

    Data: ClassVar[type[Settings]]
    Student: ClassVar[type[Settings]]
    metric: ClassVar[str]
    lower_is_better: ClassVar[bool]
    latest: ClassVar[bool]

    def __init__(self, experiment: Experiment) -> None: ...

    def student(self) -> nn.Module:
        """The network with fresh weights."""
        ...

    def example(self) -> Tensor:
        """An input of 2 samples for the student, of the training shape."""
        ...

    def source(self, device: str, strong: bool) -> Source:
        """Open the training data; strong: views with a second, strongly augmented one."""
        ...

    def evaluate(self, embed: Embed, classifier: nn.Linear | None) -> dict[str, float]:
        """Figures after an epoch, empty without development data.

        embed: the student, input (B, ...) to (B, D) on the CPU. classifier: the task loss's linear layer, or None.
        """
        ...

    def metadata(self) -> dict[str, Any]:
        """What deployment needs beside student and head, such as the front end's settings."""
        ...

    def deployed(self, student: nn.Module, classifier: nn.Linear | None) -> tuple[nn.Module, Settings]:
        """The network that is published, and its settings."""
        ...


class SpeakerTask:
    """A speech network over random crops of Fbank features."""

    Data, Student = DataSettings, SpeakerSettings
    metric, lower_is_better, latest = "eer", True, True
    crops, frames, block = 3, 400, 64  # early evaluation: 4 s crops a recording, recordings a batch

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.data = experiment, experiment.data
        self._dev: tuple[FeatureArchive, EarlyTrials] | None = None
        used = [*self.data.directories, *([self.data.dev] if self.data.dev else [])]
        for directory in used:
            _there(directory, "feats.scp", "speakerkd fbank")
        frontend_of(used)

    def student(self) -> nn.Module:
        return build_speaker(self.experiment.student)

    def example(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(2, self.data.crop_frames, self.experiment.student.mels, generator=generator)

    def source(self, device: str, strong: bool) -> Source:
        utterances = read_utterances(self.data.directories)
        mels = self.experiment.student.mels
        if utterances.archives[0].dim != mels:
            raise InputError(
                f"the features have {utterances.archives[0].dim} bands, the student takes {mels}",
                utterances.archives[0].scp,
                f"set student.mels to {utterances.archives[0].dim}, or make features of {mels} bands",
            )
        teacher = self._teacher([archive.keys for archive in utterances.archives])
        if self.data.fraction < 1:
            chosen = fraction_of(utterances.labels, self.data.fraction, self.experiment.seed)
            utterances = utterances.keep(chosen)
            teacher = None if teacher is None else teacher.keep(chosen)
        wanted = self.data.resident
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
        )

    def _teacher(self, keys: list[list[str]]):
        settings = self.experiment.teacher
        if not self.experiment.distill:
            return None
        if settings.online:
            return OnlineFaces.read(self.data.directories, keys)
        return read_teacher(self.data.directories, settings.archive or "teacher.scp", keys)

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        if self.data.dev is None:
            return {}
        if self._dev is None:
            archive = FeatureArchive(Path(self.data.dev) / "feats.scp")
            self._dev = archive, EarlyTrials(self.data.dev, archive.index)
        archive, trials = self._dev
        parts = []
        for start in range(0, len(trials.recordings), self.block):
            chosen = trials.recordings[start : start + self.block]
            room = np.maximum(archive.frames[chosen] - self.frames, 0)
            starts = np.linspace(0, room, self.crops).astype(np.int64).T.ravel()
            crops = archive.crops(np.repeat(chosen, self.crops), starts, self.frames)
            embedding = torch.nn.functional.normalize(embed(torch.from_numpy(crops)), dim=1)
            parts.append(embedding.unflatten(0, (-1, self.crops)).mean(1))
        return trials.figures(torch.cat(parts))

    def metadata(self) -> dict[str, Any]:
        return {"frontend": frontend_of(self.data.directories) or {"mels": self.experiment.student.mels}}

    def deployed(self, student: nn.Module, classifier: nn.Linear | None) -> tuple[nn.Module, Settings]:
        return student, self.experiment.student


class FaceTask:
    """A face network over the aligned crops of the corpus, one sample a picture, its speaker as the class."""

    Data, Student = DataSettings, FaceSettings
    metric, lower_is_better, latest = "eer", True, False

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.data = experiment, experiment.data
        self._network: nn.Module | None = None
        self._dev: tuple[np.ndarray, EarlyTrials] | None = None
        if experiment.teacher.online and experiment.distill:
            raise InputError("a face student has no online teacher", "teacher.online", "set it to false")
        for directory in [*self.data.directories, *([self.data.dev] if self.data.dev else [])]:
            _there(directory, "aligned.scp", "speakerkd faces")

    def student(self) -> nn.Module:
        self._network = build_face(self.experiment.student)
        return self._network.train()

    def _preprocess(self, crops: Tensor) -> Tensor:
        if self._network is None:
            self._network = build_face(self.experiment.student)
        return self._network.preprocess(crops)

    def example(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return self._preprocess(torch.randint(256, (2, SIDE, SIDE, 3), generator=generator).to(torch.uint8))

    def source(self, device: str, strong: bool) -> Source:
        keys: list[list[str]] = []
        labels: list[np.ndarray] = []
        names: list[str] = []
        maps: list[np.ndarray] = []
        for directory in self.data.directories:
            place, crops = crop_map(directory)
            speaker = read_table(Path(directory) / "utt2spk")
            first: dict[int, str] = {}
            for key, position in place.items():
                if key not in speaker:
                    raise InputError(f"no speaker for '{key}'", Path(directory) / "utt2spk", "run `speakerkd validate`")
                other = speaker[first.setdefault(position, key)]
                if other != speaker[key]:
                    raise InputError(f"one face of both {other} and {speaker[key]}", key, "mend aligned.scp")
            keys.append([first[position] for position in range(len(crops))])
            local, label = np.unique([speaker[key] for key in keys[-1]], return_inverse=True)
            labels.append(label.astype(np.int64) + len(names))
            names += local.tolist()
            maps.append(crops)
        teacher = None
        if self.experiment.distill:
            name = self.experiment.teacher.archive or "teacher.scp"
            teacher = read_teacher(self.data.directories, name, keys)
        flat, label = [key for part in keys for key in part], np.concatenate(labels)
        pictures = maps[0] if len(maps) == 1 else np.concatenate(maps)
        if self.data.fraction < 1:
            chosen = fraction_of(label, self.data.fraction, self.experiment.seed)
            flat, label, pictures = [flat[i] for i in chosen], label[chosen], pictures[chosen]
            teacher = None if teacher is None else teacher.keep(chosen)
        return CropSource(
            pictures,
            flat,
            label,
            names,
            preprocess=self._preprocess,
            teacher=teacher,
            shift=self.data.shift,
            flip=self.data.flip,
            strong=strong,
        )

    def evaluate(self, embed: Embed, classifier: nn.Linear | None = None) -> dict[str, float]:
        if self.data.dev is None:
            return {}
        if self._dev is None:
            place, crops = crop_map(self.data.dev)
            self._dev = crops, EarlyTrials(self.data.dev, place)
        crops, trials = self._dev
        parts = []
        for start in range(0, len(trials.recordings), 256):
            pictures = torch.from_numpy(crops[trials.recordings[start : start + 256]])
            parts.append(embed(self._preprocess(pictures)))
        return trials.figures(torch.cat(parts))

    def metadata(self) -> dict[str, Any]:
        return {}

    def deployed(self, student: nn.Module, classifier: nn.Linear | None) -> tuple[nn.Module, Settings]:
        return student, self.experiment.student


def frontend_of(directories: Sequence[str]) -> dict[str, Any] | None:
    """The settings that the features of directories were made with (feats.json); None where none says.

    Raises InputError where two directories' differ.
    """
    found: tuple[Path, dict[str, Any]] | None = None
    for directory in directories:
        path = Path(directory) / "feats.json"
        if not path.is_file():
            continue
        try:
            settings = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"not valid JSON ({error})", path, "run `speakerkd fbank` again") from error
        if found is not None and found[1] != settings:
            raise InputError(f"features made with other settings than those of {found[0]}", path, "make both the same")
        found = path, settings
    return None if found is None else found[1]


def _there(directory: str, name: str, verb: str) -> None:
    path = Path(directory)
    if not path.is_dir():
        raise InputError("no such data directory", path, "give a directory made by `speakerkd prepare`")
    if not (path / name).is_file():
        raise InputError(f"the data directory has no {name}", path, f"run `{verb}` on it first")


TASKS: dict[str, type[Task]] = {"speaker": SpeakerTask, "face": FaceTask, "image": ImageTask}
