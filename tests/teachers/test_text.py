"""The text teacher runs once, over the classes as people named them."""

import json

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.frontend.prompts import IMAGENET_80
from speakerkd.models.text import ngram_embeddings
from speakerkd.teachers.text import embed_text
from speakerkd.teachers.text_table import read_text_table


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "classes.txt").write_text("maple tree\nship\n")
    return tmp_path / "data"


def test_every_class_in_every_prompt(directory):
    table = embed_text(directory, "ngrams")
    assert table.embeddings.shape == (2, 80, 512)
    assert table.source == {"name": "ngrams", "prompts": "imagenet_80"}
    read = read_text_table(directory / "teacher.npz")
    np.testing.assert_array_equal(read.embeddings[1, 3], ngram_embeddings(["a photo of the hard to see ship."])[0])
    assert read.templates == list(IMAGENET_80)
    about = json.loads((directory / "teacher.json").read_text())
    assert (about["name"], about["dim"], about["weights"]) == ("ngrams", 512, None)


def test_it_runs_once_until_a_name_changes(directory):
    embed_text(directory, "ngrams")
    stamp = (directory / "teacher.npz").stat().st_mtime_ns
    embed_text(directory, "ngrams")
    assert (directory / "teacher.npz").stat().st_mtime_ns == stamp
    (directory / "classes.txt").write_text("maple tree\nboat\n")
    assert embed_text(directory, "ngrams").classes == ["maple tree", "boat"]
    assert embed_text(directory, "ngrams", prompts="photo").embeddings.shape[1] == 1


def test_a_ready_table_is_cut_to_the_classes(directory, tmp_path):
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(3, 4), classes=["cat", "ship_(boat)", "maple tree"])
    with pytest.raises(InputError, match=r"no 'ship' \(near: 'ship_\(boat\)'\).*rows\.npz"):
        embed_text(directory, str(tmp_path / "rows.npz"))
    assert not (directory / "teacher.npz").exists()
    table = embed_text(directory, str(tmp_path / "rows.npz"), aliases={"ship": "ship (boat)"})
    assert table.embeddings[:, 0].tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]
    assert json.loads((directory / "teacher.json").read_text())["name"] == "rows"


def test_auto_takes_the_stand_in_where_clip_is_not(directory, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert embed_text(directory, "auto").source["name"] == "ngrams"


def test_clip_without_weights_says_what_to_do(directory, monkeypatch):
    monkeypatch.setattr("speakerkd.teachers.text.clip_weights", lambda *_: None)
    with pytest.raises(InputError, match="--weights.*--teacher FILE.npz.*ngrams"):
        embed_text(directory, "clip")


def test_wrong_teachers(directory):
    with pytest.raises(InputError, match="did you mean 'clip'"):
        embed_text(directory, "clop")
    with pytest.raises(InputError, match="aliases name rows"):
        embed_text(directory, "ngrams", aliases={"ship": "boat"})
    with pytest.raises(InputError, match="no class names"):
        embed_text(directory / "absent", "ngrams")
