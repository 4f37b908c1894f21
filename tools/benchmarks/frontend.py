"""The front end: Fbank beside torchaudio's, crops from an archive beside decoding, pictures and teacher a second."""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
import torch
from benchmarks._machine import describe, matrix_rate, seconds


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py frontend", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a recording")
    parser.add_argument("--batch", type=int, default=16, help="recordings of a batch")
    parser.add_argument("--utterances", type=int, default=2000, help="utterances of the archive")
    parser.add_argument("--crops", type=int, default=400, help="crops of a training batch, 2 s each")
    parser.add_argument("--lines", type=int, default=1_090_000, help="lines of the large archive list; 0: leave it out")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    print(describe(options.device))
    print(f"matrix product, float32: {matrix_rate(torch.float32, options.device) / 1e9:.0f} GFLOP/s")
    fbank_rates(options)
    reading_rates(options)
    with tempfile.TemporaryDirectory() as folder:
        archive_rates(Path(folder), options)
        if options.lines:
            list_rates(Path(folder), options)
    face_rates(options)


def fbank_rates(options: argparse.Namespace) -> None:
    """Both with the threads that torch has, recording by recording and in a batch."""
    from torchaudio.compliance import kaldi

    from speakerkd.frontend.fbank import FbankSettings, fbank

    waves = 0.1 * torch.randn(options.batch, int(options.seconds * 16000))
    duration = options.batch * options.seconds
    for mels in (40, 80):
        settings = FbankSettings(mels=mels)

        def theirs(mels=mels) -> list[torch.Tensor]:
            arguments = {"num_mel_bins": mels, "dither": 0.0, "window_type": "hamming"}
            return [kaldi.fbank(wave[None] * 32768, **arguments) for wave in waves]

        slow = seconds(theirs)
        single = seconds(lambda settings=settings: [fbank(wave[None], settings) for wave in waves])
        apart = (torch.stack(theirs()) - fbank(waves, settings)).abs().max()
        print(f"Fbank, {mels} bands: {duration / single:,.0f} times real time, torchaudio {duration / slow:,.0f}")
        print(f"  ratio {slow / single:.2f}, largest difference {apart:.1e}")
        if options.device != "cpu":
            there = waves.to(options.device)
            batch = seconds(lambda settings=settings, there=there: fbank(there, settings))
            print(f"  on the device, in a batch: {duration / batch:,.0f} times real time, ratio {slow / batch:.1f}")


def reading_rates(options: argparse.Namespace) -> None:
    """Recordings read from disk to samples, beside the library's own call for each."""
    import soundfile

    from speakerkd.corpora.mini.media import write_m4a
    from speakerkd.frontend.audio import read_audio

    wave = (0.1 * np.random.default_rng(0).normal(size=int(options.seconds * 16000))).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.wav", "a.flac", "a.ogg", "a.m4a"):
            path = Path(folder, name)
            if name == "a.m4a":
                write_m4a(path, wave, 16000)
            else:
                soundfile.write(path, wave, 16000)
            taken = seconds(lambda path=path: read_audio(path), repeats=50)
            line = f"reading {name[2:]}: {options.seconds / taken:,.0f} times real time"
            if name != "a.m4a":
                alone = seconds(lambda path=path: soundfile.read(path, dtype="float32"), repeats=50)
                line += f", {taken / alone:.2f} times as long as soundfile alone"
            print(line)


def archive_rates(folder: Path, options: argparse.Namespace) -> None:
    """A training batch gathered from the memory map, beside kaldiio's decoding of the whole matrices."""
    import kaldiio

    from speakerkd.data.archive import FeatureArchive, write_features

    rng = np.random.default_rng(0)
    frames, length = int(options.seconds * 100), 200
    matrix = rng.normal(10, 3, (frames, 40)).astype(np.float32)
    names = [f"id{n % 97:05d}/video{n % 13}/{n:05d}" for n in range(options.utterances)]
    once = seconds(lambda: write_features(folder, "feats", ((name, matrix) for name in names)), repeats=1, warm_up=0)
    archive, reference = FeatureArchive(folder / "feats.scp"), kaldiio.load_scp(str(folder / "feats.scp"))
    keys = archive.keys
    out = np.empty((options.crops, length, 40), np.float32)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(0, len(keys), options.crops), rng.integers(0, frames - length, options.crops)

    def ours() -> np.ndarray:
        return archive.crops(*draw(), length, out)

    def theirs() -> np.ndarray:
        for row, (index, start) in enumerate(zip(*draw(), strict=True)):
            out[row] = reference[keys[index]][start : start + length]
        return out

    fast, slow = seconds(ours, 20), seconds(theirs)
    print(f"archive: {options.utterances / once:,.0f} matrices/s written ({options.seconds:g} s each)")
    print(f"crops of 2 s: {options.crops / fast:,.0f}/s from the map, {options.crops / slow:,.0f}/s decoded by kaldiio")
    print(f"  ratio {slow / fast:.0f}, {1e3 * fast:.2f} ms a batch of {options.crops}")


def list_rates(folder: Path, options: argparse.Namespace) -> None:
    """Opening an archive list as long as VoxCeleb2's, first and again."""
    from speakerkd.data.archive import FeatureArchive, index_path, write_ark

    ark = folder / "large.ark"
    offset = write_ark(ark, [("x", np.eye(3, 2, dtype=np.float32))])["x"].rpartition(":")[2]
    scp = folder / "large.scp"
    with open(scp, "w", encoding="utf-8") as stream:
        stream.writelines(f"id{n // 180:05d}/21Uxsk56VDQ{n % 9}/{n:07d} {ark}:{offset}\n" for n in range(options.lines))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = seconds(lambda: FeatureArchive(scp), repeats=1, warm_up=0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    again = seconds(lambda: FeatureArchive(scp), repeats=3, warm_up=0)
    size = index_path(scp).stat().st_size / 1e6
    print(
        f"list of {options.lines:,} lines: {first:.1f} s at first ({grown:.0f} MB more), {again:.2f} s from its index"
    )
    print(f"  index {size:.0f} MB")


def face_rates(options: argparse.Namespace) -> None:
    """Detection and alignment of 224 x 224 pictures, and IR-50 over the crops."""
    from speakerkd.frontend.faces import FaceDetector
    from speakerkd.models.face import FaceSettings, build_face
    from speakerkd.models.face_network import embed_pictures
    from speakerkd.models.precision import inference_dtype

    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 255, (16, 14, 14, 3), np.uint8).repeat(16, 1).repeat(16, 2))
    detector = FaceDetector(device=options.device)
    taken = seconds(lambda: detector._find(pictures, 1.0), repeats=3)
    print(f"faces searched: {len(pictures) / taken:.0f} pictures/s (noise of 224 x 224)")
    network = build_face(FaceSettings(name="ir50")).eval().to(options.device, memory_format=torch.channels_last)
    crops = torch.randint(0, 256, (32, 112, 112, 3), dtype=torch.uint8)
    for dtype in dict.fromkeys((torch.float32, inference_dtype(options.device))):
        with torch.autocast(options.device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            taken = seconds(lambda: embed_pictures(network, crops), repeats=3)
        share = 2 * 6.296e9 * len(crops) / taken / matrix_rate(dtype, options.device)
        name = str(dtype).removeprefix("torch.")
        print(f"IR-50, {name}: {len(crops) / taken:.0f} faces/s, {100 * share:.0f} % of the matrix rate in {name}")
