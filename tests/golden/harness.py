"""Finds the golden files and runs each through the adapter of its method."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from adapters import distill, evaluation, frontend, losses, models
from case import Case

Adapter = Callable[[Case, str], None]
MODULES = (distill, losses, models, evaluation, frontend)


def folder() -> Path:
    """The folder of golden files: $SPEAKERKD_GOLDEN, else the one beside this file."""
    return Path(os.environ.get("SPEAKERKD_GOLDEN") or Path(__file__).parent)


def files(where: Path) -> list[Path]:
    return sorted(where.glob("*.npz"))


def adapters() -> dict[str, Adapter]:
    """Every method's adapter; two modules must not claim one method."""
    table: dict[str, Adapter] = {}
    for module in MODULES:
        doubled = table.keys() & module.ADAPTERS.keys()
        assert not doubled, f"{module.__name__} claims methods that have an adapter already: {sorted(doubled)}"
        table |= module.ADAPTERS
    return table


def run(path: Path) -> None:
    """Run one file through its adapter.

    Raises AssertionError for an unknown method, a difference, or an array that the adapter left unread.
    """
    table = adapters()
    case = Case(path)
    adapter = table.get(path.stem) or table.get(case.method)
    known = ", ".join(sorted(table))
    assert adapter is not None, f"{path.name}: no adapter for the method '{case.method}'; known: {known}"
    torch.manual_seed(0)
    adapter(case, case.case)
    assert not case.unread(), f"{path.name}: the adapter of '{case.method}' left out {', '.join(case.unread())}"
