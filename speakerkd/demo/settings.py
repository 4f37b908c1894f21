"""The settings of the page: where it is served, and what it takes at most."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.evaluation.settings import ModelSettings
from speakerkd.frontend.vad_settings import SpeechOnly

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class DemoSettings(SpeechOnly, ModelSettings):
    """Which model is tried out, where the page is, and what may be uploaded."""

    host: str = Field("127.0.0.1", min_length=1, description="address to serve at; this machine alone unless changed")
    port: int = Field(7860, ge=0, le=65535, description="port to serve at; 0: any that is free")
    seconds: float = Field(120.0, gt=0, le=3600, description="longest recording taken, seconds")
    megabytes: int = Field(20, ge=1, le=1000, description="largest file taken, MB")
    files: int = Field(8, ge=1, le=64, description="most pictures or recordings that one is matched with")
    threshold: float | None = Field(None, description="scores at or above it are of one speaker [default: the model's]")
    teacher_weights: Path | None = Field(None, description="weights of the face teacher, if they have moved")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in LOOPBACK
