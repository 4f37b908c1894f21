"""Noise on test recordings: what each hears follows from a seed and its key, at any level and on any machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.names import plain_name

if TYPE_CHECKING:
    from speakerkd.frontend.noise import NoiseBank

ALL = "all"  # categories: drawn for each recording


def open_bank(directory: Path | str, categories: list[str], seed: int, rate: int) -> NoiseBank:
    """The noises of a folder in MUSAN's layout; raises InputError where one of the categories is not there."""
    from speakerkd.frontend.noise import NoiseBank

    named = [category for category in categories if category != ALL]
    return NoiseBank(directory, seed, named if len(named) == len(categories) else None, rate)


class NoiseAdder:
    """Adds a recording's noise at a level in dB below it; `category` None draws one for each recording."""

    def __init__(self, bank: NoiseBank, category: str, level: float, floor: float = 0.0) -> None:
        self.bank, self.level, self.floor = bank, level, floor
        self.category = None if category == ALL else category

    def __call__(self, key: str, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        # a recording hears the same noise however a list spells its name
        return self.bank.mix(plain_name(key), samples, self.level, self.category, self.floor)
