"""`speakerkd validate`: a rule that it does not see broken is a night's training lost."""

import os
import unicodedata

import numpy as np
import pytest

from speakerkd.data.archive import write_features, write_vectors
from speakerkd.data.datadir import read_table, write_datadir
from speakerkd.data.validate import validate
from speakerkd.errors import InputError


@pytest.fixture
def data(tmp_path):
    for name in ("1.wav", "2.wav", "3.wav", "a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x" * 20)
    write_features(tmp_path, "f", [(key, np.ones((3, 4), "f4")) for key in ("a/1/1", "b/1/1")])
    write_vectors(tmp_path, "t", ["a/1/1", "b/1/1"], np.ones((2, 5)), {"a/1/2": "a/1/1"})
    keys = {"a/1/1": "a", "a/1/2": "a", "b/1/1": "b"}
    tables = {
        "utt2spk": keys,
        "wav.scp": {key: str(tmp_path / f"{n}.wav") for n, key in enumerate(keys, 1)},
        "utt2dur": dict.fromkeys(keys, "1.500"),
        "utt2session": {key: key[:3] for key in keys},
        "face.scp": {"a/1/1": str(tmp_path / "a.png"), "b/1/1": str(tmp_path / "b.png")},
        "aligned.scp": {"a/1/1": str(tmp_path / "a.png"), "a/1/2": str(tmp_path / "a.png")},
        "feats.scp": read_table(tmp_path / "f.scp"),
        "teacher.scp": read_table(tmp_path / "t.scp"),
        "spk2gender": {"a": "f", "b": "m"},
        "enroll.map": {"model": "a/1/1 a/1/2"},
    }
    lists = {
        "trials_w": ["1 a/1/1.wav a/1/2.wav"],
        "trials_x": ["model b/1/1 0", "a/1/1 b/1/1 nontarget"],
        "trials_y": ["a/1/1 b/1/1\r", "", "a/1/1\ta/1/2"],
    }
    return write_datadir(tmp_path / "d", tables, lists).path


def test_a_good_directory(data):
    assert validate(data) == []


def edit(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "rule"),
    [
        ("utt2spk", b"a/1/1 a\na/1/2 a\n", b"a/1/2 a\na/1/1 a\n", 2, "sorted"),
        ("utt2spk", b"a/1/2 a\n", b"a/1/1 a\n", 2, "a key stands once"),
        ("utt2spk", b"b/1/1 b\n", b"b/1/1 b", 3, "ends in a line feed"),
        ("utt2spk", b"a/1/1 a\n", b"a/1/1\n", 1, "key value"),
        ("utt2dur", b"1.500", b"-1", 1, "positive"),
        ("utt2dur", b"1.500", b"nan", 1, "positive"),
        ("utt2dur", b"1.500", b"long", 1, "positive"),
        ("utt2dur", b"b/1/1", b"c/1/1", 3, "those of utt2spk"),
        ("utt2session", b"a/1/2 a/1", b"a/1/2 b/1", 2, "<speaker>/<session>"),
        ("wav.scp", b"1.wav", b"9.wav", 1, "files exist"),
        ("wav.scp", b" /", b" ", 1, "absolute"),
        ("wav.scp", b"\n", b"\r\n", 1, "CR LF"),
        ("wav.scp", b"\n", b"\n\n", 2, "blank"),
        ("wav.scp", b"1.wav", b"\xff.wav", 1, "UTF-8"),
        ("wav.scp", b"a/1/1", b"\xef\xbb\xbfa/1/1", 1, "byte-order mark"),
        ("face.scp", b"a.png", b"z.png", 1, "files exist"),
        ("aligned.scp", b"a/1/2", b"b/1/2", 2, "those of utt2spk"),
        ("feats.scp", b".ark:5", b".ark:60", 2, "archives"),
        ("feats.scp", b".ark:5", b".ark", 2, "archive:offset"),
        ("feats.scp", b".ark:6", b".ark:\xc2\xb2", 1, "archive:offset"),
        ("feats.scp", b".ark:6", b".ark:7", 1, "CM2"),
        ("teacher.scp", b".ark:6", b".ark:7", 1, "not a float vector"),
        ("wav.scp", b"2.wav", b"1.wav", 2, "stands once: 'a/1/2' is the file of 'a/1/1'"),
        ("wav.scp", b"2.wav", b"2.wav |", 2, "never run"),
        ("utt2dur", b"1.500", b"\xc2\xb2", 1, "positive"),
        ("utt2dur", b"1.500", b"9" * 6001, 1, "positive"),
        ("utt2dur", b"1.500", b"1.5\0", 1, "NUL"),
        ("utt2spk", b"a/1/1 a", b"a/1/1 a a", 1, "one name"),
        ("utt2spk", b"a/1/1", b"e\xcc\x81/1/1", 1, "composed form"),
        ("spk2gender", b"a f", b"a x", 1, "m or f"),
        ("spk2gender", b"b m", b"c m", 2, "'c' is not there"),
        ("spk2utt", b"b b/1/1", b"b a/1/2", 2, "inverse"),
        ("spk2utt", b"b b/1/1", b"c b/1/1", 2, "no 'c' there"),
        ("enroll.map", b"a/1/2", b"a/1/9", 1, "'a/1/9'"),
        ("trials_x", b"b/1/1 nontarget", b"b/1/9 nontarget", 2, "'b/1/9' is not there"),
        ("trials_x", b"nontarget", b"perhaps", 2, "a trial is"),
        ("trials_x", b"b/1/1 nontarget", b"a/1/1.wav nontarget", 2, "'a/1/1' with itself"),
        ("trials_x", b" nontarget", b"", 2, "2 fields where the list has 3"),
    ],
)
def test_each_rule_is_named_with_file_and_line(data, file, old, new, line, rule):
    edit(data / file, old, new)
    problems = [(p.file.name, p.line) for p in validate(data) if rule in p.rule]
    assert (file, line) in problems


def test_speakers_that_disagree(data):
    edit(data / "utt2spk", b"a/1/1 a\n", b"a/1/1 c\n")
    problems = [(p.file.name, p.line) for p in validate(data) if "spk2utt" in p.rule]
    assert problems == [("spk2utt", 1), ("utt2spk", 1)]  # a lists one too many, c is not listed


def test_a_session_with_two_faces(data):
    content = (data / "aligned.scp").read_text().splitlines()
    content[1] = content[1].replace("a.png", "b.png")
    (data / "aligned.scp").write_text("\n".join(content) + "\n")
    (problem,) = validate(data)
    assert (problem.file.name, problem.line) == ("aligned.scp", 2)
    assert "one face" in problem.rule


def test_an_empty_file(data, tmp_path):
    (tmp_path / "2.wav").write_bytes(b"")
    (problem,) = validate(data)
    assert str(problem).startswith(f"{data / 'wav.scp'}:2: files are not empty")


@pytest.mark.parametrize("name", ["utt2spk", "spk2utt"])
def test_missing_tables(data, name):
    (data / name).unlink()
    assert any(p.file.name == name and p.line == 0 and "missing" in p.rule for p in validate(data))


def test_an_utterance_missing_from_a_table(data):
    edit(data / "utt2session", b"a/1/2 a/1\n", b"")
    assert ("utt2spk", 2, "every utterance is in utt2session: 'a/1/2' is not") in [
        (p.file.name, p.line, p.rule) for p in validate(data)
    ]


def test_what_fbank_refused_has_no_duration_and_the_directory_stays_valid(data):
    edit(data / "utt2dur", b"a/1/2 1.500\n", b"")
    assert validate(data) == []
    edit(data / "utt2dur", b"b/1/1 1.500\n", b"")
    (problem,) = validate(data)
    assert (problem.file.name, problem.line) == ("feats.scp", 2) and "duration" in problem.rule


def test_two_names_of_one_file_are_found_through_links(data, tmp_path):
    os.symlink(tmp_path / "1.wav", tmp_path / "4.wav")
    edit(data / "wav.scp", b"3.wav", b"4.wav")
    (problem,) = validate(data)
    assert (problem.line, problem.rule) == (3, "a recording stands once: 'b/1/1' is the file of 'a/1/1'")


def test_one_name_in_two_unicode_forms_stands_twice(tmp_path):
    name = "Zo\u00eb"
    (tmp_path / "utt2spk").write_text(f"{unicodedata.normalize('NFD', name)} a\n{name} a\n")
    assert any("a key stands once" in problem.rule for problem in validate(tmp_path))
    with pytest.raises(InputError, match="duplicate key"):
        read_table(tmp_path / "utt2spk")


def test_segments(data, tmp_path):
    write_datadir(data, {"utt2spk": read_table(data / "utt2spk"), "wav.scp": {"talk": str(tmp_path / "1.wav")}})
    (data / "segments").write_text("a/1/1 talk 0 1.5\na/1/2 talk 1.5 3\nb/1/1 talk 3 -1\n")
    assert validate(data) == []
    (data / "segments").write_text("a/1/1 talk 0 1.5\na/1/2 talk 1.5 1\nb/1/1 other 3 4\n")
    assert [(p.file.name, p.line) for p in validate(data)] == [("segments", 2), ("segments", 3)]


def test_a_pipe_in_place_of_a_table_is_named_at_once(data):
    (data / "utt2dur").unlink()
    os.mkfifo(data / "utt2dur")
    assert [p.rule for p in validate(data) if "named pipe" in p.rule]


def test_nothing_to_hear_or_see(data):
    for name in ("wav.scp", "face.scp", "feats.scp"):
        (data / name).unlink()
    assert any("no recordings and no pictures" in p.rule for p in validate(data))


def test_a_rule_broken_a_thousand_times_does_not_drown_the_rest(data):
    (data / "trials_x").write_text("1 a/1/1 nobody\n" * 1000 + "what\n")
    problems = validate(data)
    assert len(problems) == 22
    assert problems[0].line == 1001
    assert problems[21].rule.endswith("980 more lines")


def test_no_directory(tmp_path):
    with pytest.raises(InputError, match="no such data directory"):
        validate(tmp_path / "none")


def test_a_label_that_the_speakers_belie(data):
    """A pair that stands in a list twice, once as a target, or a column taken for another."""
    (data / "trials_z").write_text("1 a/1/1 a/1/2\n0 a/1/1 a/1/2\n1 a/1/1 b/1/1\n0 model a/1/2\n")
    assert [(p.line, p.rule) for p in validate(data)] == [
        (2, "labels agree with utt2spk: a non-target of one speaker, 'a/1/1' and 'a/1/2'"),
        (3, "labels agree with utt2spk: a target of two speakers, 'a/1/1' and 'b/1/1'"),
        (4, "labels agree with utt2spk: a non-target of one speaker, 'model' and 'a/1/2'"),
    ]
