"""MUSAN's layout: a category lost would silently weaken augmentation and noisy tests."""

import pytest

from speakerkd.corpora.noises import prepare_musan
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from speakerkd.errors import InputError


def test_categories_stand_in_the_speakers_place(media, tmp_path, work):
    for name in ("noise/free-sound/a", "noise/sound-bible/a", "music/jamendo/b", "speech/us-gov/c"):
        media.sound(f"musan/{name}.wav", 0.2)
    media.text("musan/noise/free-sound/ANNOTATIONS", "a crow")
    built = prepare_musan(tmp_path / "data/musan", media.root / "musan", work)
    data = DataDir(built.path)
    assert data.speakers == {
        "music": ["music/jamendo/b"],
        "noise": ["noise/free-sound/a", "noise/sound-bible/a"],
        "speech": ["speech/us-gov/c"],
    }
    assert validate(built.path) == []


def test_another_layout(media, tmp_path, work):
    media.sound("musan/a.wav")
    with pytest.raises(InputError, match="no noises"):
        prepare_musan(tmp_path / "data/musan", media.root / "musan", work)
