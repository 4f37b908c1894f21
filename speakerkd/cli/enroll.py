"""Put people into a gallery, a single file of their voices' embeddings (and faces'); or list, remove, export them.

Example: speakerkd enroll team.db --name "Ann Lee" --audios a1.wav a2.wav

Example: speakerkd enroll team.db --list
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from speakerkd.cli.opened import open_model
from speakerkd.cli.options import verb
from speakerkd.errors import one_line
from speakerkd.evaluation.settings import RuntimeSettings


class EnrollOptions(RuntimeSettings):
    """Whose gallery it is, and what becomes of it."""

    gallery: Path = Field(description="the gallery's file; made where there is none")
    name: str | None = Field(None, description="the person whom --audios and --faces show")
    audios: list[Path] = Field(default_factory=list, description="recordings of the person")
    faces: list[Path] = Field(default_factory=list, description="pictures of the person, for a model that faces taught")
    remove: str | None = Field(None, description="remove the person of this name")
    listed: bool = Field(False, alias="list", description="list everybody")
    export: Path | None = Field(None, description="write all embeddings to this .npz (utterance, embedding)")

    @model_validator(mode="after")
    def _one_thing(self) -> EnrollOptions:
        adding = self.name is not None or bool(self.audios or self.faces)
        if adding and not (self.name and (self.audios or self.faces)):
            raise ValueError("give --name with --audios or --faces")
        if adding + (self.remove is not None) + self.listed + (self.export is not None) != 1:
            raise ValueError("add a person with --name and --audios, or give one of --list, --remove, --export")
        return self


@verb("gallery")
def enroll(settings: EnrollOptions) -> None:
    """Do the one thing that is asked for."""
    import numpy as np

    from speakerkd.gallery import Gallery

    if settings.name is not None:
        model = open_model(settings)
        # before the file is touched: a recording that cannot be read leaves it as it was
        voices = model.embed(list(settings.audios), "mean") if settings.audios else None
        faces = model.faces(list(settings.faces)) if settings.faces else None
        gallery = Gallery(settings.gallery, model.identity)
        if voices is not None:
            gallery.add(settings.name, voices, [str(path) for path in settings.audios])
        if faces is not None:
            gallery.add(settings.name, faces, [str(path) for path in settings.faces], "face")
        counts = f"{len(settings.audios)} voices and {len(settings.faces)} faces"
        print(f"{settings.gallery}: {one_line(settings.name)}, {counts} added")
        return
    gallery = Gallery(settings.gallery)
    if settings.listed:
        for person in gallery.people():
            print(f"{person.voices:>5} voices {person.faces:>5} faces  {person.name!r}")
        return
    if settings.remove is not None:
        print(f"{settings.gallery}: {gallery.remove(settings.remove)} embeddings of {settings.remove!r} removed")
        return
    assert settings.export is not None
    from speakerkd.work.files import whole_file

    names, kinds, vectors = gallery.export()
    with whole_file(settings.export, "wb") as stream:
        np.savez(stream, utterance=np.array(names, str), kind=np.array(kinds, str), embedding=vectors)
    print(f"{settings.export}: {len(names)} embeddings")
