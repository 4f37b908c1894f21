"""Trial lists drawn over a set: repeated, unbalanced or easy trials would flatter every system."""

from collections import Counter

import pytest

from speakerkd.corpora.trials import all_pairs, draw, write_lists, write_trials
from speakerkd.data.datadir import write_datadir
from speakerkd.errors import InputError

SPEAKER = {f"s{s}/v{v}/{u}": f"s{s}" for s in range(6) for v in range(2) for u in range(3)}
SESSION = {key: key.rsplit("/", 1)[0] for key in SPEAKER}
GENDER = {f"s{s}": "fm"[s % 2] for s in range(6)}


def test_drawn_trials_are_different_balanced_and_across_sessions():
    trials = draw(SPEAKER, 80, 1, session=SESSION)
    assert Counter(label for label, *_ in trials) == {1: 40, 0: 40}
    assert len({frozenset(pair) for _, *pair in trials}) == 80
    for label, a, b in trials:
        assert (SPEAKER[a] == SPEAKER[b]) == bool(label)
        assert not label or SESSION[a] != SESSION[b]


def test_each_recording_enrols_equally_often():
    assert Counter(a for _, a, _ in draw(SPEAKER, 72, 0)) == dict.fromkeys(SPEAKER, 2)


def test_seed():
    assert draw(SPEAKER, 30, 5) == draw(SPEAKER, 30, 5)
    assert draw(SPEAKER, 30, 5) != draw(SPEAKER, 30, 6)


def test_hard_trials_stay_within_a_group():
    trials = draw(SPEAKER, 60, 0, group=GENDER)
    assert all(GENDER[SPEAKER[a]] == GENDER[SPEAKER[b]] for _, a, b in trials)
    # nobody knows the gender of s0: it stays in targets alone
    known = {name: value for name, value in GENDER.items() if name != "s0"}
    others = [(a, b) for label, a, b in draw(SPEAKER, 60, 0, group=known) if not label]
    assert not any("s0" in (SPEAKER[a], SPEAKER[b]) for a, b in others)


def test_asking_for_more_than_there_is_gives_all():
    trials = draw({"a": "x", "b": "x", "c": "y"}, 1000, 0)
    assert sorted((label, *sorted(pair)) for label, *pair in trials) == [(0, "a", "c"), (0, "b", "c"), (1, "a", "b")]


def test_a_speaker_with_one_session_still_gives_targets():
    targets = [t for t in draw({"a": "x", "b": "x", "c": "y"}, 4, 0, session={"a": "1", "b": "1", "c": "2"}) if t[0]]
    assert len(targets) == 1


def test_all_pairs():
    pairs = list(all_pairs({"c": "y", "a": "x", "b": "x"}))
    assert pairs == [(1, "a", "b"), (0, "a", "c"), (0, "b", "c")]
    assert list(all_pairs({"a": "x", "b": "x", "c": "y"}, {"x": "f", "y": "m"})) == [(1, "a", "b")]
    assert list(all_pairs({"a": "x", "c": "y"}, {})) == []


@pytest.mark.parametrize(
    ("speaker", "group", "match"),
    [
        ({"a": "x", "b": "y"}, None, "no target"),
        ({"a": "x", "b": "x"}, None, "no non-target"),
        ({"a": "x", "b": "x", "c": "y"}, {"x": "f", "y": "m"}, "no non-target"),
    ],
)
def test_impossible_lists(speaker, group, match):
    with pytest.raises(InputError, match=match):
        draw(speaker, 10, 0, group=group)


def test_written_form(tmp_path):
    assert write_trials(tmp_path / "t", [(1, "a/1", "a/2"), (0, "a/1", "b/1")], ".wav") == 2
    assert (tmp_path / "t").read_text() == "1 a/1.wav a/2.wav\n0 a/1.wav b/1.wav\n"


def test_lists_of_a_data_directory(tmp_path):
    tables = {"utt2spk": SPEAKER, "utt2session": SESSION, "spk2gender": GENDER}
    write_datadir(tmp_path / "d", tables)
    assert write_lists(tmp_path / "d", 40, 0) == {"original": 40, "hard": 40}
    assert write_lists(tmp_path / "d", "all", 0)["original"] == 36 * 35 // 2
    write_datadir(tmp_path / "e", {"utt2spk": SPEAKER})
    assert list(write_lists(tmp_path / "e", 40, 0)) == ["original"]


def test_all_pairs_of_a_corpus_are_refused(tmp_path):
    write_datadir(tmp_path / "d", {"utt2spk": {f"s{n}/{n}": f"s{n}" for n in range(3200)}})
    with pytest.raises(InputError, match="too many"):
        write_lists(tmp_path / "d", "all", 0)
