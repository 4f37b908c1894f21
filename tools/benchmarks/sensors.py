"""What it costs that two sensors learn together (DisCoM-KD): a step of both branches over one of a single ResNet-18."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from benchmarks._machine import describe
from torch import nn

from speakerkd.distill import Pair, build
from speakerkd.models.disentangled import build_disentangled
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.precision import inference_dtype
from speakerkd.tensors import Samples
from speakerkd.training.precision import autocast

CLASSES = 10
BOUND = 4.4  # times one ResNet-18's step: four encoders, and a tenth for heads and terms


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py sensors", description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--channels", type=int, nargs=2, default=[3, 3], help="of the two sensors")
    parser.add_argument("--batch", type=int, default=32, help="pictures of each sensor in a step")
    parser.add_argument("--width", type=float, default=1.0, help="share of ResNet-18's channels")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each kind, in turns; their medians count")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    print(describe(options.device))
    device, kind = torch.device(options.device), inference_dtype(torch.device(options.device))
    alone = [_settings(options, channels) for channels in options.channels]
    networks: dict[str, Callable[[], nn.Module]] = {
        "one ResNet-18": lambda: build_image(alone[0].model_copy(update={"classes": CLASSES})),
        "two sensors together": lambda: nn.ModuleList(
            [build_disentangled(settings, build_image, CLASSES) for settings in alone]
        ),
    }
    steps = {name: _step(make().to(device).train(), options, device, kind) for name, make in networks.items()}
    wall: dict[str, list[float]] = {name: [] for name in steps}
    used: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.repeats + 1):  # in turns; the first warms up
        for name, step in steps.items():
            began, worked = time.perf_counter(), time.process_time()
            step()
            if turn:
                wall[name].append(time.perf_counter() - began)
                used[name].append(time.process_time() - worked)
    print(f"{options.size} pixels, batch {options.batch}, width {options.width:g}, {str(kind).split('.')[-1]}:")
    for name in steps:
        seconds, processor = statistics.median(wall[name]), statistics.median(used[name])
        print(f"  {name}: {1000 * seconds:,.0f} ms, {1000 * processor:,.0f} ms of processor time")
    clock = wall if device.type == "cuda" else used  # other work on the machine does not count as ours
    single, both = (statistics.median(values) for values in clock.values())
    word = "within" if both <= BOUND * single else "above"
    print(f"  together costs {both / single:.2f} times one ({word} {BOUND:g})")


def _settings(options: argparse.Namespace, channels: int) -> ImageSettings:
    return ImageSettings(
        name="resnet18", classes=0, channels=channels, size=options.size, stem="imagenet", width=options.width
    )


def _step(
    network: nn.Module, options: argparse.Namespace, device: torch.device, kind: torch.dtype
) -> Callable[[], None]:
    """A whole optimiser step on made-up pictures."""
    count, side = options.batch, options.size
    pictures = [torch.randn(count, channels, side, side, device=device) for channels in options.channels]
    label = torch.randint(CLASSES, (count,), device=device)
    other = torch.randint(CLASSES, (count,), device=device)
    objective = None
    parameters = list(network.parameters())
    if isinstance(network, nn.ModuleList):
        dim = network[0].dim
        pair = Pair(dim, dim, CLASSES, samples=count, batch=count, disentangled=True)
        objective = build([{"name": "disentangled"}], pair).to(device)
        parameters += list(objective.parameters())
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(parameters, lr=1e-4, fused=True)

    def step() -> None:
        if objective is None:
            with autocast(device, kind):
                output = network(pictures[0])
            total = nn.functional.cross_entropy(output.at_least_float32().scores, label)
        else:
            with autocast(device, kind):
                first, second = (branch(x) for branch, x in zip(network, pictures, strict=True))
            samples = Samples(label, torch.arange(count, device=device), other)
            objective.start_step(0.0)
            total = sum(objective(first.at_least_float32(), second.at_least_float32(), samples).values())
        total.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step
