"""Files as people really have them: joined, streamed, misnamed; nothing is lost or invented in silence."""

import io
import os
import pathlib
import struct
import unicodedata

import numpy as np
import pytest
import soundfile
from PIL import Image
from test_audio import peak, tone, write_container

from speakerkd.corpora.probe import duration
from speakerkd.errors import InputError
from speakerkd.frontend.audio import read_audio, read_recording
from speakerkd.frontend.pictures import frames_of, is_video, read_picture
from speakerkd.media.folders import Walk, media_below
from speakerkd.media.formats import AUDIO, IMAGE, format_of


def wav(samples, *, data=None, riff=None, rate=16000, after=b""):
    """The bytes of a 16-bit wav, written by hand, with sizes as given."""
    body = (samples * 32767).astype("<i2").tobytes()
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    size = len(body) if data is None else data
    rest = b"WAVE" + head + b"data" + struct.pack("<I", size) + body + after
    return b"RIFF" + struct.pack("<I", len(rest) if riff is None else riff) + rest


def coded(samples, form, subtype, rate=16000):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=form, subtype=subtype)
    return stream.getvalue()


def contained(path, samples, rate=16000, codec="aac", form=None, **options):
    write_container(path, np.atleast_2d(samples), rate, codec, form, **options)
    return path.read_bytes()


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_a_wav_whose_writer_did_not_know_its_end_is_read_to_the_end(tmp_path, size):
    (tmp_path / "a.wav").write_bytes(wav(tone(), data=size, riff=size))
    assert len(read_audio(tmp_path / "a.wav")) == 16000
    assert duration(tmp_path / "a.wav") == 1.0


def test_a_wav_of_no_samples_before_another_chunk_has_none():
    with pytest.raises(InputError, match="no samples"):
        read_audio(wav(tone()[:0], after=b"LIST" + struct.pack("<I", 4) + b"INFO"))


def test_what_is_missing_is_said_in_seconds_and_kept_where_asked():
    cut = wav(tone(2.0))[: 44 + 2 * 24000]
    with pytest.raises(InputError, match=r"truncated: 1\.50 s read, 0\.50 s missing"):
        read_audio(cut)
    kept = read_recording(cut, truncated="keep")
    assert len(kept.samples) == 24000 and kept.missing == pytest.approx(0.5)


def test_a_flac_cut_short_is_truncated_and_one_of_unknown_length_is_whole():
    noise = (0.1 * np.random.default_rng(0).normal(size=32000)).astype(np.float32)
    whole = coded(noise, "FLAC", "PCM_16")
    with pytest.raises(InputError, match=r"truncated: 1\.\d\d s read, 0\.\d\d s missing"):
        read_audio(whole[: len(whole) * 3 // 4])
    streamed = bytearray(whole)  # the 36 bits of the number of samples: 0 means unknown (RFC 9639, 8.2)
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    assert len(read_audio(bytes(streamed))) == 32000


@pytest.mark.parametrize("form", ["ogg", "opus", "flac", "wav", "mp3", "aac"])
def test_recordings_joined_end_to_end_are_read_to_the_end(tmp_path, form):
    """As `cat a.mp3 b.mp3` joins them; the second at another rate and with two channels where the format can."""
    low, high = tone(1.0), np.stack([tone(0.5, 48000, 880.0)] * 2)
    if form in ("mp3", "aac"):
        codec, muxer = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "adts")}[form]
        pieces = [
            contained(tmp_path / f"{n}.{form}", x, r, codec, muxer) for n, x, r in ((1, low, 16000), (2, high, 48000))
        ]
    else:
        kind = {
            "ogg": ("OGG", "VORBIS"),
            "opus": ("OGG", "OPUS"),
            "flac": ("FLAC", "PCM_16"),
            "wav": ("WAV", "PCM_16"),
        }[form]
        pieces = [coded(low, *kind), coded(high.T, *kind, 48000)]
    (tmp_path / f"joined.{form}").write_bytes(b"".join(pieces))
    samples = read_audio(tmp_path / f"joined.{form}")
    assert len(samples) == pytest.approx(24000, abs=2500 if form == "aac" else 10)
    assert abs(peak(samples[2000:14000]) - 440) < 3 and abs(peak(samples[18000:23000]) - 880) < 5
    assert duration(tmp_path / f"joined.{form}") == pytest.approx(len(samples) / 16000, abs=0.01)


@pytest.mark.parametrize(
    "between", [b"LIST" + struct.pack("<I", 10) + b"INFOISFT\0\0", b"note" + struct.pack("<I", 3) + b"abc\0"]
)
def test_wavs_joined_behind_their_other_chunks_are_read_to_the_end(between):
    one = wav(tone(), after=between)
    assert len(read_audio(one + one)) == 32000
    assert len(read_audio(one)) == 16000


def test_an_mp3_joined_to_one_that_counts_its_frames_is_whole():
    """FFmpeg takes the first one's count, 1 s, over the file's bytes for a length that is never reached."""
    one = coded(np.random.default_rng(0).normal(0, 0.1, 48000), "MP3", "MPEG_LAYER_III")
    assert len(read_audio(one + one)) == pytest.approx(96000, abs=4000)
    with pytest.raises(InputError, match=r"truncated: 1\.\d\d s read, 1\.\d\d s missing"):
        read_audio(one[: len(one) // 2])


@pytest.mark.parametrize("form, subtype", [("CAF", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_a_file_cut_short_is_truncated_whichever_library_reads_it(form, subtype):
    whole = coded((0.1 * np.random.default_rng(0).normal(size=64000)).astype(np.float32), form, subtype)
    assert len(read_audio(whole)) == 64000
    with pytest.raises(InputError, match=r"truncated: [12]\.\d\d s read, \d\.\d\d s missing"):
        read_audio(whole[: len(whole) * 6 // 10])


def test_a_tag_before_a_format_that_has_none_hides_nothing():
    tag = b"ID3\3\0\0" + bytes([0, 0, 40, 0]) + bytes(40 * 128)
    assert len(read_audio(tag + wav(tone()))) == 16000
    assert len(read_audio(tag + coded(tone(), "OGG", "VORBIS"))) == 16000


def test_an_mp3_without_a_count_of_its_frames_is_read_to_the_end(tmp_path):
    """libsndfile guesses its length from the first frames: quiet ones, of few bytes, made it lose half."""
    quiet = np.concatenate([tone(4.0, level=1e-4), tone(4.0)])
    contained(tmp_path / "a.mp3", quiet, 16000, "libmp3lame", "mp3", write_xing="0")
    assert duration(tmp_path / "a.mp3") == pytest.approx(8.0, abs=0.1)
    assert len(read_audio(tmp_path / "a.mp3")) == pytest.approx(8 * 16000, abs=1600)


def test_sound_of_eight_channels_is_read(tmp_path):
    import av
    from av.audio.plane import AudioPlane

    with av.open(str(tmp_path / "a.m4a"), "w", format="ipod") as container:
        track = container.add_stream("aac", rate=16000, layout="7.1")
        for start in range(0, 15 * 1024, 1024):  # PyAV's own conversion writes past eight planes as well
            frame = av.AudioFrame(format="fltp", layout="7.1", samples=1024)
            for channel in range(8):
                AudioPlane(frame, channel).update(tone()[start : start + 1024].tobytes())
            frame.sample_rate = 16000
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    assert abs(peak(read_audio(tmp_path / "a.m4a")) - 440) < 2


def test_content_decides_whatever_the_ending_says(tmp_path):
    files = {
        "wav": coded(tone(), "WAV", "PCM_16"), "flac": coded(tone(), "FLAC", "PCM_16"),
        "ogg": coded(tone(), "OGG", "VORBIS"), "m4a": contained(tmp_path / "1.m4a", tone()),
        "mp3": contained(tmp_path / "1.mp3", tone(), 16000, "libmp3lame", "mp3"),
        "aac": contained(tmp_path / "1.aac", tone(), 16000, "aac", "adts"),
        "mkv": contained(tmp_path / "1.mkv", tone()),
    }  # fmt: skip
    for data in files.values():
        for ending in (*files, "jpg", "txt"):
            path = tmp_path / f"a.{ending}"
            path.write_bytes(data)
            assert len(read_audio(path)) == pytest.approx(16000, abs=3 * 1024)
            assert duration(path) == pytest.approx(1.0, abs=0.2)
    assert format_of(b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(99), 124) is None


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile good.wav\n", "#EXTM3U\n#EXTINF:1,\ngood.wav\n", "[playlist]\nFile1=good.wav\n"],
)
def test_a_playlist_makes_nothing_else_be_opened(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    soundfile.write("good.wav", tone(), 16000)
    for name in ("list.m4a", "list.wav", "list.mp4"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="not a readable"):
            read_audio(name)


def test_postscript_under_the_name_of_a_picture_reaches_no_interpreter(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript was called"))
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(InputError, match="not a readable picture"):
        read_picture(tmp_path / "a.jpg")


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = contained(tmp_path / "a.m4a", tone())
    for name in ("concat:a.m4a", "talk 10:30.m4a", "http:", "-", "%d.m4a"):
        (tmp_path / name).write_bytes(data)
        assert len(read_audio(name)) >= 16000


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", "/dev/zero", "/dev/null", tmp_path):
        for read in (read_audio, read_picture, duration, is_video):
            with pytest.raises(InputError, match="in place of the (recording|picture)"):
                read(path)
    for name in ("a\0b.wav", "x" * 300 + ".wav"):
        with pytest.raises(InputError, match="recording"):
            read_audio(tmp_path / name)


def test_names_that_are_no_text_and_names_of_255_bytes_are_read(tmp_path):
    for name in (b"\xff\xfe.wav", b"x" * 251 + b".wav", "é".encode() * 125 + b".m4a"):
        path = os.fsencode(tmp_path) + b"/" + name
        with open(path, "wb") as stream:
            stream.write(wav(tone()))
        assert len(read_audio(os.fsdecode(path))) == 16000
        assert duration(pathlib.Path(os.fsdecode(path))) == 1.0


def test_recordings_are_taken_as_paths_bytes_file_objects_and_samples(tmp_path):
    data = wav(tone())
    (tmp_path / "a.wav").write_bytes(data)
    expected = read_audio(tmp_path / "a.wav")
    whole = (tone() * 32767).astype(np.int16)
    with open(tmp_path / "a.wav", "rb") as stream:
        stream.read(100)  # wherever it stands, it is read from its beginning
        sources = [str(tmp_path / "a.wav"), data, bytearray(data), io.BytesIO(data), stream, (whole, 16000)]
        for source in sources:
            np.testing.assert_allclose(read_audio(source), expected, atol=1e-6)
    two = np.stack([tone(rate=8000), tone(rate=8000)], 1)
    assert read_audio((two.astype(np.float64), 8000)).shape == (16000,)
    for wrong in ((np.zeros((2, 2, 2)), 16000), (tone(), 1), (np.array(["a"]), 16000), 7, io.StringIO("text")):
        with pytest.raises(InputError):
            read_audio(wrong)


def test_pictures_are_taken_as_paths_bytes_images_and_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), image, pixels, pixels / 255):
        np.testing.assert_array_equal(read_picture(source), pixels)
        np.testing.assert_array_equal(next(frames_of(source, 1)), pixels)
    grey = pixels[..., 0]
    for source in (grey, grey[..., None], grey.astype(np.uint16) * 257, Image.fromarray(grey)):
        np.testing.assert_array_equal(read_picture(source), np.repeat(grey[..., None], 3, 2))
    for wrong in (pixels.astype(int), np.zeros((3, 8, 6, 3), np.uint8), np.full((4, 4), np.nan), np.zeros((4, 4, 2))):
        with pytest.raises(InputError):
            read_picture(wrong)


def test_every_picture_format_of_the_table_is_read(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    picture = Image.new("RGB", (32, 24), (200, 60, 30))
    for name, form in {
        "a.jfif": "JPEG", "a.heic": "HEIF", "a.avif": "AVIF", "a.gif": "GIF", "a.jp2": "JPEG2000", "a.ppm": "PPM",
        "a.tiff": "TIFF", "a.webp": "WEBP",
    }.items():  # fmt: skip
        picture.save(tmp_path / name, form)
        read = read_picture(tmp_path / name)
        assert read.shape == (24, 32, 3) and np.abs(read[12, 16].astype(int) - [200, 60, 30]).max() < 12, name
        assert os.path.splitext(name)[1] in IMAGE


def test_a_jpeg_of_too_many_pixels_is_decoded_smaller():
    stream = io.BytesIO()
    Image.new("L", (10_000, 9_000), 77).save(stream, "JPEG")
    picture = read_picture(stream.getvalue())
    assert picture.shape == (4500, 5000, 3) and (picture == 77).all()


def test_a_walk_gives_each_file_once_and_says_what_it_left_out(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for name in ("a/1.wav", "a/._1.wav", "b/@eaDir/2.wav", "b/2.wav", "b/notes.txt", "lost+found/3.wav", "Thumbs.db"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (outside / "deep").mkdir(parents=True)
    for name in ("4.wav", "deep/5.wav"):
        (outside / name).touch()
    links = {
        "a/up": "..",
        "a/b": "../b",
        "b/one.wav": "../a/1.wav",
        "c": outside,
        "d": outside / "deep",
        "e.wav": "gone",
    }
    for name, target in {**links, "a/above": tmp_path}.items():
        (root / name).symlink_to(target)
    walk = Walk(root)
    assert sorted(walk.files(AUDIO)) == ["a/1.wav", "b/2.wav", "c/4.wav", "c/deep/5.wav", "e.wav"]
    assert "5 links to what is counted already" in walk.account()
    assert "4 hidden or a system's own" in walk.account() and "1 whose ending is not read (.txt 1)" in walk.account()


def test_a_folder_that_cannot_be_read_is_listed_and_the_walk_goes_on(tmp_path, monkeypatch):
    for name in ("a/1.wav", "b/2.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    scan = os.scandir

    def refusing(path):
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    walk = Walk(tmp_path)
    assert list(walk.files(AUDIO)) == ["b/2.wav"]
    assert walk.refused[0][0] == "a" and "Permission denied" in walk.refused[0][1]
    assert list(media_below(tmp_path, AUDIO)) == ["b/2.wav"]


def test_a_bug_of_ours_is_not_taken_for_a_damaged_file(monkeypatch):
    from speakerkd.frontend import audio

    monkeypatch.setattr(audio, "mix_down", lambda channels: channels.nothing_like_it)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        read_audio(wav(tone()))


def test_names_of_one_person_in_two_unicode_forms_are_one():
    from speakerkd.data.names import encode_key

    assert encode_key(unicodedata.normalize("NFD", "Zoë/1")) == "Zoë/1"
