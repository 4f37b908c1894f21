"""Say which face belongs to a voice, or which voice to a face. Faces are found and aligned.

Example: speakerkd match --audio a.wav --faces f1.jpg f2.jpg f3.jpg

Example: speakerkd match --face f.jpg --audios a.wav b.wav --json

Example: speakerkd match --audio a.wav --faces album    # a folder: whatever pictures and videos lie below it

Example: speakerkd match --audio a.wav --faces f1.jpg f2.jpg --runtime onnx --model exp/margin/onnx
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from speakerkd.cli.opened import open_model
from speakerkd.cli.options import verb
from speakerkd.errors import InputError
from speakerkd.evaluation.settings import RuntimeSettings
from speakerkd.media.folders import Walk
from speakerkd.media.formats import AUDIO, PICTURE


class MatchOptions(RuntimeSettings):
    """One probe, and what it is matched with."""

    audio: Path | None = Field(None, description="a recording, with --faces")
    faces: list[Path] = Field(default_factory=list, description="pictures, videos, or folders of them; one or more")
    face: Path | None = Field(None, description="a picture or video, with --audios")
    audios: list[Path] = Field(default_factory=list, description="recordings or folders of them, one or more")
    teacher_weights: Path | None = Field(None, description="weights of the face teacher, if they have moved")
    as_json: bool = Field(False, alias="json", description="print JSON")

    @model_validator(mode="after")
    def _one_probe(self) -> MatchOptions:
        named = {name for name in ("audio", "faces", "face", "audios") if getattr(self, name)}
        if named not in ({"audio", "faces"}, {"face", "audios"}):
            raise ValueError("give --audio and --faces, or --face and --audios; a test set is for match-test DIRECTORY")
        return self


@verb()
def match(settings: MatchOptions) -> None:
    """Print the options by falling similarity, and the first of them."""
    model = open_model(settings, settings.teacher_weights)
    if settings.audio is not None:
        result = model.match(settings.audio, _options(settings.faces, PICTURE, model.faces))
    else:
        assert settings.face is not None
        heard = _options(settings.audios, AUDIO, lambda path: model.embed(path, "mean"))
        result = model.match_voices(settings.face, heard)
    if settings.as_json:
        print(json.dumps(asdict(result) | {"chosen": result.chosen}, indent=2, ensure_ascii=False))
        return
    width = max(len(candidate.path) for candidate in result.candidates)
    for rank, candidate in enumerate(result.candidates, 1):
        print(f"{rank:>3}  {candidate.path:<{width}}  {candidate.similarity:+.4f}")
    print(f"{result.probe}: {result.chosen or 'undecided, the first two are equal'}")


def _options(paths: Sequence[Path], endings: Set[str], read: Callable[[Any], object]) -> list[Path]:
    """The files as given, and those below folders: what lies there and cannot be used is told, and left out."""
    options: list[Path] = []
    for path in paths:
        if not path.is_dir():
            options.append(path)
            continue
        walk, faults = Walk(path), []
        for name in walk.files(endings):
            try:
                read(path / name)
            except InputError as error:
                if str(path / name) not in str(error):
                    raise  # of the model, not of the file
                faults.append(f"left out: {error}")
            else:
                options.append(path / name)
        for text in filter(None, (*faults, walk.account())):
            print(text, file=sys.stderr)
    if not options:
        raise InputError("nothing to choose from", paths[0], "name files, or a folder that holds some")
    return options
