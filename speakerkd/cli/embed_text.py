"""Run the frozen text teacher once over the class names of an image directory.

Writes teacher.npz: a text embedding for every class in every prompt.

Example: speakerkd embed-text data/cifar100 --teacher clip
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import DeviceName, Settings
from speakerkd.errors import InputError


class EmbedTextOptions(Settings):
    """The teacher and what it reads."""

    directory: Path = Field(description="image directory")
    teacher: str = Field(description="clip, ngrams, auto, or a table (.npz, .npy)")
    weights: Path | None = Field(None, description="weights file of clip")
    prompts: str = Field("imagenet_80", description="prompt set that the text teacher reads")
    aliases: list[str] = Field(default_factory=list, alias="alias", description="CLASS=NAME, names in the table")
    names: Path | None = Field(None, description="class names of a .npy table, one a line")
    device: DeviceName = Field("auto", description="auto, cpu, cuda, cuda:N or mps")


@verb("directory", cost="directory")
def embed_text(settings: EmbedTextOptions) -> None:
    """Embed the class names and say what the table holds."""
    from speakerkd.models.device import choose_device
    from speakerkd.models.text import STAND_IN
    from speakerkd.teachers.text import embed_text as embed_names

    aliases = dict(text.partition("=")[::2] for text in settings.aliases)
    if empty := [name for name, other in aliases.items() if not other]:
        raise InputError(f"'{empty[0]}' is not of the form CLASS=NAME", "--alias", "write --alias 'automobile=car'")
    table = embed_names(
        settings.directory,
        settings.teacher,
        weights=settings.weights,
        prompts=settings.prompts,
        aliases=aliases,
        names=settings.names,
        device=choose_device(settings.device),
    )
    shape = f"{len(table.classes)} classes x {len(table.templates)} prompts, {table.dim} dimensions"
    note = f" ({STAND_IN})" if table.source["name"] == "ngrams" else ""
    print(f"embed-text {settings.directory}: {table.source['name']}{note}, {shape}")
