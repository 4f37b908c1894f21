"""Say which face belongs to a voice, or which voice to a face. Faces are found and aligned.

Example: speakerkd match --audio a.wav --faces f1.jpg f2.jpg f3.jpg

Example: speakerkd match --face f.jpg --audios a.wav b.wav --json

Example: speakerkd match --audio a.wav --faces f1.jpg f2.jpg --runtime onnx --model exp/margin/onnx
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import Field, model_validator

from speakerkd.cli.opened import open_model
from speakerkd.cli.options import verb
from speakerkd.evaluation.settings import RuntimeSettings


class MatchOptions(RuntimeSettings):
    """One probe, and what it is matched with."""

    audio: Path | None = Field(None, description="a recording, with --faces")
    faces: list[Path] = Field(default_factory=list, description="pictures or videos, one or more")
    face: Path | None = Field(None, description="a picture or video, with --audios")
    audios: list[Path] = Field(default_factory=list, description="recordings, one or more")
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
        result = model.match(settings.audio, settings.faces)
    else:
        assert settings.face is not None
        result = model.match_voices(settings.face, settings.audios)
    if settings.as_json:
        print(json.dumps(asdict(result) | {"chosen": result.chosen}, indent=2, ensure_ascii=False))
        return
    width = max(len(candidate.path) for candidate in result.candidates)
    for rank, candidate in enumerate(result.candidates, 1):
        print(f"{rank:>3}  {candidate.path:<{width}}  {candidate.similarity:+.4f}")
    print(f"{result.probe}: {result.chosen or 'undecided, the first two are equal'}")
