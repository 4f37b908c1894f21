"""What a recipe will cost on this machine: disk and time of each stage, from some ten seconds of measuring."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GB = 1e9
FBANK_HOUR = 2 * 40 * 360_000  # bytes of an hour: two a value, 40 bands, 100 frames a second
CROP = 25_000 + 112 * 112 * 3  # a face as PNG, and in the map that training of a face network reads
LIST_LINE = 75  # bytes of a line of a score file
FILES_A_SECOND = 1500  # headers read a second and core; on a network disk much less
TEN_CROPS = 40.0  # seconds of speech that the network sees of a recording: ten crops of 4 s


@dataclass(frozen=True, slots=True)
class Size:
    """A part of a corpus: speakers, videos (sessions), recordings, hours of speech."""

    speakers: int = 0
    videos: int = 0
    recordings: int = 0
    hours: float = 0.0

    def __add__(self, other: Size) -> Size:
        return Size(
            self.speakers + other.speakers,
            self.videos + other.videos,
            self.recordings + other.recordings,
            self.hours + other.hours,
        )


# Chung et al. 2018, Table 2; Nagrani et al. 2017; hours as PaddleSpeech's recipe counts them
VOX2_DEV = Size(5994, 145_569, 1_092_009, 2360.2)
VOX2_TEST = Size(118, 4911, 36_237, 79.9)
VOX1_TEST = Size(40, 677, 4874, 11.2)
VOX1_ALL = Size(1251, 22_496, 153_516, 351.6)


@dataclass(frozen=True, slots=True)
class Rates:
    """What this machine does in a second. cores: that preparation may use; gpu: its name, or ''.

    speech: seconds of m4a to Fbank, a core; faces: pictures searched and aligned, a core; teacher: faces embedded by
    IR-50; trained: utterances of 2 s in training ResNet34 of full width; embedded: seconds of speech in inference.
    """

    cores: int
    gpu: str
    speech: float
    faces: float
    teacher: float
    trained: float
    embedded: float

    def __str__(self) -> str:
        return (
            f"{self.gpu or 'no GPU'}, {self.cores} cores; m4a to Fbank {self.speech:,.0f} times real time a core, "
            f"{self.faces:.1f} faces/s a core, IR-50 {self.teacher:.1f} faces/s, training "
            f"{self.trained:.1f} utterances/s, embedding {self.embedded:,.0f} times real time"
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage's cost: disk in bytes, time in seconds."""

    number: int
    name: str
    disk: float
    seconds: float


def count(folders: Sequence[Path], sample: int = 12) -> Size:
    """About how much lies below `<folder>/<speaker>/<video>/<recording>`: counted in some speakers, times all.

    Hours are from the files' sizes where they are wav, and 7.8 s a recording (VoxCeleb2's mean) otherwise.
    """
    total = Size()
    for folder in folders:
        speakers = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
        if not speakers:
            continue
        sampled = speakers[:: max(1, len(speakers) // sample)]
        videos = recordings = 0
        seconds = 0.0
        for speaker in sampled:
            for video in os.scandir(speaker):
                if not video.is_dir():
                    continue
                videos += 1
                for file in os.scandir(video.path):
                    recordings += 1
                    seconds += file.stat().st_size / 32_000 if file.name.endswith(".wav") else 7.8
        share = len(speakers) / len(sampled)
        total += Size(len(speakers), round(videos * share), round(recordings * share), seconds * share / 3600)
    return total


def measure(seconds: float = 10.0) -> Rates:
    """Measure for about so long, on made-up signals and untrained networks of the real shapes."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    share = seconds / 6
    with tempfile.TemporaryDirectory() as folder:
        speech = _speech_rate(Path(folder), share)
    return Rates(
        cores=os.cpu_count() or 1,
        gpu=torch.cuda.get_device_name() if device == "cuda" else "",
        speech=speech,
        faces=_face_rate(share),
        teacher=_teacher_rate(device, share),
        trained=_training_rate(device, 2 * share),
        embedded=_embedding_rate(device, share),
    )


def stages(
    rates: Rates,
    train: Size,
    test: Size,
    scored: Size,
    *,
    systems: int,
    noisy: int = 0,
    epochs: int = 36,
    lines: int = 0,
) -> list[Stage]:
    """Stages 1 to 5 of the recipe for so much data. noisy: recordings that are scored at three levels of noise too.

    lines: trials of all lists. The time of stage 3 is that of ResNet34 at full width, each of `systems` after another.
    """
    both = train + test
    speech = (both.hours + scored.hours) * 3600
    files = both.recordings + both.videos + scored.recordings
    checkpoints = 5 * 3 * 4 * 25e6  # weights and Adam's two moments of some 25 million parameters; five are kept
    heard = scored.recordings + 3 * noisy
    return [
        Stage(
            1, "data directories", 400.0 * (both.recordings + scored.recordings), files / FILES_A_SECOND / rates.cores
        ),
        Stage(
            2,
            "Fbank, faces, teacher",
            speech / 3600 * FBANK_HOUR + both.videos * (CROP + 512 * 4),
            speech / rates.speech / rates.cores + both.videos / rates.faces / rates.cores + both.videos / rates.teacher,
        ),
        Stage(3, "training", systems * checkpoints, systems * epochs * train.recordings / rates.trained),
        Stage(4, "scores", systems * lines * LIST_LINE, systems * heard * TEN_CROPS / rates.embedded),
        Stage(5, "matching", systems * 1e6, systems * min(test.recordings, 40_000) * TEN_CROPS / rates.embedded),
    ]


def tell(costs: Sequence[Stage]) -> Iterator[str]:
    """Lines of a table, with the sum."""
    yield f"{'stage':<28}{'disk':>12}{'time':>14}"
    for one in costs:
        yield f"{one.number} {one.name:<26}{one.disk / GB:>9,.1f} GB{duration(one.seconds):>14}"
    yield f"{'  all':<28}{sum(c.disk for c in costs) / GB:>9,.1f} GB{duration(sum(c.seconds for c in costs)):>14}"


def duration(seconds: float) -> str:
    """`95 s`, `12 min`, `4.5 h` or `12 days`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (72 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:,.1f} {name}" if name == "h" else f"{seconds / unit:,.0f} {name}"
    return f"{seconds / 86400:,.0f} days"


def _each(work: Callable[[], object], share: float) -> float:
    """Seconds of one call of `work`, the mean over about `share` seconds after one that does not count."""
    work()
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < share:
        work()
        calls += 1
    return (time.perf_counter() - begin) / calls


def _speech_rate(folder: Path, share: float) -> float:
    import av
    import torch

    from speakerkd.frontend.audio import read_audio
    from speakerkd.frontend.fbank import fbank

    length, path = 8, folder / "speech.m4a"
    time_axis = np.arange(length * 16000) / 16000
    wave = 0.2 * np.sin(2 * np.pi * 180 * time_axis) + 0.02 * np.random.default_rng(0).normal(size=len(time_axis))
    with av.open(str(path), "w", format="mp4") as container:
        track = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None], np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 16000, 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return length / _each(lambda: fbank(torch.from_numpy(read_audio(path))[None]), share)
    finally:
        torch.set_num_threads(threads)


def _face_rate(share: float) -> float:
    import torch

    from speakerkd.frontend.faces import detector

    pictures = list(np.random.default_rng(0).integers(0, 255, (4, 14, 14, 3), np.uint8).repeat(16, 1).repeat(16, 2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return len(pictures) / _each(lambda: detector().find(pictures), share)
    finally:
        torch.set_num_threads(threads)


def _teacher_rate(device: str, share: float) -> float:
    import torch

    from speakerkd.models.face import FaceSettings, build_face
    from speakerkd.models.face_network import embed_pictures
    from speakerkd.models.precision import channels_last, inference_dtype

    many = 256 if device == "cuda" else 2
    network = channels_last(build_face(FaceSettings(name="ir50")).eval().to(device))
    crops = torch.randint(0, 256, (many, 112, 112, 3), dtype=torch.uint8)
    with torch.autocast(device, torch.bfloat16, enabled=inference_dtype(device) == torch.bfloat16):
        return many / _each(lambda: embed_pictures(network, crops).sum().item(), share)


def _training_rate(device: str, share: float) -> float:
    """Forward and backward of the network; data and teaching add a few per cent."""
    import torch

    from speakerkd.models.precision import channels_last, inference_dtype
    from speakerkd.models.speaker import SpeakerSettings, build_speaker

    many = 200 if device == "cuda" else 4
    network = channels_last(build_speaker(SpeakerSettings()).to(device))
    crops = torch.randn(many, 200, 40, device=device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=inference_dtype(device) == torch.bfloat16):
            loss = network(crops).embedding.square().mean()
        loss.backward()
        network.zero_grad()
        loss.item()

    return many / _each(step, share)


def _embedding_rate(device: str, share: float) -> float:
    import torch

    from speakerkd.models.precision import channels_last, inference_dtype
    from speakerkd.models.speaker import SpeakerSettings, build_speaker

    many = 100 if device == "cuda" else 1
    network = channels_last(build_speaker(SpeakerSettings()).eval().to(device))
    crops = torch.randn(many, 400, 40, device=device)

    @torch.no_grad()
    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=inference_dtype(device) == torch.bfloat16):
            network(crops).embedding.sum().item()

    return 4 * many / _each(step, share)
