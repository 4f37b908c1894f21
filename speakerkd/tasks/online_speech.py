"""Training crops made of raw recordings with fresh noise, rooms and speeds: slower than copies, and never the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from speakerkd.config import Settings
from speakerkd.data.sounds import Sound, read_sounds
from speakerkd.data.utterances import Utterances
from speakerkd.errors import InputError
from speakerkd.frontend.augment import Augmentation, NoiseStep, Step, apply, change_speed, copies, responses
from speakerkd.frontend.extract import AUGMENT
from speakerkd.frontend.fbank import FbankSettings, fbank
from speakerkd.frontend.noise import Level, NoiseBank
from speakerkd.frontend.sounds import read_sound
from speakerkd.teachers.inputs import TeacherInput


class OnlineSettings(Settings):
    """What `speakerkd augment` makes once, made anew for every crop."""

    musan: Path | None = Field(None, description="noises in MUSAN's layout: noise, music and babble at Kaldi's levels")
    rirs: Path | None = Field(None, description="impulse responses (RIRS_NOISES): reverberation")
    speeds: list[float] = Field(default_factory=list, description="new speakers at these speeds, such as 0.9 1.1")
    seed: int = Field(0, ge=0, description="with key and draw it decides what a crop gets")
    level: Level = Field("exact", description="noise at exact decibels, or with voxceleb_trainer's floor of 1e-4")
    workers: int = Field(0, ge=0, le=256, description="threads that decode recordings; 0: one a core")


class OnlineSpeech:
    """N utterances and S of each at other speeds, as classes of their own: N (1 + S) samples, speed by speed.

    A crop is drawn clean, from the features that are there, or with one of noise, music, babble and reverberation, all
    alike; then, and at other speeds, its recording is read and changed before its features are made.
    """

    def __init__(
        self, directories: Sequence[str], utterances: Utterances, frontend: FbankSettings, settings: OnlineSettings
    ):
        self._base, self._frontend = utterances, frontend
        self.seed = settings.seed
        steps = copies(settings.musan, settings.rirs, settings.seed, settings.level)
        if not steps and not settings.speeds:
            what = f"no noise, music or speech in {settings.musan}" if settings.musan else "nothing to do"
            raise InputError(what, "data.online", "give musan: DIR, rirs: DIR or speeds: [0.9, 1.1]")
        self._steps: list[Sequence[Step]] = list(steps.values())
        for step in (step for steps in self._steps for step in steps):  # what is missing is said before training
            if isinstance(step, NoiseStep):
                NoiseBank(step.directory, step.seed)
        if settings.rirs is not None:
            responses(str(settings.rirs.absolute()))
        self._sounds = _sounds_of(directories, utterances)
        self._threads = ThreadPoolExecutor(settings.workers or os.cpu_count(), "recordings")

        self.speeds = [1.0, *settings.speeds]
        marks = ["", *(f"sp{speed:g}-" for speed in settings.speeds)]
        classes = len(utterances.names)
        self.keys = [f"{mark}{key}" for mark in marks for key in utterances.keys]
        self.names = [f"{mark}{name}" for mark in marks for name in utterances.names]
        self.labels = np.concatenate([utterances.labels + number * classes for number in range(len(marks))])

    @property
    def frames(self) -> NDArray[np.int64]:
        """(N (1 + S),) int64; at other speeds to a frame or two."""
        frames = self._base.frames
        return np.concatenate([np.maximum(1, frames / speed).astype(np.int64) for speed in self.speeds])

    def crops(
        self, indices: NDArray[np.int64], starts: NDArray[np.int64], length: int, draws: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Crops (B, length, F) of samples (B,) from frame `starts` (B,), changed as draws (B,) in [0, 1) say."""
        speed, row = np.divmod(indices, len(self._base.keys))
        change = (draws * (1 + len(self._steps))).astype(np.int64)  # 0: none
        raw = np.flatnonzero((speed > 0) | (change > 0))
        out = self._base.crops(row, np.minimum(starts, self._base.frames[row] - 1), length)

        def one(position: int) -> Tensor:
            key = f"{self.keys[indices[position]]}\0{draws[position]!r}"
            steps = self._steps[change[position] - 1] if change[position] else []
            sound = self._sounds[row[position]]
            return self._crop(sound, self.speeds[speed[position]], steps, key, int(starts[position]), length)

        for position, crop in zip(raw, self._threads.map(one, raw), strict=True):
            out[position] = crop.numpy()
        return out

    def _crop(self, sound: Sound, speed: float, steps: Sequence[Step], key: str, start: int, length: int) -> Tensor:
        """Features (length, F) of a changed recording from a frame on; one that is too short wraps."""
        frontend = self._frontend
        samples = read_sound(sound, frontend.rate)
        centred = frontend.kind != "kaldi"  # such features depend on more than the windows of the crop
        if not centred:
            first, last = (round(n * frontend.window_shift * speed) for n in (start, start + length - 1))
            last += round(frontend.window_size * speed) + 1
            # an end that the estimate of a speed's length missed: the last crop that there is
            first = max(0, min(first, len(samples) - (last - first)))
            samples = samples[first:last]
        if speed != 1:
            samples = change_speed(samples, speed)
        if steps:
            samples = apply(Augmentation(steps=list(steps)), key, samples, frontend.rate)
        features = fbank(torch.from_numpy(np.ascontiguousarray(samples))[None], frontend)[0]
        if len(features) == 0:
            raise InputError(f"shorter than a window at speed {speed:g}", sound, "leave the recording out")
        begin = min(start, max(0, len(features) - length)) if centred else 0
        return features[(begin + torch.arange(length)) % len(features)]


class TaughtAtOwnSpeed:
    """A teacher's input of N samples; those at other speeds, after them, have none: the face is of another voice."""

    def __init__(self, teacher: TeacherInput, count: int, all_together: int) -> None:
        self._teacher, self._count = teacher, count
        own = np.ones(count, bool) if teacher.paired is None else teacher.paired
        self.paired: NDArray[np.bool_] | None = np.concatenate([own, np.zeros(all_together - count, bool)])

    def take(self, indices: NDArray[np.int64]) -> Tensor:
        own = torch.from_numpy(indices < self._count)
        outputs = self._teacher.take(np.where(indices < self._count, indices, 0))
        return torch.where(own.view(-1, *[1] * (outputs.ndim - 1)), outputs, torch.zeros((), dtype=outputs.dtype))


def _sounds_of(directories: Sequence[str], utterances: Utterances) -> list[Sound]:
    """The recording of each utterance; raises InputError where a directory is of changed recordings, or lacks one."""
    recordings: list[Sound | None] = []
    for directory, archive in zip(map(Path, directories), utterances.archives, strict=True):
        if (directory / AUGMENT).is_file():
            fix = "list the directory that it was made of; data.online makes the rest"
            raise InputError("a directory of changed recordings", directory / AUGMENT, fix)
        sounds = read_sounds(directory)
        recordings += [sounds.get(key) for key in archive.keys]
    own = []
    for key, position in zip(utterances.keys, utterances.position, strict=True):
        sound = recordings[position]
        if sound is None:
            raise InputError(f"no recording of '{key}'", Path(directories[0]) / "wav.scp", "run `speakerkd validate`")
        own.append(sound)
    return own
