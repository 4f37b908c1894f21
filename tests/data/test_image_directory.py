"""The image directory: a share of the classes, and files that do not belong together."""

import numpy as np
import pytest

from speakerkd.data.images import Moments, read_images
from speakerkd.errors import InputError
from speakerkd.work.files import write_json


@pytest.fixture
def directory(tmp_path):
    """Two classes, three pictures of 2 x 2 to train and one to test."""
    for split, count in (("train", 3), ("test", 1)):
        (tmp_path / split).mkdir()
        pixels = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)
        np.save(tmp_path / split / "images.npy", pixels)
        np.save(tmp_path / split / "labels.npy", np.arange(count) % 2)
        (tmp_path / split / "keys.txt").write_text("".join(f"{split}/{i}\n" for i in range(count)))
    (tmp_path / "classes.txt").write_text("maple tree\nship\n")
    about = {"size": [2, 2], "stored": "array", "mean": [0.5] * 3, "std": [0.2] * 3, "splits": {"train": 3, "test": 1}}
    write_json(tmp_path / "images.json", about)
    return tmp_path


def test_rows_are_read_from_a_memory_map(directory):
    images = read_images(directory)
    assert images.classes == ["maple tree", "ship"]
    assert isinstance(images.pixels, np.memmap)
    assert images.read(np.array([2, 0]))[:, 0, 0].tolist() == [[24, 25, 26], [0, 1, 2]]
    assert images.keys[2] == "train/2"


def test_a_split_that_is_not_there(directory):
    with pytest.raises(InputError, match="did you mean 'test'"):
        read_images(directory, "tests")


@pytest.mark.parametrize(
    ("file", "message"),
    [("labels.npy", "missing"), ("images.npy", "missing"), ("keys.txt", "missing")],
)
def test_a_missing_file_is_named(directory, file, message):
    (directory / "train" / file).unlink()
    with pytest.raises(InputError, match=message):
        read_images(directory)


def test_a_shortened_array_is_noticed(directory):
    path = directory / "train" / "images.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="not a whole array"):
        read_images(directory)


def test_labels_that_outnumber_the_pictures(directory):
    np.save(directory / "train" / "labels.npy", np.zeros(4, np.int64))
    with pytest.raises(InputError, match="belong together"):
        read_images(directory)


def test_a_label_without_a_class(directory):
    (directory / "classes.txt").write_text("maple tree\n")
    with pytest.raises(InputError, match="labels reach 1 for 1 classes"):
        read_images(directory)


def test_pickled_arrays_are_not_opened(directory):
    np.save(directory / "train" / "labels.npy", np.array([{}, 1, 2], object), allow_pickle=True)
    with pytest.raises(InputError, match="not a whole array"):
        read_images(directory)


def test_moments_of_pixels():
    moments = Moments()
    moments.add(np.array([[[0, 51, 255]]], np.uint8))
    moments.add(np.array([[[255, 51, 255]]], np.uint8))
    mean, std = moments.result()
    assert mean == pytest.approx([0.5, 0.2, 1.0])
    assert std == pytest.approx([0.5, 0.0, 0.0])
