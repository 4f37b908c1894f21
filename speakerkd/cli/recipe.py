"""The verb `recipe`: a shipped recipe, copied out to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command()(recipe)


def recipe(
    name: Annotated[str, typer.Argument(help="voxceleb, cifar, ...", show_default=False)],
    *,
    to: Annotated[Path, typer.Option(help="folder to make", show_default=False)],
) -> None:
    """Copy a recipe, with its configs and the shell helpers that it sources, to run and change it there.

    Example: speakerkd recipe voxceleb --to work
    """
    from speakerkd.work.shipped import copy_recipe

    print(f"bash {copy_recipe(name, to)}")
