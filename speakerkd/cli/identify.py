"""Say who of a gallery speaks in a recording, or whose face a picture shows.

A voice is compared with voices and a face with faces, unless --against says otherwise, which a model that faces taught
can do. With a threshold, somebody less alike is nobody.

Example: speakerkd identify team.db --audio unknown.wav --threshold 0.5
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from speakerkd.cli.opened import open_model
from speakerkd.cli.options import verb
from speakerkd.errors import one_line
from speakerkd.evaluation.settings import RuntimeSettings


class IdentifyOptions(RuntimeSettings):
    """The probe, and what it is compared with."""

    gallery: Path = Field(description="the gallery's file, of `speakerkd enroll`")
    audio: Path | None = Field(None, description="a recording")
    face: Path | None = Field(None, description="a picture or video")
    against: Literal["voice", "face"] | None = Field(
        None, description="compare with enrolled voices or faces [default: of the probe's own kind]"
    )
    threshold: float | None = Field(None, ge=-1, le=1, description="least cosine; below it nobody is named")
    count: int = Field(5, ge=1, le=1000, description="people shown")
    as_json: bool = Field(False, alias="json", description="print JSON")

    @model_validator(mode="after")
    def _one_probe(self) -> IdentifyOptions:
        if (self.audio is None) == (self.face is None):
            raise ValueError("give --audio or --face")
        return self


@verb("gallery")
def identify(settings: IdentifyOptions) -> None:
    """Print the nearest people, and the verdict."""
    from speakerkd.gallery import Gallery

    model = open_model(settings)
    if not settings.gallery.is_file():
        Gallery(settings.gallery)  # says what is wrong
    gallery = Gallery(settings.gallery, model.identity)
    index = gallery.index(settings.against or ("voice" if settings.audio is not None else "face"))
    probe = model.embed(settings.audio, "mean") if settings.audio is not None else model.faces(str(settings.face))
    candidates = index.search(probe, settings.count)
    cut = settings.threshold
    who = None if cut is None or candidates[0].similarity < cut else candidates[0].name
    if settings.as_json:
        answer = {"identified": who, "threshold": cut, "candidates": [asdict(person) for person in candidates]}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for rank, person in enumerate(candidates, 1):
        print(f"{rank:>3}  {person.similarity:+.4f}  {one_line(person.name)}")
    if cut is None:
        print(f"nearest: {one_line(candidates[0].name)} (give --threshold for a verdict)")
    else:
        print(f"identified: {one_line(who or 'nobody')}, threshold {cut:g}")
