"""Data preparation: m4a to Fbank on one core beside real time, faces in batches beside a picture-by-picture loop, and
with --utterances what a data directory of that many costs to validate, to open and to crop from.

Pictures are frames of 224 x 224 pixels that a face-tracker would leave, as in VoxCeleb2: faces of scikit-image's
`lfw_subset` where the extra `mini` is installed, noise otherwise (which asks less of MTCNN's later networks).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from benchmarks._machine import describe


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py data", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a recording")
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--utterances", type=int, nargs="*", default=[], help="sizes of data directories to measure")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(describe(options.device))
    for count in options.utterances:
        with tempfile.TemporaryDirectory() as folder:
            directory(Path(folder), count)
    if options.utterances:
        return
    with tempfile.TemporaryDirectory() as folder:
        speech(Path(folder), options)
    faces(options)


def busy(work, repeats: int = 3) -> float:
    """Least processor seconds of `work` over some calls: what else runs on the machine does not count."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def at_once(work, processes: int, threads: int, turns: int = 6) -> float:
    """Calls of `work` a second, by the clock, in so many processes at once, each with so many threads."""
    context = multiprocessing.get_context("fork")
    ready, spans = context.Barrier(processes), context.Queue()

    def run() -> None:
        torch.set_num_threads(threads)
        work()
        ready.wait()
        begin = time.time()
        for _ in range(turns):
            work()
        spans.put((begin, time.time()))

    running = [context.Process(target=run) for _ in range(processes)]
    for process in running:
        process.start()
    begins, ends = zip(*(spans.get() for _ in running), strict=True)
    for process in running:
        process.join()
    return processes * turns / (max(ends) - min(begins))


def speech(folder: Path, options: argparse.Namespace) -> None:
    """Decoding and features, recording by recording, in this process on one thread."""
    import av

    from speakerkd.frontend.audio import read_audio
    from speakerkd.frontend.fbank import FbankSettings, fbank

    rng = np.random.default_rng(0)
    paths = []
    for number in range(options.recordings):
        path = folder / f"{number}.m4a"
        time_axis = np.arange(int(options.seconds * 16000)) / 16000
        pitch = 2 * np.pi * rng.uniform(90, 250) * time_axis
        wave = sum(np.sin(k * pitch) / k for k in range(1, 8)) * 0.1 + 0.01 * rng.normal(size=len(time_axis))
        with av.open(str(path), "w", format="mp4") as container:
            track = container.add_stream("aac", rate=16000, layout="mono")
            frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 16000, 0
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
        paths.append(path)
    settings = FbankSettings()
    total = options.seconds * len(paths)
    reading = busy(lambda: [read_audio(path) for path in paths])
    both = busy(lambda: [fbank(torch.from_numpy(read_audio(path))[None], settings) for path in paths])
    print(f"m4a to samples: {total / reading:,.0f} times real time a core")
    print(f"m4a to Fbank: {total / both:,.0f} times real time a core (processor time)")


def directory(folder: Path, count: int) -> None:
    """A data directory of `count` utterances: the same features under VoxCeleb2's keys, in arks of 20,000.

    Of 2.1 s each, or shorter where they would take more than 4 GB. Without wav.scp, whose files cost a look each.
    """
    from speakerkd.data.archive import FeatureArchive, write_ark
    from speakerkd.data.datadir import write_table
    from speakerkd.data.utterances import read_utterances
    from speakerkd.data.validate import validate

    rng = np.random.default_rng(0)
    frames = min(210, 4_000_000_000 // (80 * count))
    sample = folder / "sample.ark"
    write_ark(sample, [("k", rng.normal(10, 4, (frames, 40)).astype(np.float32))])
    record = sample.read_bytes()[1:]  # the blank after the key, and the matrix
    keys = [f"id{n * 5994 // count:05d}/{n // 8:011d}/{n % 8:05d}" for n in range(count)]
    places = {}
    for number, start in enumerate(range(0, count, 20_000)):
        with open(folder / f"{number}.ark", "wb") as stream:
            for key in keys[start : start + 20_000]:
                places[key] = f"{folder}/{number}.ark:{stream.tell() + len(key) + 1}"
                stream.write(key.encode() + record)
    write_table(folder / "feats.scp", places)
    write_table(folder / "utt2spk", {key: key[:7] for key in keys})
    write_table(folder / "utt2session", {key: key.rpartition("/")[0] for key in keys})
    write_table(folder / "utt2dur", dict.fromkeys(keys, "2.125"))

    def seconds(work) -> float:
        begin = time.process_time()
        work()
        return time.process_time() - begin

    index = seconds(lambda: FeatureArchive(folder / "feats.scp"))
    checked = seconds(lambda: validate(folder))
    opened: list = []
    opening = seconds(lambda: opened.append(read_utterances([folder])))
    code = (
        "import re, sys; from speakerkd.data.utterances import read_utterances as r\n"
        "peak = lambda: int(re.search('VmHWM:.*?([0-9]+)', open('/proc/self/status').read())[1]) / 2**20\n"
        "before = peak(); kept = r(sys.argv[1:]); print(peak() - before)"
    )
    memory = float(subprocess.run([sys.executable, "-c", code, folder], capture_output=True, check=True).stdout)
    indices = rng.integers(0, count, (20, 200))
    crops = seconds(lambda: [opened[0].crops(some, np.full(200, 5), 200) for some in indices]) / 20
    print(
        f"{count:,} utterances of {frames} frames: arks indexed in {index:.1f} s, once; validated in {checked:.1f} s, "
        f"opened in {opening:.1f} s with {memory:.2f} GB; a batch of 200 crops of 2 s in {1000 * crops:.1f} ms"
    )


def faces(options: argparse.Namespace) -> None:
    """Found and aligned in batches, beside facenet-pytorch's own call for one picture after another.

    Both search the same pixels at the same settings, and align the best face: what comes out is the same. First on one
    thread, in processor time; then as each is run, by the clock: theirs in one process with all threads, ours in a
    process a core, as `speakerkd faces` starts them.
    """
    from facenet_pytorch import MTCNN

    from speakerkd.frontend.alignment import align
    from speakerkd.frontend.faces import DetectorSettings, FaceDetector

    def one_by_one(pictures: list[np.ndarray], smallest: int) -> list[np.ndarray]:
        network = MTCNN(min_face_size=smallest, keep_all=True, device=options.device).eval()
        return [align(picture, network.detect(picture, landmarks=True)[2][0]) for picture in pictures]

    pictures = _pictures(options.pictures)
    bordered = [np.pad(picture, ((56, 56), (56, 56), (0, 0)), constant_values=127) for picture in pictures]
    count = len(pictures)
    for title, shown, settings in (
        ("no border", pictures, DetectorSettings(padding=0)),
        ("the default border of .25", bordered, DetectorSettings()),
        ("no border, min_face=60 (tracked faces fill the frame)", pictures, DetectorSettings(padding=0, min_face=60)),
    ):
        detector = FaceDetector(settings, options.device)
        ours = busy(lambda: detector.find(pictures), 5)  # noqa: B023  (called before the next turn of the loop)
        loop = busy(lambda: one_by_one(shown, detector.settings.min_face), 5)  # noqa: B023  (the same)
        print(f"faces, {title}: one by one {count / loop:.1f}/s, in batches {count / ours:.1f}/s, {loop / ours:.2f} x")
        if options.device == "cpu":
            cores = len(os.sched_getaffinity(0))
            theirs = count * at_once(lambda: one_by_one(shown, detector.settings.min_face), 1, cores)  # noqa: B023
            each = count * at_once(lambda: detector.find(pictures), cores, 1)  # noqa: B023  (the same)
            print(f"  all {cores} cores: one by one {theirs:.1f}/s, in batches {each:.1f}/s, {each / theirs:.2f} x")


def _pictures(count: int) -> list[np.ndarray]:
    try:
        from PIL import Image
        from skimage.data import lfw_subset
    except ImportError:
        rng = np.random.default_rng(0)
        return list(rng.integers(0, 255, (count, 14, 14, 3), np.uint8).repeat(16, 1).repeat(16, 2))
    some = (255 * lfw_subset()[:count]).astype(np.uint8)
    return [np.asarray(Image.fromarray(face).resize((224, 224)).convert("RGB")) for face in some]


if __name__ == "__main__":
    main([])
