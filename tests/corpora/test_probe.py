"""Durations from headers: a wrong one mis-sizes every crop, and a broken file found late stops a night's run."""

import numpy as np
import pytest
import soundfile

from speakerkd.corpora.probe import check_picture, duration
from speakerkd.errors import InputError


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.m4a"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (48000, 1)])
def test_duration_of_usual_formats(media, name, rate, channels):
    seconds = duration(media.sound(name, 1.5, rate, channels))
    assert seconds == pytest.approx(1.5, abs=0.08)  # lossy formats add up to a frame


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_duration_is_exact_where_the_format_is(media, name):
    assert duration(media.sound(name, 12345 / 16000)) == 12345 / 16000


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a"])
def test_truncated(media, truncate, name):
    with pytest.raises(InputError, match=r"truncated.*" + name):
        duration(truncate(media.sound(name, 2)))


def test_truncated_m4a_whose_header_comes_first(media, truncate):
    path = media.sound("a.m4a", 2, movflags="faststart")
    whole = duration(path)
    assert whole == pytest.approx(2, abs=0.08)
    with pytest.raises(InputError, match="truncated"):
        duration(truncate(path, 0.9))


@pytest.mark.parametrize("name", ["a.wav", "a.m4a", "a.flac"])
@pytest.mark.parametrize("content", [b"", b"not media at all", b"RIFF\0\0\0\0WAVE", bytes(5000)])
def test_no_media(media, name, content):
    with pytest.raises(InputError, match=name):
        duration(media.text(name, content))


def test_no_samples(media):
    soundfile.write(media.path("a.wav"), np.zeros(0, np.float32), 16000)
    with pytest.raises(InputError, match="no sound"):
        duration(media.path("a.wav"))


def test_a_video_without_sound(media):
    with pytest.raises(InputError, match="no sound"):
        duration(media.video("a.mp4"))


def test_missing_and_a_folder(media):
    with pytest.raises(InputError, match="no such recording"):
        duration(media.root / "none.wav")
    with pytest.raises(InputError, match="a folder in place of the"):
        duration(media.root)


def test_names_with_blanks_and_accents(media):
    assert duration(media.sound("zo\u00eb & ren\u00e9 1.wav", 0.25)) == 0.25


def test_a_name_that_lies(media):
    path = media.sound("a.m4a", 1)
    assert duration(path.rename(media.root / "b.wav")) == pytest.approx(1, abs=0.08)


def test_pictures(media, truncate):
    for good in (media.image("a.png"), media.image("a.jpg"), media.video("a.mp4")):
        check_picture(good)
    for bad in (
        media.text("b.png", b""),
        media.text("b.jpg", b"GIF or so"),
        media.root / "none.jpg",
        truncate(media.video("b.mp4")),
    ):
        with pytest.raises(InputError, match=bad.name):
            check_picture(bad)
