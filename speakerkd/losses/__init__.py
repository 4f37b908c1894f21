"""Task losses: `build_loss` makes one from its settings; see `base.py` for the interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speakerkd.config import parse
from speakerkd.errors import InputError, nearest
from speakerkd.losses.base import LossSettings, TaskLoss
from speakerkd.losses.margin_softmax import AamPrototypical, MarginSoftmax
from speakerkd.losses.prototypical import Prototypical, SoftmaxPrototypical
from speakerkd.losses.softmax import Softmax

LOSSES: dict[str, type[TaskLoss]] = {
    "softmax_prototypical": SoftmaxPrototypical,
    "prototypical": Prototypical,
    "softmax": Softmax,
    "aam_prototypical": AamPrototypical,
    "aam": MarginSoftmax,
    "am": MarginSoftmax,
}


def parse_loss(settings: Mapping[str, Any] | LossSettings) -> LossSettings:
    """The checked settings of a config's `loss:` group. Raises InputError with the nearest right name or key."""
    if isinstance(settings, LossSettings):
        return settings
    if not isinstance(settings, Mapping):
        raise InputError("not a mapping of keys to values", "loss", "write `loss: {name: softmax_prototypical}`")
    name = settings.get("name", "softmax_prototypical")
    if not isinstance(name, str) or name not in LOSSES:
        raise InputError(f"unknown task loss '{name}'", "loss.name", nearest(str(name), LOSSES))
    return parse(LOSSES[name].Settings, {**settings, "name": name}, f"loss ({name})")


def build_loss(settings: Mapping[str, Any] | LossSettings, dim: int, classes: int) -> TaskLoss:
    """The task loss of `settings` for embeddings of `dim` and K = `classes`.

    It has `forward(embedding (B, D), label (B,)) -> (terms, logits or None)`, `.classifier` and `.start_step(epoch)`.
    """
    loss = parse_loss(settings)
    return LOSSES[loss.name](loss, dim, classes)


__all__ = ["LOSSES", "LossSettings", "TaskLoss", "build_loss", "parse_loss"]
