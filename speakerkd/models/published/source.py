"""What a reader of a project's checkpoint gives, and what such readers share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from speakerkd.errors import InputError
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.speaker import SpeakerSettings


@dataclass(frozen=True, slots=True)
class Published:
    """A published network in our terms.

    settings: the network of ours that equals it. state: its weights under our names. frontend: the features it reads.
    protocol: how its authors score. notes: what was assumed, or left behind, for the user to read.
    """

    settings: SpeakerSettings
    state: dict[str, Tensor]
    frontend: FbankSettings
    protocol: Literal["crops", "whole", "mean"]
    notes: tuple[str, ...] = ()


def renamed(state: Mapping[str, Tensor], fronts: Sequence[tuple[str, str | None]], where: object) -> dict[str, Tensor]:
    """The state with the first matching front of each key replaced; None leaves the key behind.

    Raises InputError, counting and naming the first, for keys that no front matches.
    """
    result: dict[str, Tensor] = {}
    unknown = []
    for key, value in state.items():
        front, ours = next(((f, o) for f, o in fronts if key.startswith(f)), ("", ""))
        if not front:
            unknown.append(key)
        elif ours is not None:
            result[ours + key.removeprefix(front)] = value
    if unknown:
        raise InputError(
            f"weights of another network: {len(unknown)} of {len(state)} keys are unknown ({_first(unknown)})",
            where,
            "check which project and network the file is of",
        )
    return result


def tensor(state: Mapping[str, Tensor], key: str, dims: int, where: object) -> Tensor:
    """The tensor of this key; raises InputError where it is absent or has not `dims` dimensions."""
    value = state.get(key)
    if value is None or value.ndim != dims:
        what = "no" if value is None else f"a {value.ndim}-dimensional"
        raise InputError(
            f"{what} '{key}' among its {len(state)} keys", where, "check which project and network the file is of"
        )
    return value


def arguments(values: Any, known: Collection[str], what: str, where: object) -> dict[str, Any]:
    """A group of a config as a mapping with known keys alone; InputError counts and names those that are not."""
    if not isinstance(values, Mapping):
        raise InputError(f"no group '{what}'", where, "give the config that the network was trained with")
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(values)} keys of '{what}' are not known here ({_first(unknown)})",
            where,
            "this variant of the network cannot be imported",
        )
    return dict(values)


def _first(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
