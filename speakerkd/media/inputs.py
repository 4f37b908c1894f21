"""One recording or picture, or many of them, as a caller of the Python interface has them at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from numbers import Real
from typing import Any

import numpy as np

from speakerkd.errors import InputError


def listed(items: Any) -> tuple[list[Any], bool]:
    """What was given as a list, and whether it was many: a list, tuple, generator, array of names or of pictures.

    Samples in a tensor become an array, and the rate goes behind them. Raises InputError for a mapping or a set, whose
    order nothing says.
    """
    if isinstance(items, Mapping | Set):
        raise InputError(f"a {type(items).__name__} of recordings or pictures", repr(items)[:80], "give a list")
    if _is_one(items):
        return [_plain(items)], False
    return [_plain(item) for item in items], True


def with_rate(item: Any, rate: int | None) -> Any:
    """Samples beside their rate in Hz; whatever carries its rate in itself stays as it is."""
    if not isinstance(item, np.ndarray):
        return item
    if rate is None:
        raise InputError("samples without their rate", "a recording", "give (samples, rate), or rate=16000")
    return item, rate


def _is_one(item: Any) -> bool:
    if isinstance(item, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(item, "read"):
        return True
    if isinstance(item, tuple) and len(item) == 2 and {_is_array(part) for part in item} == {True, False}:
        return any(isinstance(part, Real) for part in item)
    if _is_array(item):
        return len(item.shape) < 4
    return not isinstance(item, Iterable)


def _is_array(item: Any) -> bool:
    """Whether something holds numbers: an array or a tensor."""
    return hasattr(item, "cpu") or (isinstance(item, np.ndarray) and item.dtype.kind not in "USO")


def _plain(item: Any) -> Any:
    """A tensor as an array; samples before their rate, as soundfile and torchaudio give them and scipy does not."""
    if isinstance(item, tuple) and len(item) == 2:
        first, second = item if _is_array(item[0]) else item[::-1]
        return (_plain(first), second) if _is_array(first) and isinstance(second, Real) else item
    if hasattr(item, "cpu"):
        tensor = item.detach().cpu()
        return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
    return item
