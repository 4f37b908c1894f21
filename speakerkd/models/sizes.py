"""How large the speech networks are: parameters, and operations for a second of speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from speakerkd.models.speaker import Name, SpeakerSettings, build_speaker
from speakerkd.models.speaker_redimnet import SIZES

FRAMES = 200  # of which the operations are halved: 2 s
# bands and embedding size that the networks are published with, where those are not this project's 40 and 512
USUAL = {
    **{f"resnet{n}": (80, 256) for n in (18, 50, 101, 152, 221, 293)},
    "resnetse34v2": (64, 512),
    "ecapa": (80, 192),
    "xvector": (24, 512),
    "campplus": (80, 512),
    **{name: (shape.bands, 192) for name, shape in SIZES.items()},
}
WIDTHS = {"resnet34": (1.0, 0.5, 0.25)}


@dataclass(frozen=True, slots=True)
class Size:
    """A network's name and size; operations: multiplications and additions for a second of speech."""

    name: str
    width: float
    mels: int
    embedding: int
    parameters: int
    operations: float


def network_sizes() -> Iterator[Size]:
    """The speech networks by name, as they are usually taken."""
    for name in get_args(Name):
        if name == "redimnet":  # has the size that its settings give it
            continue
        mels, embedding = USUAL.get(name, (40, 512))
        for width in WIDTHS.get(name, (None,)):
            yield size_of(SpeakerSettings(name=name, width=width, mels=mels, embedding=embedding))


def size_of(settings: SpeakerSettings) -> Size:
    """The size of one network; nothing is computed, only counted."""
    counter = FlopCounterMode(display=False)
    with FakeTensorMode():
        network = build_speaker(settings.model_copy(update={"weights": None})).eval()
        with counter, torch.no_grad():
            network(torch.empty(1, FRAMES, settings.mels))
    parameters = sum(p.numel() for p in network.parameters())
    operations = counter.get_total_flops() / (FRAMES / 100)
    return Size(settings.name, settings.share, settings.mels, settings.embedding, parameters, operations)
