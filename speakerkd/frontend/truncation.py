"""What becomes of recordings of which a part is missing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speakerkd.config import Settings

Truncated = Literal["refuse", "keep"]


class Truncation(Settings):
    """The choice, as every verb that reads recordings offers it."""

    truncated: Truncated = Field(
        "refuse", description="a recording whose end is missing: refuse it, or keep what is there"
    )
