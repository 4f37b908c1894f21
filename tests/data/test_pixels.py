"""Pictures of every kind reach the network as the RGB that people see, and broken ones are refused by name."""

import numpy as np
import pytest
from PIL import Image

from speakerkd.data.pixels import image_size, read_image
from speakerkd.errors import InputError

RED = (255, 0, 0)


def test_grey_palette_cmyk_and_transparent_pictures_become_rgb(tmp_path):
    for mode, value in {"L": 90, "RGB": (90, 90, 90), "RGBA": (90, 90, 90, 255), "CMYK": (0, 0, 0, 165)}.items():
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (8, 6), value).save(path)
        pixels = read_image(path)
        assert pixels.shape == (6, 8, 3)
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - 90).max() <= 1, mode
    Image.new("RGB", (8, 6), RED).convert("P").save(tmp_path / "p.gif")
    assert read_image(tmp_path / "p.gif")[0, 0].tolist() == list(RED)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 0x4000, np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png").max() == 0x40


def test_a_picture_lying_on_its_side_is_turned_upright(tmp_path):
    picture = Image.new("RGB", (16, 8))
    picture.paste(RED, (0, 0, 8, 8))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left half is shown on top
    picture.save(tmp_path / "side.png", exif=exif)
    pixels = read_image(tmp_path / "side.png")
    assert pixels.shape == (16, 8, 3)
    assert pixels[2, 4].tolist() == list(RED)
    assert pixels[12, 4].tolist() == [0, 0, 0]


def test_the_centre_square_is_kept(tmp_path):
    picture = Image.new("RGB", (30, 10))
    picture.paste(RED, (10, 0, 20, 10))
    picture.save(tmp_path / "wide.png")
    pixels = read_image(tmp_path / "wide.png", size=5)
    assert pixels.shape == (5, 5, 3)
    assert (pixels[:, 1:4] == RED).all()  # the filter sees the neighbours at the edge, as resizing first would


def test_broken_files_are_refused_by_name(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    broken = {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.jpg": b"not a picture",
        "header.jpg": whole[:9],
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="no such picture"):
        read_image(tmp_path / "absent.png")
    assert image_size(tmp_path / "text.jpg") is None


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    Image.new("1", (13_300, 13_300)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match="13300 x 13300 pixels, more than 64 Mi"):
        read_image(tmp_path / "bomb.png")
