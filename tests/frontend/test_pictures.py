"""What a user loses if these fail: faces turned on their side, or a run that stops at one odd picture."""

import av
import numpy as np
import pytest
from PIL import Image
from videos import write_video

from speakerkd.errors import InputError
from speakerkd.frontend.pictures import is_video, read_picture, video_frames

ORIENTATION = 0x0112


def scene():
    """Left half red, right half blue, a green bar on top."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30, 0] = picture[:, 30:, 2] = 255
    picture[:8] = [0, 255, 0]
    return picture


@pytest.mark.parametrize("name", ["a.png", "un été à la mer.jpg", "лицо.webp", "a.bmp", "a.tif", "a.gif"])
def test_usual_formats(tmp_path, name):
    Image.fromarray(scene()).save(tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert picture.dtype == np.uint8 and picture.shape == (40, 60, 3)
    # away from the edges, where lossy formats blur
    for y, x in ((3, 10), (25, 10), (25, 50)):
        assert np.abs(picture[y, x].astype(int) - scene()[y, x]).max() < 12


def test_grey_sixteen_bits_and_one_bit(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "16.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "16.png")[..., 1], np.arange(256).reshape(16, 16))
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "8.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "8.png")[..., 2], np.arange(256).reshape(16, 16))
    Image.fromarray(np.eye(9) > 0).save(tmp_path / "1.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "1.png")[..., 0], 255 * np.eye(9))


def test_cmyk(tmp_path):
    Image.fromarray(scene()).convert("CMYK").save(tmp_path / "a.jpg")
    assert np.abs(read_picture(tmp_path / "a.jpg")[25, 10].astype(int) - [255, 0, 0]).max() < 12


def test_transparent_parts_become_grey(tmp_path):
    picture = np.dstack([scene(), np.full((40, 60), 255, np.uint8)])
    picture[20:, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png")
    assert read[25, 10].tolist() == [127, 127, 127] and read[15, 10].tolist() == [255, 0, 0]
    Image.fromarray(picture).convert("P").save(tmp_path / "p.png", transparency=0)
    assert read_picture(tmp_path / "p.png").shape == (40, 60, 3)


def test_a_picture_is_turned_upright(tmp_path):
    # orientation 6: the camera stored it turned 90 degrees against the clock
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(np.rot90(scene()).copy()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), scene())


def test_faults_are_named(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)).save(tmp_path / "a.jpg")
    Image.fromarray(scene()).save(tmp_path / "a.png")
    for name in ("a.jpg", "a.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / f"cut{name}").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    for name, fault in {
        "cuta.jpg": "truncated",
        "cuta.png": "truncated",
        "empty.jpg": "empty file",
        "text.jpg": "not a readable picture",
        "none.jpg": "no such picture",
        ".": "a folder in place of the",
    }.items():
        with pytest.raises(InputError, match=fault) as caught:
            read_picture(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_damage_anywhere_never_ends_in_another_exception(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "a.png", "a.gif", "a.webp", "a.tif", "a.bmp"):
        Image.fromarray(scene()).save(tmp_path / name)
        good = (tmp_path / name).read_bytes()
        for turn in range(40):
            bad = bytearray(good)
            for position in rng.integers(0, min(len(bad), 200 if turn % 2 else len(bad)), 6):
                bad[position] = rng.integers(256)
            path = tmp_path / f"{turn}{name}"
            path.write_bytes(bad)
            try:
                assert read_picture(path).shape[2] == 3
            except InputError as error:
                assert str(path) in str(error)


def grey(level):
    return np.full((64, 64, 3), level, np.uint8)


def test_the_middle_frame_comes_first(tmp_path):
    write_video(tmp_path / "a.mp4", [grey(20 + 2 * n) for n in range(100)])
    levels = [frame.mean() for frame in video_frames(tmp_path / "a.mp4", (0.5, 0.25, 0.75, 0.0))]
    np.testing.assert_allclose(levels, [120, 70, 170, 20], atol=4)


@pytest.mark.parametrize(("turn", "matrix"), [(-1, (0, 1, -1, 0)), (1, (0, -1, 1, 0)), (2, (-1, 0, 0, -1))])
def test_a_video_filmed_upright_is_turned(tmp_path, turn, matrix):
    """The display matrix of the file says how a telephone was held."""
    write_video(tmp_path / "a.mp4", [np.rot90(np.kron(scene(), np.ones((4, 4, 1), np.uint8)), -turn)] * 3)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    one = 0x10000
    start = data.index(one.to_bytes(4, "big") + bytes(12) + one.to_bytes(4, "big"), data.index(b"tkhd"))
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[start + offset : start + offset + 4] = (value * one).to_bytes(4, "big", signed=True)
    (tmp_path / "a.mp4").write_bytes(data)
    frame = next(video_frames(tmp_path / "a.mp4"))
    assert frame.shape == (160, 240, 3)
    assert np.abs(frame[120, 40].astype(int) - [255, 0, 0]).max() < 40


def test_a_cut_video_still_gives_the_frames_it_has(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3), np.uint8)
    write_video(tmp_path / "a.mp4", list(noise), movflags="faststart")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    assert len(list(video_frames(tmp_path / "a.mp4", (0.9, 0.1)))) >= 1


def test_faults_of_videos_are_named(tmp_path):
    write_video(tmp_path / "good.mp4", [grey(9)] * 9)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "good.mp4").read_bytes()[:-200])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no" * 1000)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for name, fault in {
        "cut.mp4": "truncated",
        "empty.mp4": "empty file",
        "text.mp4": "not a readable video",
        "sound.mp4": "no pictures",
        "none.mp4": "no such video",
    }.items():
        with pytest.raises(InputError, match=fault):
            list(video_frames(tmp_path / name))


def test_videos_are_told_by_their_content_whatever_their_names(tmp_path):
    write_video(tmp_path / "a.mp4", [grey(9)] * 3)
    (tmp_path / "a.mp4").rename(tmp_path / "a.jpg")
    Image.fromarray(scene()).save(tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "b.mp4")
    assert is_video(tmp_path / "a.jpg") and not is_video(tmp_path / "b.mp4")
    assert read_picture(tmp_path / "b.mp4").shape == (40, 60, 3)
    assert next(video_frames(tmp_path / "a.jpg")).shape == (64, 64, 3)
