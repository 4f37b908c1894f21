"""The settings of `prepare mini`, without what does the work."""

from __future__ import annotations

from pydantic import Field

from speakerkd.config import Settings

PEOPLE = 100  # the first 100 of skimage.data.lfw_subset() are faces, one a person; the rest are not faces


class MiniSettings(Settings):
    """Size and seed of the corpus."""

    identities: int = Field(100, ge=8, le=PEOPLE, description="people in all, half of them for testing")
    videos: int = Field(3, ge=2, le=99, description="videos a person; each has its own light, channel and mood")
    utterances: int = Field(4, ge=1, le=999, description="utterances a video")
    seed: int = Field(0, ge=0, description="same seed, same bytes")
