"""Pictures of millions of trials, beside one numpy.sort of the same scores.

python tools/benchmark.py report [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks._machine import describe, seconds

TRIALS, MODELS = 3_484_292, 196  # CN-Celeb's list: every model against every recording, one target in 196


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py report", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials, to see that it runs")
    options = parser.parse_args(arguments)
    print(describe())
    count = TRIALS // 10 if options.quick else TRIALS
    generator = np.random.default_rng(0)
    labels = (generator.random(count) < 1 / MODELS).astype(np.int8)
    scores = generator.normal(size=count) + 3 * labels
    with tempfile.TemporaryDirectory() as folder:
        detection_errors(scores, labels, Path(folder))


def detection_errors(scores: np.ndarray, labels: np.ndarray, folder: Path) -> None:
    """From scores in memory to the curve's points on the disk, and from those to PNG and SVG."""
    from speakerkd.evaluation.metrics import eer, sort_scores
    from speakerkd.evaluation.results import write_det
    from speakerkd.report.pictures.det import Curve, det_curves

    points = folder / "trials.det"

    def draw() -> int:
        accept, reject = np.loadtxt(points, usecols=(1, 2), unpack=True)
        curve = Curve("system", accept, reject, rate)
        return len(det_curves([curve], folder / "det.png", "Detection errors").svg)

    rate = eer(sort_scores(scores, labels))
    began = time.perf_counter()
    write_det(points, scores, labels)
    size = draw()  # matplotlib's first picture, its import with it
    first = time.perf_counter() - began
    written, drawn = seconds(lambda: write_det(points, scores, labels)), seconds(draw)
    sort = seconds(lambda: np.sort(scores))
    print(f"{len(scores):,} trials; one numpy.sort of the scores {sort:.3f} s")
    print(f"DET, points on the disk     {written:7.3f} s  {written / sort:6.2f} sorts")
    print(f"DET, points to SVG and PNG  {drawn:7.3f} s  {drawn / sort:6.2f} sorts")
    print(f"DET, in a fresh process     {first:7.3f} s  {first / sort:6.2f} sorts   wanted: under 3 s")
    print(f"its SVG                     {size / 1000:7.1f} kB                wanted: under 200 kB")
