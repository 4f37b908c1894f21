"""What each teaching objective adds to a training step, and what CRD's memory costs at the size of VoxCeleb2."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from benchmarks._machine import describe, matrix_rate, seconds
from rich.console import Console
from rich.table import Table
from torch import nn

from speakerkd.distill import METHODS, ObjectiveList, Pair, build, parse_specs
from speakerkd.distill.crd import OtherClasses
from speakerkd.errors import InputError
from speakerkd.losses import build_loss
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.tensors import Output, Samples

VOXCELEB2 = 1_092_009  # utterances of its development set
FACE_MAPS = [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]  # IR-50's stages
BOUND, MEMORY_BOUND = 0.05, 1.2e9
# what the bound does not hold for: maps, memories and discriminators
BESIDE_THE_BOUND = {"crd", "alkd", "afkd"}


@dataclass(slots=True)
class Setting:
    """The step that shares are of, and what its networks gave."""

    device: str
    half: bool
    batch: int
    classes: int
    student: nn.Module
    loss: nn.Module
    features: torch.Tensor
    label: torch.Tensor
    outputs: dict[str, Any] = field(default_factory=dict)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmark.py objectives", description=__doc__)
    parser.add_argument("--batch", type=int, default=200, help="utterances a step")
    parser.add_argument("--frames", type=int, default=200, help="frames an utterance")
    parser.add_argument("--width", type=float, default=0.5, help="width of the ResNet34")
    parser.add_argument("--classes", type=int, default=5994, help="training speakers")
    parser.add_argument("--samples", type=int, default=VOXCELEB2, help="training utterances, for the memory")
    parser.add_argument("--repeats", type=int, default=5, help="timings of which the median is taken")
    parser.add_argument("--fp32", action="store_true", help="the networks in float32, not under bf16 autocast")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="*", help="these objectives alone")
    options = parser.parse_args(argv)
    if options.device == "cuda":
        torch.backends.cudnn.benchmark = True
    console = Console()
    setting = prepare(options)
    bare = step_seconds(setting, options.repeats)
    kind = torch.float32 if options.fp32 else torch.bfloat16
    console.print(
        f"{describe(options.device)}; {matrix_rate(kind, options.device) / 1e9:.0f} GFLOP/s in {kind}\n"
        f"a step of ResNet34 width {options.width:g}, {options.batch} x {options.frames} frames, "
        f"{options.classes} speakers, without teaching: {bare:.3f} s"
    )
    console.print(shares(setting, bare, options))
    if not options.only or "crd" in options.only:
        memory(console, options)


def prepare(options: argparse.Namespace) -> Setting:
    """Networks, inputs, and the Outputs that the objectives see."""
    torch.manual_seed(0)
    student = build_speaker(SpeakerSettings(name="resnet34", width=options.width))
    student = student.to(options.device, memory_format=torch.channels_last)
    loss = build_loss({}, student.dim, options.classes).to(options.device)
    features = torch.randn(options.batch, options.frames, 40, device=options.device)
    label = torch.randperm(options.classes, device=options.device)[: options.batch // 2].repeat_interleave(2)
    setting = Setting(options.device, not options.fp32, options.batch, options.classes, student, loss, features, label)
    with torch.no_grad(), torch.autocast(options.device, torch.bfloat16, enabled=setting.half):
        seen = student(features, maps=True)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(options.batch, *shape, device=options.device)

    embedding = seen.embedding.float()
    logits = loss.classifier(embedding).detach()
    strong = Output(embedding + 0.1 * random(student.dim), logits + random(options.classes))
    setting.outputs = {
        "student": Output(embedding, logits, [m.float() for m in seen.maps], strong),
        "teacher": Output(
            random(512),
            random(options.classes),
            [random(*shape) for shape in FACE_MAPS],
            Output(random(512), random(options.classes)),
        ),
    }
    return setting


def finish(setting: Setting, *modules: nn.Module) -> None:
    """Wait for the device, after dropping the gradients of a step."""
    for module in modules:
        module.zero_grad(set_to_none=True)
    if setting.device == "cuda":
        torch.cuda.synchronize()


def step_seconds(setting: Setting, repeats: int) -> float:
    """Seconds of a step with the task loss alone: forward, backward, optimiser."""
    parameters = [*setting.student.parameters(), *setting.loss.parameters()]
    optimiser = torch.optim.Adam(parameters, fused=True)

    def step() -> None:
        with torch.autocast(setting.device, torch.bfloat16, enabled=setting.half):
            output = setting.student(setting.features)
        terms, _ = setting.loss(output.embedding, setting.label)
        sum(terms.values()).backward()
        optimiser.step()
        finish(setting, setting.student, setting.loss)

    return seconds(step, repeats)


def objective_seconds(setting: Setting, objectives: ObjectiveList, repeats: int) -> float:
    """Seconds that the objectives add: their forward and backward to the student's outputs, and their parts' step."""
    output = setting.outputs["student"]
    leaves = [output.embedding, output.logits, *output.maps, output.strong.embedding, output.strong.logits]
    leaves = [x.detach().requires_grad_() for x in leaves]
    count = 2 + len(output.maps)
    student = Output(leaves[0], leaves[1], leaves[2:count], Output(*leaves[count:]))
    index = torch.arange(setting.batch, device=setting.device)
    batch = Samples(setting.label, index)
    parameters = [p for p in objectives.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, fused=True) if parameters else None
    objectives.start_step(30.0)

    def step() -> None:
        sum(objectives(student, setting.outputs["teacher"], batch).values()).backward()
        if optimiser is not None:
            optimiser.step()
        for leaf in leaves:
            leaf.grad = None
        finish(setting, objectives)

    return seconds(step, repeats)


def pairs(setting: Setting, samples: int) -> list[tuple[str, Pair]]:
    """A voice and a face: the teacher's embeddings cached, with a classifier over them; and the teacher online."""
    student = setting.outputs["student"]
    shapes = [tuple(m.shape[1:]) for m in student.maps]
    common = {
        "classes": setting.classes,
        "samples": samples,
        "batch": setting.batch,
        "student_maps": shapes,
        "teacher_classes": setting.classes,
        "labels": by_speaker(samples, setting.classes),
    }
    dim = setting.student.dim
    return [
        ("cached", Pair(dim, 512, **common)),
        ("online", Pair(dim, 512, teacher_maps=FACE_MAPS, **common)),
    ]


def shares(setting: Setting, bare: float, options: argparse.Namespace) -> Table:
    """One row a method: milliseconds, share of the bare step, and whether that is within the bound."""
    table = Table(title="what an objective adds to the step")
    for heading in ("objective", "teacher", "ms", "share of a step", f"bound {BOUND:.0%}"):
        table.add_column(heading, justify="right" if heading in ("ms", "share of a step") else "left")
    small = max(20_000, setting.batch)  # the memory's own figures come below
    for spec in specs(options.only or METHODS):
        for teacher, pair in pairs(setting, small):
            if teacher == "online" and not _takes_maps(spec, pair):
                continue
            try:
                pair.task_classifier = setting.loss.classifier
                objectives = build([spec], pair).to(setting.device)
            except InputError:
                if teacher == "online":
                    table.add_row(spec["name"], "-", "-", "-", "does not fit a voice and a face")
                continue
            took = objective_seconds(setting, objectives, options.repeats)
            free = spec["name"] in BESIDE_THE_BOUND or "maps" in objectives.needs
            verdict = "none" if free else "within" if took <= BOUND * bare else "[bold red]beyond[/bold red]"
            label = " ".join(str(value) for value in spec.values())
            table.add_row(label, teacher, f"{1e3 * took:.1f}", f"{took / bare:.2%}", verdict)
    return table


def specs(names: Iterable[str]) -> list[dict[str, Any]]:
    """What is timed: each method alone, and CRD's other way to draw."""
    methods: list[dict[str, Any]] = [{"name": name} for name in names]
    return methods + [{"name": "crd", "draw": "sample"} for spec in methods if spec["name"] == "crd"]


def _takes_maps(spec: dict[str, Any], pair: Pair) -> bool:
    """Whether the method looks at maps when the teacher gives them, so that its cost is another one."""
    return bool({"maps", "parts"} & METHODS[spec["name"]].requirements(parse_specs([spec])[0], pair))


def memory(console: Console, options: argparse.Namespace) -> None:
    """CRD's bytes at full size, its step there, and its draw against the size of the corpus."""
    labels = by_speaker(options.samples, options.classes)
    pair = Pair(512, 512, options.classes, options.samples, options.batch, labels=labels)
    objectives = build(["crd"], pair).to(options.device)
    held = sum(b.numel() * b.element_size() for b in objectives.buffers())
    within = "within" if held <= MEMORY_BOUND else "beyond"
    console.print(
        f"crd, {options.samples:,} samples: {held / 1e9:.3f} GB of memories and class index, "
        f"{within} {MEMORY_BOUND / 1e9:g} GB"
    )
    label = torch.randint(options.classes, (options.batch,)).to(options.device)
    sizes = [max(options.samples // 100, 2 * options.classes), options.samples // 10, options.samples]
    table = Table(title=f"crd's draw of 16384 negatives for {options.batch} samples")
    for heading in ("draw", "samples", "ms", "against the smallest"):
        table.add_column(heading, justify="left" if heading == "draw" else "right")
    for draw in ("batch", "sample"):
        first = math.nan
        for samples in sizes:
            took = draw_seconds(draw, samples, label, options)
            first = took if math.isnan(first) else first
            table.add_row(draw, f"{samples:,}", f"{1e3 * took:.2f}", f"{took / first:.2f}")
    console.print(table)


def by_speaker(samples: int, classes: int) -> torch.Tensor:
    """The class of every training sample, in the order of a corpus's keys."""
    return torch.arange(samples) * classes // samples


def draw_seconds(draw: str, samples: int, label: torch.Tensor, options: argparse.Namespace) -> float:
    """Seconds of one step's draw from a corpus of this many samples."""
    others = OtherClasses(by_speaker(samples, options.classes)).to(options.device)
    generator = torch.Generator(options.device).manual_seed(0)
    way = others.for_all if draw == "batch" else others.for_each

    def once() -> None:
        way(label, 16384, generator)
        if options.device == "cuda":
            torch.cuda.synchronize()

    return seconds(once, options.repeats)
