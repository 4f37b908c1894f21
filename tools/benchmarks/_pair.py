"""A step of the second paper: a clean picture's ResNet32x4 teaches a noisy one's ResNet8x4, by kd and by its method."""

from __future__ import annotations

import statistics
import time

import torch
from benchmarks._machine import matrix_rate

from speakerkd.distill import Pair, build
from speakerkd.frontend.degrade import DegradeSettings
from speakerkd.frontend.images import DRAWS, ImageViewSettings, normalise_as, train_view
from speakerkd.losses import build_loss
from speakerkd.models.blocks import fold_batch_norms
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.precision import inference_dtype
from speakerkd.teachers.module import map_shapes
from speakerkd.tensors import Samples
from speakerkd.training.precision import autocast, forward_operations

CLASSES, SIDE = 10, 32
BOUND = 0.10  # more of a step than plain kd
METHODS = {
    "kd": [{"name": "kd"}],
    "dimensional": [{"name": "dimensional", "student_layer": 0, "teacher_layer": 0}],
}


def report(batch: int, device_name: str, repeats: int) -> None:
    """Print each method's step, its share of the matrix rate, and what the paper's method costs over kd."""
    device = torch.device(device_name)
    kind = inference_dtype(device)
    student = build_image(ImageSettings(name="resnet8x4", classes=0, size=SIDE))
    teacher = fold_batch_norms(build_image(ImageSettings(name="resnet32x4", classes=CLASSES, size=SIDE)))
    example = torch.randn(2, 3, SIDE, SIDE)
    operations = (3 * forward_operations(student, example) + forward_operations(teacher, example)) / 2 * batch
    pair = Pair(
        student_dim=student.dim,
        teacher_dim=teacher.dim,
        classes=CLASSES,
        samples=1000,
        batch=batch,
        student_maps=map_shapes(student, example),
        teacher_maps=map_shapes(teacher, example),
        same_layout=True,
        teacher_classes=CLASSES,
    )
    for network in (student.train(), teacher):
        network.to(device, memory_format=torch.channels_last)
    loss = build_loss({"name": "softmax"}, student.dim, CLASSES).to(device)
    noisy = ImageViewSettings(
        size=SIDE, crop="padded", mean=(0.5,) * 3, std=(0.25,) * 3, degrade=DegradeSettings(amount=0.1)
    )
    clean = noisy.model_copy(update={"degrade": None})
    raw = torch.randint(0, 256, (batch, SIDE, SIDE, 3), device=device).to(torch.uint8)
    label, index = torch.randint(CLASSES, (batch,), device=device), torch.arange(batch, device=device)

    def steps(specs):
        objectives = build(specs, pair).to(device)
        objectives.start_step(0.0)
        maps = bool(objectives.needs & {"maps", "layout"})
        parameters = [p for part in (student, loss, objectives) for p in part.parameters() if p.requires_grad]
        optimiser = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, fused=True)

        def step() -> None:
            draws = torch.rand(batch, DRAWS, device=device)
            seen, beside = (normalise_as(train_view(raw, draws, view), view) for view in (noisy, clean))
            with autocast(device, kind):
                output = student(seen, maps=maps)
                with torch.no_grad():
                    taught_by = teacher(beside, maps=maps)
            output, taught_by = output.at_least_float32(), taught_by.at_least_float32()
            terms, output.logits = loss(output.embedding, label)
            total = objectives.task_weight * sum(terms.values())
            total = total + sum(objectives(output, taught_by, Samples(label, index)).values())
            total.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if device.type == "cuda":
                torch.cuda.synchronize()

        return step

    run = {name: steps(specs) for name, specs in METHODS.items()}
    taken: dict[str, list[float]] = {name: [] for name in run}
    for turn in range(repeats + 1):  # in turns, so that a machine that slows down does so for both; the first warms up
        for name, step in run.items():
            began = time.perf_counter()
            step()
            if turn:
                taken[name].append(time.perf_counter() - began)
    ceiling = matrix_rate(kind, device_name)
    print(f"ResNet32x4 teaches ResNet8x4, {SIDE} pixels, batch {batch}, views made along, {str(kind).split('.')[-1]}:")
    median = {name: statistics.median(values) for name, values in taken.items()}
    for name, seconds in median.items():
        rate = operations / seconds
        share = f"{rate / 1e9:,.0f} GFLOP/s, {rate / ceiling:.0%} of the matrix rate"
        print(f"  {name}: {batch / seconds:,.0f} pairs/s, {share}")
    more = median["dimensional"] / median["kd"] - 1
    print(f"  dimensional costs {more:+.1%} over kd ({'within' if more <= BOUND else 'above'} {BOUND:.0%})")
