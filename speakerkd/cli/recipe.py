"""Copy a recipe, with its configs and the shell helpers that it sources, to run and change it there.

Example: speakerkd recipe voxceleb --to work
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class RecipeOptions(Settings):
    """Which recipe is copied, and where it goes."""

    name: str = Field(description="voxceleb, cifar, ...")
    to: Path = Field(description="folder to make")


@verb("name")
def recipe(settings: RecipeOptions) -> None:
    """Copy the recipe and say how it is started."""
    from speakerkd.work.shipped import copy_recipe

    print(f"bash {copy_recipe(settings.name, settings.to)}")
