"""Whether what is not speech is left out of recordings."""

from __future__ import annotations

from pydantic import Field

from speakerkd.config import Settings


class SpeechOnly(Settings):
    """The choice, as every verb that hears recordings offers it."""

    vad: bool = Field(False, description="leave out what is not speech first (silero-vad)")
