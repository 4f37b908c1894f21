"""Data preparation: m4a to Fbank on one core beside real time, faces in batches beside a picture-by-picture loop.

Pictures are frames of 224 x 224 pixels that a face-tracker would leave, as in VoxCeleb2: faces of scikit-image's
`lfw_subset` where the extra `mini` is installed, noise otherwise (which asks less of MTCNN's later networks).
"""

from __future__ import annotations

import argparse
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
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(describe(options.device))
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


def faces(options: argparse.Namespace) -> None:
    """Found and aligned in batches, beside facenet-pytorch's own call for one picture after another.

    Both search the same pixels at the same settings, and align the best face: what comes out is the same.
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
    for title, shown, given in (
        ("no border", pictures, DetectorSettings(padding=0)),
        ("the default border of .25", bordered, DetectorSettings()),
        ("no border, min_face=60 (tracked faces fill the frame)", pictures, DetectorSettings(padding=0, min_face=60)),
    ):
        detector = FaceDetector(given, options.device)
        ours, loop = (
            busy(work, 5)
            for work in (lambda: detector.find(pictures), lambda: one_by_one(shown, detector.settings.min_face))  # noqa: B023
        )
        print(f"faces, {title}: one by one {count / loop:.1f}/s, in batches {count / ours:.1f}/s, {loop / ours:.2f} x")


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
