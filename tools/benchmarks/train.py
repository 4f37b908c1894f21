"""What a training step costs: utterances a second, share of the matrix rate, and what data and teaching add to it.

Every figure is of the real loop on a made-up corpus of random features and embeddings, through the real archives. Steps
of three kinds (teaching and data; data alone; neither) are taken in turn, so that what else the machine does falls on
all alike, and their medians compared. The matrix rate is measured between them, in the same type.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from benchmarks._machine import describe, matrix_rate

VOXCELEB2 = {"utterances": 1_092_009, "speakers": 5_994}
EPOCHS = 36  # the paper's


def main(argv: list[str]) -> None:
    options = _parser().parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = "cuda" if options.device == "auto" and torch.cuda.is_available() else options.device.replace("auto", "cpu")
    print(f"machine            {describe(device)}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        corpus = make_corpus(Path(folder) / "train", options)
        if options.ladder:
            ladder(corpus, options)
        measure(corpus, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmark.py train", description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnetse34v2", help="resnet34, resnetse34v2, ecapa or xvector")
    parser.add_argument("--width", type=float, help="share of the full network's channels; none: the network's own")
    parser.add_argument("--mels", type=int, default=40)
    parser.add_argument("--frames", type=int, default=200, help="of a crop; 100 are a second")
    parser.add_argument("--batch", type=int, default=40, help="utterances a step, two of each speaker")
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each kind")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, help="processor threads; none: as torch chooses")
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "fp32"])
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--mapped", action="store_true", help="on a GPU: crop the memory map, not resident features")
    parser.add_argument("--utterances", type=int, default=2000, help="of the made-up corpus")
    parser.add_argument("--seconds", type=float, default=8.0, help="mean length of its recordings")
    parser.add_argument("--classes", type=int, default=5994, help="speakers that the classifier tells apart")
    parser.add_argument("--busy", action="store_true", help="count processor time: the machine does other work too")
    parser.add_argument("--ladder", action="store_true", help="also a bare step: fp32, bf16, channels-last, compiled")
    parser.add_argument("--folder", help="where the corpus is made for the time of the run")
    return parser


def make_corpus(directory: Path, options: argparse.Namespace) -> Path:
    """Random features and embeddings of `options.utterances` recordings, ten of a speaker, two of a face."""
    from speakerkd.data.archive import write_features, write_vectors
    from speakerkd.data.datadir import write_table

    rng = np.random.default_rng(0)
    count, each = options.utterances, max(2, min(10, options.utterances // max(options.batch, 1)))
    keys = [f"id{n // each:05d}/video{n % each // 2}/{n:07d}" for n in range(count)]
    noise = rng.normal(size=(4000, options.mels)).astype(np.float32)

    def features():
        for key in keys:
            frames = int(100 * np.clip(rng.gamma(4, options.seconds / 4), 2, 30))
            start = int(rng.integers(len(noise) - frames))
            yield key, noise[start : start + frames]

    write_features(directory, "feats", features())
    write_table(directory / "utt2spk", {key: key.split("/")[0] for key in keys})
    write_vectors(directory, "teacher", keys, rng.normal(size=(count, 512)).astype(np.float32))
    return directory


def build(corpus: Path, options: argparse.Namespace, accelerator):
    """The trainer that `speakerkd train` would build, with as many classes as asked for."""
    from speakerkd.training.build import build_parts
    from speakerkd.training.experiment import check_experiment
    from speakerkd.training.trainer import Trainer

    student = {"name": options.network, "width": options.width, "mels": options.mels, "embedding": 512}
    values = {
        "data": {"train": str(corpus), "crop_frames": options.frames, "resident": not options.mapped and "auto"},
        "student": student,
        "distill": [{"name": "margin"}],
        "train": {
            "speakers": options.batch // 2,
            "precision": options.precision,
            "compile": not options.eager,
            "device": options.device,
        },
    }
    parts = build_parts(check_experiment(values, "the benchmark"), str(accelerator.device))
    classifier = torch.nn.Linear(parts.student.dim, max(options.classes, len(parts.source.names)))
    parts.loss.classifier = classifier
    return Trainer(parts, accelerator)


def measure(corpus: Path, options: argparse.Namespace) -> None:
    """Print the table."""
    from speakerkd.distill import ObjectiveList
    from speakerkd.training.log import Log, Means
    from speakerkd.training.processes import join_processes
    from speakerkd.training.settings import TrainSettings

    with join_processes(TrainSettings(device=options.device)) as accelerator:
        trainer = build(corpus, options, accelerator)
        trainer.train_mode()
        loader = trainer.open_loader()
        fixed = itertools.repeat(next(loader))
        taught, plain = trainer.parts.objectives, ObjectiveList()
        means, log = Means(), Log(corpus, -1)
        kinds = {"full": (taught, loader), "data": (plain, loader), "bare": (plain, fixed)}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        rates: list[float] = []
        clock = time.process_time if options.busy else time.perf_counter
        device = trainer.device.type
        for turn in range(options.steps + 2):  # two that do not count: compilers, caches, choice of algorithms
            for kind, (objectives, source) in kinds.items():
                trainer.parts.objectives = objectives
                _wait(device)
                start = clock()
                terms, _ = trainer.take_step(source)
                if kind == "full":
                    means.add(terms)
                    log.write(
                        {"step": trainer.step, "terms": means.read()} if turn % 20 == 0 else {"step": trainer.step}
                    )
                _wait(device)
                if turn >= 2:
                    times[kind].append(clock() - start)
            if turn % 3 == 0:
                rates.append(
                    _matrix_rate(trainer.dtype, device) if options.busy else matrix_rate(trainer.dtype, device)
                )
        loader.close()
        log.close()
        _print(trainer, options, {kind: statistics.median(values) for kind, values in times.items()}, rates)


def _print(trainer, options: argparse.Namespace, seconds: dict[str, float], rates: list[float]) -> None:
    operations = step_operations(trainer) / 2
    pace = options.batch / seconds["full"]
    rate = statistics.median(rates)
    total = VOXCELEB2["utterances"] * EPOCHS / pace / 3600
    width = "" if options.width is None else f" width {options.width:g}"
    print(f"network            {options.network}{width}, {options.mels} bands, crops of {options.frames} frames")
    print(f"                   {operations / 1e9:.1f} GFLOP an utterance, forward and backward")
    print(
        f"batch              {options.batch}, {trainer.dtype}, compiled {trainer.compiled}, features "
        f"{'on the device' if trainer.parts.source.device != 'cpu' else 'mapped'}"
    )
    print(f"matrix rate        {rate / 1e9:.0f} GFLOP/s")
    print(f"whole step         {1000 * seconds['full']:.1f} ms, {pace:.1f} utterances/s")
    print(f"share of the rate  {pace * operations / rate:.1%}")
    print(f"data               {(seconds['data'] - seconds['bare']) / seconds['full']:.1%} of a step")
    print(f"teaching           {seconds['full'] / seconds['data'] - 1:.1%} over none")
    print(f"VoxCeleb2          {total:.1f} hours for {EPOCHS} epochs")


def step_operations(trainer) -> float:
    """Floating-point operations of a forward and backward pass of the example's 2 samples."""
    from torch.utils.flop_counter import FlopCounterMode

    x = trainer.parts.task.example().to(trainer.device)
    with FlopCounterMode(display=False) as counter:
        trainer.parts.student(x).embedding.sum().backward()
    trainer.optimizer.zero_grad(set_to_none=True)
    return float(counter.get_total_flops())


def _matrix_rate(dtype: torch.dtype, device: str, size: int = 2048) -> float:
    """Operations a second of processor time; the best of several, since other work only slows it."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(9):
        start = time.process_time()
        a @ b
        times.append(time.process_time() - start)
    return 2 * size**3 / min(times)


def ladder(corpus: Path, options: argparse.Namespace) -> None:
    """A bare forward and backward pass, one improvement after the other."""
    from speakerkd.models.precision import compile_network
    from speakerkd.models.speaker import SpeakerSettings, build_speaker

    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    settings = SpeakerSettings(name=options.network, width=options.width, mels=options.mels)
    x = torch.randn(options.batch, options.frames, options.mels, device=device)
    for name, dtype, last, compiled in (
        ("fp32", torch.float32, False, False),
        ("bf16", torch.bfloat16, False, False),
        ("channels-last", torch.bfloat16, True, False),
        ("compiled", torch.bfloat16, True, True),
    ):
        network = build_speaker(settings).to(device).train()
        if last:
            network.to(memory_format=torch.channels_last)
        run = compile_network(network) if compiled else network
        times = []
        for _ in range(options.steps // 2 + 2):
            _wait(device)
            start = time.perf_counter()
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                embedding = run(x).embedding
            embedding.float().square().mean().backward()
            _wait(device)
            times.append(time.perf_counter() - start)
        print(f"bare {name:14}{options.batch / statistics.median(times[2:]):.1f} utterances/s")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
