"""An exported model beside torch, in turns within one run: from a cold shell, one recording at a time, among a million.

python tools/benchmark.py runtime [--model EXP] [--corpus DIR] [--only shell rate identify] [--repeats N]

shell: wall and processor time of whole commands, from starting Python to the answer. rate: seconds of sound a second,
one recording at a time, whole, on one thread, by processor time. identify: a search among 1,000,000 people of 256
numbers, once the gallery is loaded.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from benchmarks._machine import describe
from PIL import Image

PARTS = ("shell", "rate", "identify")
RUNTIMES = ("onnx", "torch")
PEOPLE, NUMBERS = 1_000_000, 256
WANTED = {"verify": 1.5, "match": 3.0}  # seconds


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py runtime", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("exp/latest"), help="experiment that a face network taught")
    corpus = Path("data/mini/corpus/vox2/test")
    parser.add_argument("--corpus", type=Path, default=corpus, help="folder with aac/ and mp4/, as mini makes it")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=5, help="of each command")
    options = parser.parse_args(arguments)
    print(f"{describe()}, load {os.getloadavg()[0]:.1f}")
    print(f"{'what':<58}{'onnx':>12}{'torch':>12}{'ratio':>8}   wanted")
    if set(options.only) & {"shell", "rate"}:
        with tempfile.TemporaryDirectory() as folder:
            models = {"onnx": exported(options.model, Path(folder)), "torch": options.model}
            sounds, pictures = media(options.corpus, Path(folder))
            if "shell" in options.only:
                bench_shell(models, sounds, pictures, options.repeats)
            if "rate" in options.only:
                bench_rate(models, sounds)
    if "identify" in options.only:
        bench_identify()


def row(what: str, onnx: str, torch: str, ratio: float, wanted: str = "") -> None:
    print(f"{what:<58}{onnx:>12}{torch:>12}{ratio:>8.1f}   {wanted}", flush=True)


def exported(model: Path, folder: Path) -> Path:
    from speakerkd.export import export_model

    return export_model(model, folder / "onnx").directory


def media(corpus: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Recordings as WAV files, and a picture of each of four people."""
    from speakerkd.frontend.audio import read_audio
    from speakerkd.frontend.faces import seen_face

    sounds = []
    for number, path in enumerate(sorted((corpus / "aac").rglob("*.m4a"))[:20]):
        sounds.append(folder / f"{number}.wav")
        soundfile.write(sounds[-1], read_audio(path), 16000)
    pictures = []
    for person in sorted((corpus / "mp4").iterdir())[:4]:
        pictures.append(folder / f"{person.name}.png")
        Image.fromarray(seen_face(min(person.rglob("*.mp4")))[1]).save(pictures[-1])
    return sounds, pictures


def bench_shell(models: dict[str, Path], sounds: list[Path], pictures: list[Path], repeats: int) -> None:
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = {
        "verify": ["verify", sounds[0], sounds[1]],
        "match": ["match", "--audio", sounds[0], "--faces", *pictures],
    }
    for verb, command in commands.items():
        taken: dict[str, list[tuple[float, float]]] = {runtime: [] for runtime in RUNTIMES}
        for turn in range(repeats + 1):  # in turns, so that a machine that slows down does so for both
            for runtime in RUNTIMES:
                typed = [*command, "--runtime", runtime, "--model", models[runtime]]
                command_line = [sys.executable, "-m", "speakerkd.cli.main", *map(str, typed)]
                start, spent = time.perf_counter(), children()
                done = subprocess.run(command_line, capture_output=True, env=compiled)
                if turn:  # the first compiles what pip compiles on installing
                    taken[runtime].append((time.perf_counter() - start, children() - spent))
                if done.returncode:
                    raise SystemExit(done.stderr.decode())
        what = f"{verb}, cold shell" + (f", {len(pictures)} pictures" if verb == "match" else "")
        for kind, wanted in ((0, f"under {WANTED[verb]:g} s"), (1, "")):
            ours, theirs = (statistics.median(times[kind] for times in taken[runtime]) for runtime in RUNTIMES)
            row("  processor time" if kind else what, f"{ours:.2f} s", f"{theirs:.2f} s", theirs / ours, wanted)


def children() -> float:
    """Seconds of processor time that finished commands took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bench_rate(models: dict[str, Path], sounds: list[Path]) -> None:
    import torch

    import speakerkd
    from speakerkd.onnx_model import OnnxModel

    torch.set_num_threads(1)
    heard = [soundfile.read(path, dtype="float32") for path in sounds]
    seconds = sum(len(samples) / rate for samples, rate in heard)
    network = speakerkd.load(models["torch"], "cpu")
    runs = {"onnx": OnnxModel(models["onnx"], threads=1), "torch": network}

    def rate(model: OnnxModel | speakerkd.Model) -> float:
        start = time.process_time()
        for one in heard:
            model.embed(one)
        return seconds / (time.process_time() - start)

    rates: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
    for turn in range(6):
        for runtime in RUNTIMES:
            speed = rate(runs[runtime])
            if turn:  # the first warms up
                rates[runtime].append(speed)
    ours, theirs = (statistics.median(rates[runtime]) for runtime in RUNTIMES)
    package = network.package
    what = f"{package.settings.name}, width {package.settings.width}: times real time, 1 thread"
    row(what, f"{ours:.0f}", f"{theirs:.0f}", ours / theirs, "80 times")


def bench_identify() -> None:
    from speakerkd.gallery import Index

    rng = np.random.default_rng(0)
    vectors = np.empty((PEOPLE, NUMBERS), np.float32)
    for start in range(0, PEOPLE, 50_000):
        vectors[start : start + 50_000] = rng.standard_normal((50_000, NUMBERS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index([str(number) for number in range(PEOPLE)], vectors)
    probe = vectors[777] + 0.02 * rng.standard_normal(NUMBERS).astype(np.float32)
    assert index.search(probe)[0].name == "777"

    def median(work: Callable[[], object]) -> float:
        times = []
        for _ in range(15):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return 1e3 * statistics.median(times)

    ours, read = median(lambda: index.search(probe)), median(lambda: vectors.view(np.int64).max())
    blas = median(lambda: np.argpartition(-(vectors @ probe), 5))
    print(f"{f'identify among {PEOPLE:,} x {NUMBERS}':<58}{ours:>9.0f} ms{'':>20}   under 100 ms")
    print(f"  BLAS and a partition: {blas:.0f} ms; only reading the numbers: {read:.0f} ms", flush=True)
