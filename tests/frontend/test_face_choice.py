"""Which face of a session is taken: the paper takes one a video; one an utterance, or the sharpest, are options."""

import numpy as np
import pytest
from PIL import Image

from speakerkd.data.tables import read_table, write_table
from speakerkd.frontend.crops import align_faces, sharpness
from speakerkd.frontend.pictures import read_picture


@pytest.fixture
def data(tmp_path):
    """A session of three utterances with a flat, a sharp and a blurred picture, and one of another person."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (112, 112, 3)).astype(np.uint8)
    blurred = Image.fromarray(noise).resize((14, 14), Image.Resampling.BOX).resize((112, 112), Image.Resampling.BICUBIC)
    pictures = {
        "a/v/1": np.full((112, 112, 3), 90, np.uint8),
        "a/v/2": noise,
        "a/v/3": np.asarray(blurred),
        "b/v/1": noise,
    }
    faces = {}
    for number, (key, picture) in enumerate(pictures.items()):
        faces[key] = str(tmp_path / f"{number}.png")
        Image.fromarray(picture).save(faces[key])
    write_table(tmp_path / "data/face.scp", faces)
    write_table(tmp_path / "data/utt2session", {key: key.rpartition("/")[0] for key in faces})
    return tmp_path / "data", pictures


def crop(data, key):
    return read_picture(read_table(data / "aligned.scp")[key])


def test_the_first_the_sharpest_and_each_its_own(data):
    data, pictures = data
    align_faces(data, detect=False)
    np.testing.assert_array_equal(crop(data, "a/v/3"), pictures["a/v/1"])  # the session shares the first
    align_faces(data, detect=False, frames=3)
    for key in ("a/v/1", "a/v/2", "a/v/3"):
        np.testing.assert_array_equal(crop(data, key), pictures["a/v/2"])
    align_faces(data, detect=False, each="utterance")
    for key, picture in pictures.items():
        np.testing.assert_array_equal(crop(data, key), picture)


def test_quality_is_kept(data):
    data, pictures = data
    align_faces(data, detect=False, each="utterance")
    table = read_table(data / "face_quality")
    quality = {key: [float(v) for v in value.split()] for key, value in table.items()}
    assert quality["a/v/1"] == [1, 112, 0]
    assert quality["a/v/2"][2] > 50 * quality["a/v/3"][2] > 0
    assert quality["b/v/1"][2] == pytest.approx(sharpness(pictures["b/v/1"]), rel=1e-3)


def test_sharpness_by_hand():
    picture = np.zeros((3, 4, 3), np.uint8)
    picture[1, 1] = 60  # the two inner points have Laplacians -240 and 60: variance 150^2
    assert sharpness(picture) == pytest.approx(22500)
