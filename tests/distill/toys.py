"""Small networks' Outputs and Pairs for the tests of objectives."""

from __future__ import annotations

import torch

from speakerkd.distill import METHODS, Pair, build
from speakerkd.tensors import Output, Samples

ROWS, DIM, CLASSES, SAMPLES = 8, 6, 4, 40
STUDENT_MAPS = [(3, 8, 8), (4, 4, 4)]
TEACHER_MAPS = [(5, 8, 8), (4, 4, 4)]


def pair(**values) -> Pair:
    """A Pair that gives everything."""
    defaults = {
        "student_dim": DIM,
        "teacher_dim": DIM,
        "classes": CLASSES,
        "samples": SAMPLES,
        "batch": ROWS,
        "student_maps": STUDENT_MAPS,
        "teacher_maps": TEACHER_MAPS,
        "same_layout": True,
        "teacher_classes": CLASSES,
        "labels": torch.arange(SAMPLES) % CLASSES,
        "disentangled": True,
    }
    return Pair(**{**defaults, **values})


def output(maps, rows=ROWS, grad=False, strong=True) -> Output:
    """A random Output with everything in it."""

    def random(*shape):
        return torch.randn(rows, *shape).requires_grad_(grad)

    return Output(
        random(DIM),
        random(CLASSES),
        [random(*shape) for shape in maps],
        output(maps, rows, grad, False) if strong else None,
        [random(DIM // 2).detach().abs().requires_grad_(grad) for _ in range(3)],
    )


def outputs(rows=ROWS, grad=True) -> tuple[Output, Output]:
    """A student's Output, with gradients where asked, and a teacher's."""
    return output(STUDENT_MAPS, rows, grad=grad), output(TEACHER_MAPS, rows)


def batch(rows=ROWS, label=None) -> Samples:
    label = torch.arange(rows) % CLASSES if label is None else label
    return Samples(label, torch.arange(rows) % SAMPLES)


def make(name, networks=None, **settings):
    """The objective of this name, weight 1 unless given."""
    return build([{"name": name, "weight": 1.0, **settings}], networks or pair()).objectives[name]


def tensors(value: Output) -> list[torch.Tensor]:
    """All tensors of an Output, the strong view's too."""
    own = [value.embedding, value.logits, *value.maps, *value.parts]
    return own + (tensors(value.strong) if value.strong is not None else [])


NAMES = sorted(METHODS)
