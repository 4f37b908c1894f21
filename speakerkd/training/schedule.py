"""The learning rate as a function of the step alone, so that a resumed run needs no state for it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from speakerkd.config import Settings


class ScheduleSettings(Settings):
    """How the learning rate changes."""

    name: Literal["step", "cosine", "exponential", "constant"] = Field(
        "step", description="step: x factor every `every` epochs; cosine, exponential: from lr down to final x lr"
    )
    factor: float = Field(0.75, gt=0, le=1, description="step: what the rate is multiplied by")
    every: float = Field(3.0, gt=0, description="step: epochs between multiplications")
    final: float = Field(0.01, gt=0, le=1, description="cosine, exponential: share of the rate left at the end")
    warmup: float = Field(0.0, ge=0, description="epochs over which the rate first grows linearly from 0")


def rate(settings: ScheduleSettings, lr: float, step: int, steps_per_epoch: int, epochs: float) -> float:
    """Learning rate of a step counted from 0, in a run of `epochs` epochs.

    The warm-up multiplies the schedule, which runs on beneath it; its first step has 1 / (warm-up steps) of the rate.
    """
    epoch = step / steps_per_epoch
    progress = min(epoch / epochs, 1.0)
    if settings.name == "step":
        lr *= settings.factor ** math.floor(epoch / settings.every)
    elif settings.name == "cosine":
        lr *= settings.final + (1 - settings.final) * 0.5 * (1 + math.cos(math.pi * progress))
    elif settings.name == "exponential":
        lr *= settings.final**progress
    warm_steps = round(settings.warmup * steps_per_epoch)
    return lr * min(1.0, (step + 1) / warm_steps) if warm_steps else lr
