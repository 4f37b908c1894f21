"""Scoring, figures and embedding against plain loops, which are contained here and timed on a sample.

python tools/benchmark.py score [--quick] [--only crops cosine metrics norm lists memory embedding]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmarks._machine import describe, matrix_rate, seconds

MODELS, TESTS = 196, 17_777  # CN-Celeb's list: every model against every recording, 3,484,292 trials
PARTS = ("crops", "cosine", "metrics", "norm", "lists", "memory", "embedding")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py score", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", default="cpu", help="of the embedding: cpu or cuda")
    parser.add_argument("--memory-of", choices=MEMORY, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    scale = 0.1 if options.quick else 1.0
    if options.memory_of:
        print(json.dumps(MEMORY[options.memory_of](scale)))
        return
    print(describe(options.device))
    print(f"{'what':<58}{'ours':>14}{'against':>14}{'ratio':>9}   wanted")
    for part in options.only:
        globals()[f"bench_{part}"](scale, options)


def row(what: str, ours: str, against: str = "", ratio: str = "", wanted: str = "") -> None:
    print(f"{what:<58}{ours:>14}{against:>14}{ratio:>9}   {wanted}", flush=True)


def sampled(work: Callable[[int], object], count: int, least: float = 2.0, warm_up: int = 20) -> float:
    """Seconds that a loop over `count` trials would take, from as many of them as `least` seconds allow."""
    for trial in range(warm_up):
        work(trial)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < least and done < count:
        work(done)
        done += 1
    return (time.perf_counter() - start) / done * count


def voxceleb_list(scale: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Trials of VoxCeleb1's shape: 4,708 recordings, each against eight others."""
    count = int(4708 * scale)
    trials = int(37_611 * scale)
    rows = np.repeat(np.arange(count, dtype=np.int32), 8)[:trials]
    return rows, np.random.default_rng(0).integers(0, count, len(rows)).astype(np.int32), count


def cnceleb_list(scale: float) -> tuple[np.ndarray, np.ndarray, int, int]:
    models, tests = max(2, int(MODELS * scale)), TESTS
    rows = np.repeat(np.arange(models, dtype=np.int32), tests)
    return rows, np.tile(np.arange(tests, dtype=np.int32), models), models, tests


def bench_crops(scale: float, _) -> None:
    from torch.nn.functional import normalize

    from speakerkd.evaluation.score import score_crops

    rows, columns, count = voxceleb_list(scale)
    generator = np.random.default_rng(1)
    values = generator.normal(size=(count, 1, 512)) + 0.7 * generator.normal(size=(count, 10, 512))
    values = values.astype(np.float32)
    ours = seconds(lambda: score_crops(values, values, rows, columns))
    feats = {n: torch.from_numpy(values[n]) for n in range(count)}

    def one(trial: int) -> float:  # as a widely used trainer writes it
        reference, other = normalize(feats[rows[trial]], dim=1), normalize(feats[columns[trial]], dim=1)
        return -1 * np.mean(torch.cdist(reference, other).numpy())

    loop = sampled(one, len(rows))
    what = f"crops, {len(rows):,} trials of 10 x 10 crops, 512-d"
    row(what, f"{ours:.3f} s", f"{loop:.2f} s", f"{loop / ours:.0f}", "20 times torch.cdist by trial (loop sampled)")
    apart = np.abs(score_crops(values, values, rows[:2000], columns[:2000]) - [one(t) for t in range(2000)][:2000])
    row("  greatest difference between the two", f"{apart.max():.1e}")


def bench_cosine(scale: float, _) -> None:
    from sklearn.metrics.pairwise import cosine_similarity

    from speakerkd.evaluation.score import score_cosine

    rows, columns, models, tests = cnceleb_list(scale)
    generator = np.random.default_rng(1)
    enrol, test = (generator.normal(size=(n, 256)).astype(np.float32) for n in (models, tests))
    ours = seconds(lambda: score_cosine(enrol, test, rows, columns))

    def one(trial: int) -> object:
        return cosine_similarity(enrol[rows[trial]].reshape(1, -1), test[columns[trial]].reshape(1, -1))

    loop = sampled(one, len(rows))
    what = f"cosine, {len(rows):,} trials, 256-d"
    wanted = "200 times cosine_similarity by trial (loop sampled)"
    row(what, f"{ours:.3f} s", f"{loop:.0f} s", f"{loop / ours:.0f}", wanted)


def bench_metrics(scale: float, _) -> None:
    from speakerkd.evaluation.metrics import eer, min_dcf, sort_scores

    generator = np.random.default_rng(1)
    for share, name in ((1 / MODELS, "1/196 targets"), (0.5, "1/2 targets")):
        count = int(MODELS * TESTS * scale)
        labels = (generator.random(count) < share).astype(np.int8)
        scores = generator.normal(size=count) + 3 * labels

        def figures(scores=scores, labels=labels) -> tuple[float, ...]:
            s = sort_scores(scores, labels)
            return eer(s), min_dcf(s, 0.01), min_dcf(s, 0.05)

        ours, once = seconds(figures), seconds(lambda scores=scores: np.argsort(scores))
        what = f"EER, two minDCF, {count:,} scores, {name}"
        row(what, f"{ours:.3f} s", f"{once:.3f} s", f"{ours / once:.2f}", "at most 3 times one numpy.argsort")


def bench_norm(scale: float, _) -> None:
    from speakerkd.evaluation.norm import cohort_statistics

    recordings, cohort = int(4708 * scale), int(200_000 * scale)
    generator = np.random.default_rng(1)
    values = generator.normal(size=(recordings, 256)).astype(np.float32)
    others = generator.standard_normal((cohort, 256), np.float32)
    ours = seconds(lambda: cohort_statistics(values, others, 300), repeats=1, warm_up=0)
    product = 2 * recordings * cohort * 256 / matrix_rate(torch.float32)
    what = f"as-norm, {recordings:,} recordings, cohort of {cohort:,}, 256-d"
    row(what, f"{ours:.2f} s", f"{product:.2f} s", f"{ours / product:.1f}", "(the matrix product alone)")


def bench_lists(scale: float, _) -> None:
    from speakerkd.data.trials import read_trials

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.lst"
        models = max(2, int(MODELS * scale))
        tests = [f"test/id{800 + i % MODELS:05d}-singing-{i // MODELS:02d}-001.wav" for i in range(TESTS)]
        with open(path, "w") as stream:
            for model in range(models):
                name = f"id{800 + model:05d}-enroll"
                stream.writelines(f"{name} {test} {int(i % MODELS == model)}\n" for i, test in enumerate(tests))
        ours = seconds(lambda: read_trials(path), repeats=3)
    rate = models * TESTS / ours
    what = f"reading a list of {models * TESTS:,} lines"
    row(what, f"{ours:.2f} s", "", f"{rate / 1e6:.2f}", "1 (million lines a second)")


def bench_memory(scale: float, options) -> None:
    for name, wanted in (
        ("cosine", "below twice the embeddings plus the scores"),
        ("crops", "below twice the embeddings plus the scores"),
        ("norm", "2,000 MB in all"),
    ):
        command = [sys.executable, Path(sys.argv[0]).resolve(), "score", "--memory-of", name]
        command += ["--quick"] if options.quick else []
        figures = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        what = f"memory, {name}: {figures['what']}"
        limit = figures["limit"]
        row(what, f"{figures['peak']:.0f} MB", f"{limit:.0f} MB", f"{figures['peak'] / limit:.2f}", wanted)


def peak_of(what: str, held: float, work: Callable[[], object], limit: float) -> dict:
    """Peak memory of `work` in MB: what it adds to this process, and what it was given (`held` MB)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    work()
    return {"what": what, "peak": held + memory("VmHWM") - before, "limit": limit}


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name + ":"))) / 1024


def _warm(compare: Callable[..., object], *shape: int) -> None:
    """Libraries take memory of their own at their first product, which is not the scores'."""
    few = np.ones((4, *shape), np.float32)
    compare(few, few, np.arange(4), np.arange(4))


def memory_of_cosine(scale: float) -> dict:
    from speakerkd.evaluation.score import score_cosine

    rows, columns, models, tests = cnceleb_list(scale)
    generator = np.random.default_rng(1)
    enrol, test = (generator.standard_normal((n, 512), np.float32) for n in (models, tests))
    _warm(score_cosine, 512)
    held = (enrol.nbytes + test.nbytes) / 1e6
    limit = 2 * held + 4 * len(rows) / 1e6
    return peak_of(f"{len(rows):,} trials", held, lambda: score_cosine(enrol, test, rows, columns), limit)


def memory_of_crops(scale: float) -> dict:
    from speakerkd.evaluation.score import score_crops

    rows, columns, count = voxceleb_list(scale)
    values = np.random.default_rng(1).standard_normal((count, 10, 512), np.float32)
    _warm(score_crops, 10, 512)
    held = values.nbytes / 1e6
    limit = 2 * held + 4 * len(rows) / 1e6
    return peak_of(f"{len(rows):,} trials", held, lambda: score_crops(values, values, rows, columns), limit)


def memory_of_norm(scale: float) -> dict:
    from speakerkd.evaluation.norm import cohort_statistics

    generator = np.random.default_rng(1)
    values = generator.standard_normal((int(4708 * scale), 512), np.float32)
    cohort = generator.standard_normal((int(200_000 * scale), 512), np.float32)
    figures = peak_of(f"cohort of {len(cohort):,}, 512-d", 0, lambda: cohort_statistics(values, cohort, 300), 2000)
    return figures | {"peak": memory("VmHWM")}


MEMORY = {"cosine": memory_of_cosine, "crops": memory_of_crops, "norm": memory_of_norm}


class Synthetic:
    """Recordings of random Fbank, about eight seconds each as VoxCeleb's are."""

    def __init__(self, count: int, mels: int) -> None:
        generator = np.random.default_rng(2)
        self.keys = [f"id{n % 40}/v/{n}" for n in range(count)]
        self.voices = generator.normal(size=(40, 1, mels)).astype(np.float32)
        self.frames = generator.integers(410, 1200, count)
        self.mels = mels

    def features(self, position: int) -> np.ndarray:
        generator = np.random.default_rng(position)
        noise = generator.standard_normal((self.frames[position], self.mels), np.float32)
        wave = np.sin(np.arange(self.frames[position])[:, None] * (0.05 + 0.01 * (position % 40)))
        return 8 + noise + wave.astype(np.float32) * self.voices[position % 40]

    def __str__(self) -> str:
        return "synthetic"


def bench_embedding(scale: float, options) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    from speakerkd.evaluation.embed import embed
    from speakerkd.evaluation.metrics import eer, sort_scores
    from speakerkd.evaluation.protocol import Protocol
    from speakerkd.evaluation.score import score_crops
    from speakerkd.models.speaker import SpeakerSettings, build_speaker
    from speakerkd.models.trained_model import load_trained_model, save_trained_model

    settings = SpeakerSettings(name="resnetse34v2", mels=64)
    torch.manual_seed(0)
    count = max(12, int(200 * scale * (8 if options.device != "cpu" else 1)))
    recordings, protocol = Synthetic(count, 64), Protocol()
    with tempfile.TemporaryDirectory() as folder:
        network = build_speaker(settings).eval()
        save_trained_model(folder, task="speaker", student=network, settings=settings, frontend={"mels": 64})
        plain = load_trained_model(folder, options.device, torch.float32).student.to(
            memory_format=torch.contiguous_format
        )
        package = load_trained_model(folder, options.device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain(torch.zeros(1, 400, 64, device=options.device))
    work = counter.get_total_flops() * 10  # of a recording

    def one(position: int) -> np.ndarray:
        features = recordings.features(position % count)
        crops = np.stack([features[s : s + 400] for s in protocol.starts(len(features))])
        with torch.inference_mode():
            return plain(torch.from_numpy(crops).to(options.device)).embedding.cpu().numpy()

    loop = sampled(one, count, least=6.0, warm_up=2)
    rate = 0.0
    seen: dict[str, np.ndarray] = {}
    for compile in (False, True):
        if compile:  # the compiler's own time is told apart
            start = time.perf_counter()
            embed(package, recordings, protocol, places=range(12), compile=True)
            row("  compiling, once", f"{time.perf_counter() - start:.1f} s")

        def run(name="compiled" if compile else "plain") -> None:
            seen[name] = embed(package, recordings, protocol, compile=False).values

        ours = seconds(run, repeats=1, warm_up=0)
        rate = max(rate, matrix_rate(package.dtype, options.device))
        how = f"{str(package.dtype).removeprefix('torch.')}, channels-last{', compiled' if compile else ''}"
        what = f"embedding {count} recordings, {how}"
        wanted = "6 times recording by recording in fp32 (loop sampled)"
        row(what, f"{ours:.2f} s", f"{loop:.2f} s", f"{loop / ours:.1f}", wanted)
        row("  share of the machine's matrix rate", f"{work * count / ours / rate:.0%}", "", "", "70 %")
        row("  times real time (crops of 4 s)", f"{count * 40 / ours:.0f}")
    few = min(count, 200)
    reference = np.stack([one(position) for position in range(few)])
    compiled = seen["compiled"][:few]
    unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (reference, compiled)]
    row("  least cosine to fp32", f"{(unit[0] * unit[1]).sum(-1).min():.5f}", "", "", ".999")
    a, b = np.triu_indices(few, 1)
    labels = (a % 40 == b % 40).astype(np.int8)
    eers = [100 * eer(sort_scores(score_crops(v, v, a, b), labels)) for v in (reference, compiled)]
    apart = f"{eers[1] - eers[0]:+.3f}"
    row("  EER in % as above, and in fp32", f"{eers[1]:.3f}", f"{eers[0]:.3f}", apart, "unchanged to .01")
    package.to(options.device)  # as it is loaded, not compiled
    alone = seconds(lambda: embed(package, recordings, protocol, places=[0]), repeats=3, warm_up=0)
    row("  one recording alone", f"{alone:.3f} s", f"{loop / count:.3f} s", "", "no wait for a compiler")


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    main(sys.argv[1:])
