"""`score`, `match-test`, `classify` and `embed` do only what is missing or stale, and say what was done already."""

import json

import numpy as np
import pytest

from speakerkd.evaluation.done import current_entries, record_origin
from speakerkd.evaluation.embeddings import Embeddings, write_embeddings
from speakerkd.evaluation.job import score_lists
from speakerkd.evaluation.results import update_results
from speakerkd.evaluation.settings import ScoreSettings


@pytest.fixture
def scoring(tmp_path):
    """Settings of a scoring of two lists, and the embeddings of six recordings of two people."""
    values = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    keys = [f"id{i // 3}/v/{i}" for i in range(6)]
    write_embeddings(tmp_path / "e.npz", Embeddings(keys, values))
    pairs = [(a, b) for a in keys for b in keys if a < b]
    lines = [f"{int(a[:3] == b[:3])} {a} {b}\n" for a, b in pairs]
    (tmp_path / "one.txt").write_text("".join(lines))
    (tmp_path / "two.txt").write_text("".join(lines[::2]))

    def settings(**changes):
        lists = [tmp_path / "one.txt", tmp_path / "two.txt"]
        options = {"trials": lists, "embeddings": tmp_path / "e.npz", "out": tmp_path / "out", "bootstrap": 10}
        return ScoreSettings(**(options | changes))

    return settings


def already(settings):
    return {one.name: one.already for one in score_lists(settings)}


def test_a_list_is_scored_once_and_its_figures_are_told_again(scoring, tmp_path):
    first = score_lists(scoring())
    assert [one.already for one in first] == [False, False]
    before = (tmp_path / "out/results.json").read_bytes()
    again = score_lists(scoring())
    assert [one.already for one in again] == [True, True]
    assert [one.entry["eer_percent"] for one in again] == [one.entry["eer_percent"] for one in first]
    assert (tmp_path / "out/results.json").read_bytes() == before


def test_only_the_list_that_changed_is_scored_again(scoring, tmp_path):
    score_lists(scoring())
    text = (tmp_path / "two.txt").read_text()
    (tmp_path / "two.txt").write_text("".join(text.splitlines(True)[1:]))
    assert already(scoring()) == {"one.whole": True, "two.whole": False}


@pytest.mark.parametrize("changes", [{"bootstrap": 11}, {"seed": 1}, {"subtract_mean": "e.npz"}])
def test_other_settings_score_again(scoring, tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)
    score_lists(scoring())
    assert not any(already(scoring(**changes)).values())


def test_other_embeddings_score_again(scoring, tmp_path):
    score_lists(scoring())
    with np.load(tmp_path / "e.npz") as stored:
        write_embeddings(tmp_path / "e.npz", Embeddings(stored["utterance"].tolist(), -2 * stored["embedding"][::-1]))
    assert not any(already(scoring()).values())


@pytest.mark.parametrize("name", ["out/scores/one.whole.txt", "out/results.json"])
def test_what_was_removed_or_cut_is_made_again(scoring, tmp_path, name):
    score_lists(scoring())
    whole = (tmp_path / name).read_bytes()
    if name.endswith(".txt"):
        (tmp_path / name).write_bytes(whole[:-9])
        assert already(scoring()) == {"one.whole": False, "two.whole": True}
    (tmp_path / name).unlink()
    assert not already(scoring())["one.whole"]
    assert (tmp_path / name).read_bytes() == whole


def test_entries_count_only_together(tmp_path):
    """A later call may have replaced one of them."""
    path = tmp_path / "results.json"
    entries = {"acc_o": {"accuracy_percent": 70.0}, "acc_h": {"accuracy_percent": 60.0}}
    record_origin("abc", entries)
    update_results(path, "match", entries)
    assert current_entries(path, "match", "abc").keys() == entries.keys()
    assert current_entries(path, "match", "other") == {}
    update_results(path, "match", {"acc_h": {"accuracy_percent": 61.0, "made": {"record": "other", "entries": 1}}})
    assert current_entries(path, "match", "abc") == {}
    assert json.loads(path.read_text())["match"]["acc_o"]["accuracy_percent"] == 70.0
