"""The image directory is whole or absent, knows what it lost, and is not made twice."""

import numpy as np
import pytest
from PIL import Image

from speakerkd.corpora.image_store import store_images
from speakerkd.corpora.images import find_corpus
from speakerkd.data.images import read_images
from speakerkd.errors import InputError
from speakerkd.work.lock import locked

COLOURS = {"cat": (255, 0, 0), "dog": (0, 0, 255)}


@pytest.fixture
def tree(tmp_path):
    """Two classes of eight 12 x 12 pictures to train and two to test, of one colour each."""
    for name, colour in COLOURS.items():
        for split, count in (("train", 8), ("test", 2)):
            (tmp_path / "corpus" / split / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (12, 12), colour).save(tmp_path / "corpus" / split / name / f"{number}.png")
    return tmp_path / "corpus"


def test_pictures_labels_and_names_belong_together(tree, tmp_path):
    rejected = store_images(find_corpus(tree), tmp_path / "out")
    assert str(rejected) == "20 in, 20 out"
    images = read_images(tmp_path / "out")
    assert images.classes == ["cat", "dog"]
    assert images.size == (12, 12)
    assert images.pixels.shape == (16, 12, 12, 3)
    for row in (0, 7, 8, 15):
        assert images.pixels[row, 3, 4].tolist() == list(COLOURS[images.classes[images.labels[row]]])
        assert images.keys[row].startswith(f"train/{images.classes[images.labels[row]]}/")
    assert images.mean == pytest.approx([0.5, 0, 0.5])
    assert images.std == pytest.approx([0.5, 0, 0.5])
    assert len(read_images(tmp_path / "out", "test")) == 4


def test_a_second_run_does_nothing_and_a_changed_corpus_is_noticed(tree, tmp_path):
    store_images(find_corpus(tree), tmp_path / "out")
    stamp = (tmp_path / "out" / "images.json").stat().st_mtime_ns
    assert store_images(find_corpus(tree), tmp_path / "out") is None
    assert (tmp_path / "out" / "images.json").stat().st_mtime_ns == stamp
    (tree / "train" / "cat" / "7.png").unlink()
    assert store_images(find_corpus(tree), tmp_path / "out") is not None
    assert len(read_images(tmp_path / "out")) == 15


@pytest.mark.parametrize("store", ["array", "files"])
def test_what_cannot_be_read_is_listed_and_left_out(tree, tmp_path, store):
    whole = (tree / "train" / "cat" / "1.png").read_bytes()
    (tree / "train" / "cat" / "1.png").write_bytes(whole[:40])
    Image.new("L", (12, 12), 9).save(tree / "train" / "dog" / "0.png")
    Image.new("CMYK", (12, 12), (0, 0, 0, 0)).save(tree / "train" / "dog" / "9.jpg")
    rejected = store_images(find_corpus(tree), tmp_path / "out", store=store, max_rejected=0.1)
    assert str(rejected).startswith("21 in, 20 out, 1 refused")
    assert (tmp_path / "out.rejected").read_text().startswith("train/cat/1.png\tnot a readable picture")
    images = read_images(tmp_path / "out")
    assert "train/cat/1.png" not in images.keys
    assert len(images) == 16
    pixels = images.read(np.array([images.keys.index("train/dog/0.png"), images.keys.index("train/dog/9.jpg"), 1]))
    assert pixels[:, 5, 5].tolist() == [[9, 9, 9], [255, 255, 255], [255, 0, 0]]


def test_too_many_refused_leaves_what_was_there(tree, tmp_path):
    store_images(find_corpus(tree), tmp_path / "out")
    (tree / "train" / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="1 of 20 refused"):
        store_images(find_corpus(tree), tmp_path / "out")
    assert len(read_images(tmp_path / "out")) == 16
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_class_that_lost_every_picture_is_an_error(tree, tmp_path):
    for path in (tree / "train" / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no readable training picture of class 'dog'"):
        store_images(find_corpus(tree), tmp_path / "out", max_rejected=1)


def test_pictures_of_different_sizes_become_equal_squares(tree, tmp_path):
    Image.new("RGB", (40, 20), (0, 255, 0)).save(tree / "train" / "cat" / "8.png")
    store_images(find_corpus(tree), tmp_path / "out")
    assert read_images(tmp_path / "out").size == (12, 12)  # the median of the shorter sides
    store_images(find_corpus(tree), tmp_path / "out", size=16)
    images = read_images(tmp_path / "out")
    assert images.size == (16, 16)
    assert images.pixels[images.keys.index("train/cat/8.png"), 8, 8].tolist() == [0, 255, 0]


def test_the_array_is_taken_where_it_fits(tree, tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    need = 20 * 12 * 12 * 3
    for free, expected in ((2 * need, "pixels"), (2 * need - 2, "files")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage(0, 0, free))
        store_images(find_corpus(tree), tmp_path / f"out{free}")
        images = read_images(tmp_path / f"out{free}")
        assert (images.pixels is not None) == (expected == "pixels")
        assert images.read(np.array([0]))[0, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.slow
def test_two_processes_make_the_same_directory(tree, tmp_path):
    store_images(find_corpus(tree), tmp_path / "one", jobs=1)
    store_images(find_corpus(tree), tmp_path / "two", jobs=2)
    one, two = read_images(tmp_path / "one"), read_images(tmp_path / "two")
    assert one.keys == two.keys
    np.testing.assert_array_equal(one.pixels, two.pixels)


def test_two_writers_of_one_image_directory_are_kept_apart(tree, tmp_path):
    held = locked(tmp_path / ".out.lock", "speakerkd prepare images")
    with held, pytest.raises(InputError, match="another process is at work there .*prepare images, process"):
        store_images(find_corpus(tree), tmp_path / "out")
    assert store_images(find_corpus(tree), tmp_path / "out") is not None
    assert sorted(path.name for path in tmp_path.glob(".out*")) == []
