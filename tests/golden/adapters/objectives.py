"""What the adapters of speakerkd.distill share: objectives as a training run makes them, and inputs for them."""

from __future__ import annotations

from speakerkd.distill import Pair, build
from speakerkd.tensors import Output, Samples


def one(name, pair, **settings):
    """The objective of this name and settings, weight 1 unless given, in float64."""
    return build([{"name": name, "weight": 1.0, **settings}], pair).double().objectives[name]


def pair_of(student=2, teacher=2, **values):
    """A Pair of these embedding sizes that gives everything else unless said."""
    defaults = {"classes": 2, "samples": 0, "batch": 0, "same_layout": True}
    return Pair(student, teacher, **{**defaults, **values})


def batch_of(label=None, index=None):
    return Samples(label, index)


def shapes(maps):
    """(C, H, W) of maps (B, C, H, W)."""
    return [tuple(m.shape[1:]) for m in maps]


def of_maps(student, teacher, **values):
    """A Pair whose networks give these maps."""
    return pair_of(student_maps=shapes(student), teacher_maps=shapes(teacher), **values)


def of_logits(logits):
    """A Pair whose networks score as many classes as these logits."""
    return pair_of(classes=logits.shape[1], teacher_classes=logits.shape[1])


def seen(maps):
    """An Output of maps; no method on maps looks at more of the embedding than its number of rows."""
    return Output(maps[0].flatten(1), maps=list(maps))


def scored(logits, strong=None):
    """An Output of class scores, of the strong view too where given."""
    return Output(logits, logits, strong=None if strong is None else scored(strong))
