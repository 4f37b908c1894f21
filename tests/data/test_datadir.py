"""The data directory: a table in the wrong order or half-written breaks every tool that reads it."""

import pytest

from speakerkd.data.datadir import DataDir, encode_key, invert, read_table, spell_path, write_datadir, write_table
from speakerkd.errors import InputError

TABLES = {
    "utt2spk": {"b/2/1": "b", "a/1/2": "a", "a/1/1": "a"},
    "wav.scp": {"b/2/1": "/x/b 2.wav", "a/1/2": "/x/2.wav", "a/1/1": "/x/1.wav"},
    "utt2session": {"b/2/1": "b/2", "a/1/2": "a/1", "a/1/1": "a/1"},
    "face.scp": {"a/1/1": "/x/1.png"},
    "spk2gender": {"a": "f", "b": "m"},
}


def test_a_directory_and_back(tmp_path):
    data = write_datadir(tmp_path / "d", TABLES, {"trials_hard": ["1 a/1/1 a/1/2"]})
    assert (tmp_path / "d/spk2utt").read_text() == "a a/1/1 a/1/2\nb b/2/1\n"
    assert (tmp_path / "d/wav.scp").read_text().splitlines()[2] == "b/2/1 /x/b 2.wav"
    assert data.keys == ["a/1/1", "a/1/2", "b/2/1"]
    assert data.speakers == {"a": ["a/1/1", "a/1/2"], "b": ["b/2/1"]}
    assert data.sessions == {"a/1": ["a/1/1", "a/1/2"], "b/2": ["b/2/1"]}
    assert data.paired == ["a/1/1"]
    assert data.trial_lists == {"hard": tmp_path / "d/trials_hard"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]  # nothing half-written is left


def test_sorting_is_bytewise(tmp_path):
    write_table(tmp_path / "t", {"\u00e9": "3", "a": "2", "B": "1", "a/1": "4"})
    assert (tmp_path / "t").read_text() == "B 1\na 2\na/1 4\n\u00e9 3\n"


def test_writing_again_replaces_tables_and_keeps_the_rest(tmp_path):
    write_datadir(tmp_path / "d", TABLES)
    (tmp_path / "d/feats.scp").write_text("a/1/1 f.ark:9\n")
    write_datadir(tmp_path / "d", {"utt2spk": {"c/1/1": "c"}, "face.scp": {}})
    assert (tmp_path / "d/spk2utt").read_text() == "c c/1/1\n"
    assert not (tmp_path / "d/face.scp").exists()
    assert (tmp_path / "d/feats.scp").exists()


def test_a_failure_leaves_the_old_directory_whole(tmp_path):
    write_datadir(tmp_path / "d", TABLES)
    before = {p.name: p.read_bytes() for p in (tmp_path / "d").iterdir()}

    def lines():
        yield "1 a b"
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_datadir(tmp_path / "d", {"utt2spk": {"c/1/1": "c"}}, {"trials_x": lines()})
    assert {p.name: p.read_bytes() for p in (tmp_path / "d").iterdir()} == before
    with pytest.raises(RuntimeError):
        write_datadir(tmp_path / "new", {"utt2spk": {"c/1/1": "c"}}, {"trials_x": lines()})
    assert not (tmp_path / "new").exists()


def test_subset(tmp_path):
    data = write_datadir(tmp_path / "d", {**TABLES, "feats.scp": {"a/1/1": "f.ark:9"}}, {"trials_x": ["1 a b"]})
    part = data.subset(["b/2/1", "a/1/2"], tmp_path / "part")
    assert part.keys == ["a/1/2", "b/2/1"]
    assert part.table("utt2session") == {"a/1/2": "a/1", "b/2/1": "b/2"}
    assert part.table("spk2gender") == {"a": "f", "b": "m"}
    assert part.paired == []
    assert part.trial_lists == {}
    only = data.subset(["a/1/1"], tmp_path / "only")
    assert only.table("spk2gender") == {"a": "f"}
    assert only.table("feats.scp") == {"a/1/1": "f.ark:9"}
    with pytest.raises(InputError, match="unknown utterance 'x'"):
        data.subset(["x", "a/1/1"], tmp_path / "no")
    with pytest.raises(InputError, match="empty subset"):
        data.subset([], tmp_path / "no")


def test_missing(tmp_path):
    with pytest.raises(InputError, match="no such data directory"):
        DataDir(tmp_path / "none")
    with pytest.raises(InputError, match="utt2spk"):
        _ = DataDir(tmp_path).keys


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"a 1\na 2\n", "duplicate key 'a', .*:2"), (b"a 1\nb\n", "'b' has no value, .*:2"), (b"a \xff\n", "UTF-8")],
)
def test_broken_tables_are_named_with_their_line(tmp_path, content, match):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_table(tmp_path / "t")


def test_tables_of_other_editors(tmp_path):
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfa x y\r\n\r\nb\t2\r\n")
    assert read_table(tmp_path / "t") == {"a": "x y", "b": "2"}


def test_keys_and_paths(tmp_path, monkeypatch):
    assert encode_key("Zo\u00eb K/day\u00a01/a\tb") == "Zo\u00eb%20K/day%C2%A01/a%09b"
    monkeypatch.chdir(tmp_path)
    assert spell_path("a b/c.wav") == str(tmp_path / "a b/c.wav")
    for bad in ("a\nb.wav", "a.wav ", "a\udcff.wav"):
        with pytest.raises(InputError):
            spell_path(bad)


def test_invert():
    assert invert({"b": "x", "a": "x", "c": "y"}) == {"x": "a b", "y": "c"}
