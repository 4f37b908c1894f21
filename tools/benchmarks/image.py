"""Pictures: how fast views are made, what the text teacher costs, and a whole training step beside the matrix rate."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch
from benchmarks import _pair as pair
from benchmarks._machine import describe, matrix_rate, seconds
from PIL import Image

from speakerkd.data.images import ImageSet
from speakerkd.data.sampler import uniform_draws
from speakerkd.frontend.images import ImageViewSettings
from speakerkd.models.image import NETWORKS, ImageSettings, build_image
from speakerkd.tasks.image import ImageSource, resolved_view
from speakerkd.teachers.text_table import TextTable
from speakerkd.training.precision import forward_operations

CLASSES, DIM, PROMPTS = 100, 512, 80


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py image", description=__doc__)
    parser.add_argument("--size", type=int, default=32, help="pixels a side that the network sees")
    parser.add_argument("--stored", type=int, default=32, help="pixels a side of the pictures as they are stored")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--network", default="resnet18", choices=sorted(NETWORKS))
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--pair-batch", type=int, default=64, help="pairs a step of ResNet32x4 teaching ResNet8x4")
    parser.add_argument("--no-pair", action="store_true", help="leave that step out")
    parser.add_argument("--repeats", type=int, default=5, help="timings of that step, of which the median counts")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    print(describe(options.device))
    for crop in ("resized", "padded"):
        source = _source(options, crop)
        rate = options.batch / seconds(_views(source, options))
        print(f"views, {crop} crop and flip, {options.stored} to {options.size} pixels: {rate:,.0f} pictures/s")
    torchvision = 64 / seconds(_torchvision(options, 64))
    print(f"the same resized crop and flip a picture at a time, torchvision: {torchvision:,.0f} pictures/s")
    index = np.arange(options.batch)
    draw = uniform_draws(1, 0, options.batch, source.draws)
    rate = options.batch / seconds(lambda: source.teacher(index, draw))
    print(f"teacher: {rate:,.0f} embeddings/s from a table of {CLASSES} x {PROMPTS}")
    _step(options, source)
    if not options.no_pair:
        pair.report(options.pair_batch, options.device, options.repeats)


def _source(options: argparse.Namespace, crop: str) -> ImageSource:
    rng = np.random.default_rng(0)
    side = options.stored
    pixels = rng.integers(0, 256, (options.pictures, side, side, 3), np.uint8)
    labels = rng.integers(0, CLASSES, options.pictures)
    classes = [f"class {k}" for k in range(CLASSES)]
    moments = np.full(3, 0.5), np.full(3, 0.29)
    pictures = ImageSet(classes, labels, [""] * len(labels), (side, side), *moments, pixels)
    view = resolved_view(ImageViewSettings(size=options.size, crop=crop), pictures)
    table = TextTable(classes, ["{}"] * PROMPTS, rng.normal(size=(CLASSES, PROMPTS, DIM)).astype(np.float32))
    return ImageSource(pictures, np.arange(len(labels)), view, table, device=options.device)


def _views(source: ImageSource, options: argparse.Namespace) -> Callable[[], object]:
    """One batch, from the stored pictures to the network's input."""
    rng = np.random.default_rng(0)

    def work() -> object:
        index = rng.integers(0, options.pictures, options.batch)
        draw = uniform_draws(1, 0, options.batch, source.draws)
        raw = source.student(index, draw).to(options.device)
        return source.view(raw, torch.from_numpy(draw).float().to(options.device))

    return work


def _torchvision(options: argparse.Namespace, count: int) -> Callable[[], object]:
    from torchvision import transforms

    pipeline = transforms.Compose(
        [
            transforms.RandomResizedCrop(options.size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.29] * 3),
        ]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (count, options.stored, options.stored, 3), np.uint8)
    pictures = [Image.fromarray(picture) for picture in pixels]
    return lambda: torch.stack([pipeline(picture) for picture in pictures])


def _step(options: argparse.Namespace, source: ImageSource) -> None:
    """Forward and backward pass under bf16, with and without the views made along."""
    network = build_image(ImageSettings(name=options.network, classes=CLASSES, size=options.size))
    x = torch.randn(options.batch, 3, options.size, options.size)
    operations = 3 * forward_operations(network, x[:2]) / 2
    network = network.to(options.device, memory_format=torch.channels_last).train()
    x = x.to(options.device, memory_format=torch.channels_last)
    label = torch.from_numpy(source.labels[: options.batch]).to(options.device)
    views = _views(source, options)

    def step(pictures: torch.Tensor) -> None:
        with torch.autocast(options.device, torch.bfloat16):
            logits = network(pictures).logits
        torch.nn.functional.cross_entropy(logits.float(), label).backward()
        network.zero_grad(set_to_none=True)

    alone = options.batch / seconds(lambda: step(x), repeats=3)
    fed = options.batch / seconds(lambda: step(views()[0]), repeats=3)
    ceiling = matrix_rate(torch.bfloat16, options.device)
    print(f"{options.network}, batch {options.batch}, bf16: {alone:,.0f} pictures/s")
    print(f"  {alone * operations / 1e9:,.0f} GFLOP/s, {alone * operations / ceiling:.0%} of the matrix rate")
    print(f"  with its views made along: {fed:,.0f} pictures/s, {fed / alone:.0%}")
