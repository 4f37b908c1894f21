"""The recipes that come with speakerkd: found by name from any folder, and copied out to be changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from speakerkd.errors import InputError, nearest
from speakerkd.work.files import whole_file

PACKAGE = Path(__file__).parents[1]
SHELL = ("parse_options.sh", "recipe.sh")  # what run.sh and compare.sh source
FIRST = "voxceleb"  # whose configs go by their bare names
INSTALLED = """#!/usr/bin/env bash
# Stands for the checkout's installation: this recipe was copied out of an installed speakerkd.
command -v speakerkd >/dev/null && exit 0
echo "install.sh: error: no speakerkd on the PATH, activate its environment" >&2
exit 1
"""


def shipped_root() -> Path:
    """The folder that `recipes/` and `tools/` lie in: inside an installed package, else the checkout."""
    inside = PACKAGE / "shipped"
    return inside if inside.is_dir() else PACKAGE.parent


def find_config(name: Path | str) -> Path:
    """A config by its path, or one that is shipped by its name: `margin`, `cifar/clip`.

    A name is looked for among the shipped ones only where no such file is here. Raises InputError, the nearest named.
    """
    path = Path(name)
    if path.exists() or path.suffix not in ("", ".yaml", ".yml") or path.is_absolute() or len(path.parts) > 2:
        return path
    recipe, config = (path.parts[0], path.parts[1]) if len(path.parts) == 2 else (FIRST, path.name)
    known = shipped_configs()
    wanted = f"{recipe}/{config.removesuffix('.yaml')}"
    if wanted in known:
        return known[wanted]
    if path.suffix:  # a file was meant
        return path
    bare = {key.removeprefix(f"{FIRST}/"): key for key in known}
    raise InputError(f"no config '{name}' here or among the shipped ones", "train", nearest(str(name), bare))


def shipped_configs() -> dict[str, Path]:
    """Every shipped config: {recipe/name: path}."""
    root = shipped_root() / "recipes"
    return {f"{path.parts[-3]}/{path.stem}": path for path in sorted(root.glob("*/conf/*.yaml"))}


def copy_recipe(name: str, to: Path | str) -> Path:
    """Copy a recipe with the shell helpers that it sources; returns its run.sh.

    `to` is made like a checkout: recipes/NAME, tools. Raises InputError for an unknown recipe, and where a recipe of
    that name is there already.
    """
    root, to = shipped_root(), Path(to)
    known = sorted(path.parent.name for path in (root / "recipes").glob("*/run.sh"))
    if name not in known:
        raise InputError(f"no recipe '{name}'", "speakerkd recipe", nearest(name, known))
    target = to / "recipes" / name
    if target.exists():
        raise InputError("there is a recipe here already", target, "give another folder, or remove it")
    (to / "tools").mkdir(parents=True, exist_ok=True)
    for helper in SHELL:
        if (root / "tools" / helper).is_file():
            shutil.copy(root / "tools" / helper, to / "tools" / helper)
    with whole_file(to / "tools" / "install.sh") as stream:
        stream.write(INSTALLED)
    shutil.copytree(root / "recipes" / name, target, ignore=shutil.ignore_patterns("exp", "data", "__pycache__"))
    return target / "run.sh"
