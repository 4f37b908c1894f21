"""The examples in docstrings run: a reader copies them."""

import doctest
import importlib
from pathlib import Path

import pytest

import speakerkd

ROOT = Path(speakerkd.__file__).parent
MODULES = sorted(
    ".".join(("speakerkd", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text("utf-8") and path.name != "__init__.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
