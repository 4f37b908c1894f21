"""Thousands of damaged files: each gives samples or pixels, or one InputError; nothing hangs, swells or reaches out."""

import io
import resource
import struct
import sys
import time

import numpy as np
import pytest
import soundfile
from PIL import Image
from test_audio import tone, write_container
from videos import write_video

from speakerkd.corpora.probe import check_picture, duration
from speakerkd.errors import InputError
from speakerkd.frontend.audio import read_audio, resample
from speakerkd.frontend.pictures import frames_of, read_picture

FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "os.re")
LIBSNDFILE = (
    ("WAV", "PCM_16"), ("WAV", "GSM610"), ("WAV", "MS_ADPCM"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("AIFF", "PCM_16"), ("AU", "ULAW"), ("CAF", "ALAC_16"),
    ("W64", "PCM_16"), ("NIST", "PCM_16"), ("VOC", "PCM_16"), ("PAF", "PCM_24"), ("PVF", "PCM_16"),
    ("IRCAM", "PCM_16"), ("SVX", "PCM_16"), ("XI", "DPCM_16"), ("HTK", "PCM_16"), ("MAT4", "PCM_16"),
    ("MAT5", "PCM_16"), ("AVR", "PCM_16"),
)  # fmt: skip
CONTAINERS = (  # ending, codec, muxer, options
    ("m4a", "aac", "ipod", {}), ("mp4", "aac", "mp4", {"movflags": "faststart"}),
    ("m4s", "aac", "mp4", {"movflags": "frag_keyframe+empty_moov"}), ("mp3", "libmp3lame", "mp3", {}),
    ("aac", "aac", "adts", {}), ("webm", "libopus", "webm", {}), ("mkv", "aac", "matroska", {}),
    ("avi", "libmp3lame", "avi", {}), ("ts", "aac", "mpegts", {}), ("wv", "wavpack", "wv", {}),
    ("wav", "libmp3lame", "wav", {}),
)  # fmt: skip


@pytest.fixture(scope="module")
def reached():
    """What the interpreter did beside reading: programs, sockets, files removed, files opened to write."""
    events = []
    watching = [True]

    def hook(event, arguments):
        if not watching[0]:
            return
        if event.startswith(FORBIDDEN):
            events.append((event, arguments))
        elif event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1]):
            events.append((event, arguments[0]))

    sys.addaudithook(hook)
    yield events
    watching[0] = False


def damaged(data, rng):
    """One of seven ways in which files break."""
    bad, way = bytearray(data), rng.integers(7)
    at = int(rng.integers(len(bad)))
    if way == 0:
        return bytes(bad[: at + 1])
    if way == 1:
        del bad[at : at + int(rng.integers(1, 200))]
    elif way == 2:
        bad[at:at] = rng.bytes(int(rng.integers(1, 200)))
    elif way == 3:  # a size in the header
        at = int(rng.integers(max(1, min(len(bad), 300) - 4)))
        value = int(rng.choice([0, 1, 0xFFFF, 1_000_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
        bad[at : at + 4] = struct.pack("<I" if rng.random() < 0.5 else ">I", value)
    elif way == 4:
        for position in rng.integers(0, min(len(bad), 64), 2):
            bad[position] ^= 1 << int(rng.integers(8))
    else:
        for position in rng.integers(0, len(bad) if way == 5 else min(len(bad), 100), 6):
            bad[position] = rng.integers(256)
    return bytes(bad)


def survives(read, inputs):
    """(how many were read, how many refused) of inputs, each within 10 s of work and 200 MB of memory."""
    counts = [0, 0]
    for source in inputs:
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            read(source)
            counts[0] += 1
        except InputError as error:
            assert len(str(error)) < 600 and "\n" not in str(error)
            counts[1] += 1
        assert time.process_time() - begun < 10
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    return counts


def test_damaged_recordings(tmp_path, reached):
    rng, good = np.random.default_rng(0), []
    for form, subtype in LIBSNDFILE:
        stream = io.BytesIO()
        soundfile.write(stream, tone(0.2), 8000 if subtype == "GSM610" else 16000, format=form, subtype=subtype)
        good.append(stream.getvalue())
    for ending, codec, muxer, options in CONTAINERS:
        rate = 48000 if codec == "libopus" else 16000
        write_container(tmp_path / f"a.{ending}", tone(0.2, rate)[None], rate, codec, muxer, **options)
        good.append((tmp_path / f"a.{ending}").read_bytes())
    resample(tone(0.1), 8000, 16000)  # loads what is loaded at first use
    assert survives(read_audio, good) == [len(good), 0]
    path = tmp_path / "damaged.wav"
    inputs = [damaged(data, rng) for data in good for _ in range(50)]
    path.write_bytes(b"x")
    reached.clear()
    read, refused = survives(lambda data: read_audio(data, truncated="keep"), inputs)
    assert read > 300 and refused > 300
    assert reached == []
    for data in inputs[::5]:  # what a file says of itself without being decoded
        path.write_bytes(data)
        survives(duration, [path])


def test_damaged_pictures_and_videos(tmp_path, reached):
    rng, good = np.random.default_rng(0), []
    noise = Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 72.0
    for form, options in (
        ("JPEG", {"exif": exif}), ("JPEG", {"progressive": True}), ("PNG", {"exif": exif}), ("GIF", {}), ("BMP", {}),
        ("WEBP", {"exif": exif}), ("TIFF", {"exif": exif}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {}),
        ("JPEG2000", {}), ("AVIF", {}),
    ):  # fmt: skip
        stream = io.BytesIO()
        noise.save(stream, form, **options)
        good.append(stream.getvalue())
    assert survives(read_picture, good) == [len(good), 0]
    videos = []
    for ending in ("mp4", "mkv", "avi", "ts"):  # a short transport stream cannot be sought in
        write_video(tmp_path / f"a.{ending}", [np.full((64, 64, 3), 20 * n, np.uint8) for n in range(10)])
        videos.append((tmp_path / f"a.{ending}").read_bytes())
    assert survives(lambda data: list(frames_of(data, 3)), videos) == [len(videos), 0]
    reached.clear()
    read, refused = survives(read_picture, [damaged(data, rng) for data in good for _ in range(100)])
    assert read > 200 and refused > 200
    survives(lambda data: list(frames_of(data, 3)), [damaged(data, rng) for data in videos for _ in range(25)])
    assert reached == []
    path = tmp_path / "damaged.jpg"
    for data in [damaged(data, rng) for data in good + videos for _ in range(10)]:
        path.write_bytes(data)
        survives(check_picture, [path])


def with_exif(jpeg, block):
    """A JPEG with this EXIF block in its first segment."""
    segment = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def random_exif(rng):
    """A TIFF directory of random tags, types, counts and values, some of them behind its end."""
    entries = b""
    tags = (0x0112, 0x010F, 0x011A, 0x011B, 0x0128, 0x0132, 0x8769, 0x8825, 0x9000, 0x0106, 0xA005, 0x927C, 0x014A)
    count = int(rng.integers(1, 12))
    for _ in range(count):
        tag, kind = int(rng.choice(tags)), int(rng.integers(0, 15))
        number = int(rng.choice([0, 1, 2, 3, 4, 20, 60_000, 4_000_000_000]))
        entries += struct.pack("<HHI", tag, kind, number) + rng.bytes(4)
    body = struct.pack("<H", count) + entries + rng.bytes(int(rng.integers(0, 60)))
    return b"II*\0" + struct.pack("<I", 8) + body if rng.random() < 0.9 else rng.bytes(60)


def test_four_thousand_random_exif_blocks_spoil_no_picture():
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)).save(stream, "JPEG")
    plain = read_picture(stream.getvalue())
    turned = 0
    for _ in range(4000):
        picture = read_picture(with_exif(stream.getvalue(), random_exif(rng)))
        assert picture.shape in ((16, 24, 3), (24, 16, 3))
        assert picture.sum() == plain.sum()  # the same pixels, turned
        turned += picture.shape != plain.shape
    assert turned < 400
