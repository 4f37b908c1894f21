"""The text teacher runs once, over the classes as people named them."""

import json

import numpy as np
import pytest

from speakerkd.data.text_table import read_text_table
from speakerkd.errors import InputError
from speakerkd.frontend.prompts import IMAGENET_80
from speakerkd.models.text import ngram_embeddings
from speakerkd.teach_text import teach_text


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "classes.txt").write_text("maple tree\nship\n")
    return tmp_path / "data"


def test_every_class_in_every_prompt(directory):
    table = teach_text(directory, "ngrams")
    assert table.embeddings.shape == (2, 80, 512)
    assert table.source == {"name": "ngrams", "prompts": "imagenet_80"}
    read = read_text_table(directory / "teacher.npz")
    np.testing.assert_array_equal(read.embeddings[1, 3], ngram_embeddings(["a photo of the hard to see ship."])[0])
    assert read.templates == list(IMAGENET_80)
    about = json.loads((directory / "teacher.json").read_text())
    assert (about["name"], about["dim"], about["weights"]) == ("ngrams", 512, None)


def test_it_runs_once_until_a_name_changes(directory):
    teach_text(directory, "ngrams")
    made = (directory / "teacher.npz").stat().st_mtime_ns
    teach_text(directory, "ngrams")
    assert (directory / "teacher.npz").stat().st_mtime_ns == made
    (directory / "classes.txt").write_text("maple tree\nboat\n")
    assert teach_text(directory, "ngrams").classes == ["maple tree", "boat"]
    assert teach_text(directory, "ngrams", prompts="photo").embeddings.shape[1] == 1


def test_a_ready_table_is_cut_to_the_classes(directory, tmp_path):
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(3, 4), classes=["cat", "ship_(boat)", "maple tree"])
    with pytest.raises(InputError, match=r"no 'ship' \(near: 'ship_\(boat\)'\).*rows\.npz"):
        teach_text(directory, str(tmp_path / "rows.npz"))
    assert not (directory / "teacher.npz").exists()
    table = teach_text(directory, str(tmp_path / "rows.npz"), aliases={"ship": "ship (boat)"})
    assert table.embeddings[:, 0].tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]
    assert json.loads((directory / "teacher.json").read_text())["name"] == "rows"


def test_auto_takes_the_stand_in_where_clip_is_not(directory, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert teach_text(directory, "auto").source["name"] == "ngrams"


def test_clip_without_weights_says_what_to_do(directory, monkeypatch):
    monkeypatch.setattr("speakerkd.teach_text.clip_weights", lambda *_: None)
    with pytest.raises(InputError, match="--weights.*--teacher FILE.npz.*ngrams"):
        teach_text(directory, "clip")


def test_wrong_teachers(directory):
    with pytest.raises(InputError, match="did you mean 'clip'"):
        teach_text(directory, "clop")
    with pytest.raises(InputError, match="aliases name rows"):
        teach_text(directory, "ngrams", aliases={"ship": "boat"})
    with pytest.raises(InputError, match="no class names"):
        teach_text(directory / "absent", "ngrams")
