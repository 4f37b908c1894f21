"""Options that several verbs have."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.config import Settings, read_yaml
from speakerkd.errors import InputError


class Directory(Settings):
    """A verb over one data directory."""

    directory: Path = Field(description="data directory")


class Machines(Settings):
    """Who does the work of a verb over many files."""

    jobs: int = Field(0, ge=0, le=10_000, description="processes on this machine; 0: one a core")
    cluster: str | None = Field(None, description="address of a Dask scheduler that does the work instead")


class Rejection(Settings):
    """How much of the input may be lost."""

    max_rejected: float = Field(0.01, ge=0, le=1, description="largest share of the input that may be lost")


def trained_on(folder: Path) -> Path:
    """The image directory that an experiment was trained on, as its config.yaml names it."""
    alone = (folder / "config.yaml").is_file()  # else one of several networks of the experiment that holds its folder
    values = read_yaml((folder if alone else folder.parent) / "config.yaml").get("data", {})
    if not isinstance(values, dict) or not isinstance(values.get("train"), str):
        raise InputError("no data is named there", folder / "config.yaml", "give the image directory with --data")
    return Path(values["train"])
