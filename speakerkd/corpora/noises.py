"""MUSAN, or any noises in its layout, into a data directory."""

from __future__ import annotations

from pathlib import Path

from speakerkd.corpora.build import Built, Recording, Work, build
from speakerkd.errors import InputError
from speakerkd.media.folders import media_below, need_folder, stem, walk_unused
from speakerkd.media.formats import AUDIO

CATEGORIES = ("noise", "music", "speech")
LAYOUT = "it holds noise, music and speech, each with <source>/*.wav"


def prepare_musan(output: Path | str, root: Path | str, work: Work) -> Built:
    """Write a data directory of noises at `output`, the category (noise, music, speech) in the speaker's place.

    Raises InputError where none of the three categories is there.
    """
    root = need_folder(root, "MUSAN", LAYOUT)
    recordings = [
        Recording(f"{category}/{stem(name)}", f"{root}/{category}/{name}", category)
        for category in CATEGORIES
        if (root / category).is_dir()
        for name in media_below(root / category, AUDIO)
    ]
    if not recordings:
        raise InputError("no noises", root, LAYOUT)
    used = [one.audio for one in recordings]
    walk = walk_unused(root, used, AUDIO, lambda name: f"recordings outside of {', '.join(CATEGORIES)}")
    return build(output, recordings, work, refused=walk.refused, left_out=walk.account())
