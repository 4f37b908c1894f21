"""What `teacher.json` says beside cached embeddings: which teacher made them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from speakerkd.work.records import read_json


class CachedTeacher(BaseModel):
    """The teacher of an archive of embeddings."""

    name: str = Field(description="the network, as `speakerkd embed-teacher --teacher`, or the text teacher")
    dim: int = Field(ge=1, description="size of its embeddings")
    weights: str | None = Field(None, description="path of its weights when it was run")
    digest: str | None = Field(None, description="digest of that file")
    kind: str = Field("face", description="what it embeds: speech, or else faces (or text)")


def read_cached_teacher(path: Path | str) -> CachedTeacher:
    """Read a teacher.json. Raises InputError where it is damaged."""
    return read_json(path, CachedTeacher, "run `speakerkd embed-teacher` (or `embed-text`) again")
