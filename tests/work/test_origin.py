"""An output is made again when what it came from changed, or when it is no longer what was written."""

import json

import pytest

from speakerkd.work.origin import LARGE, Stamp, identity


@pytest.fixture
def stamp(tmp_path):
    (tmp_path / "wav.scp").write_text("a")
    (tmp_path / "feats.scp").write_text("made")
    (tmp_path / "feats.ark").write_text("features")

    def build(**settings):
        return Stamp(tmp_path / "feats.scp", [tmp_path / "wav.scp"], ["feats.ark"], **({"mels": 40} | settings))

    assert not build().is_current()
    build().write()
    assert build().is_current()
    return build


def test_another_setting_makes_it_stale(stamp):
    assert not stamp(mels=64).is_current()
    assert not stamp(extra=1).is_current()


def test_other_content_of_an_input_makes_it_stale_and_another_date_does_not(stamp, tmp_path):
    (tmp_path / "wav.scp").write_text("b")
    assert not stamp().is_current()
    (tmp_path / "wav.scp").write_text("a")
    assert stamp().is_current()
    (tmp_path / "wav.scp").unlink()
    assert not stamp().is_current()


@pytest.mark.parametrize("name", ["feats.scp", "feats.ark"])
def test_an_output_that_is_gone_cut_or_changed_is_stale(stamp, tmp_path, name):
    whole = (tmp_path / name).read_text()
    for damage in (whole[:-1], "", whole[:-1] + "X"):
        (tmp_path / name).write_text(damage)
        assert not stamp().is_current()
    (tmp_path / name).write_text(whole)
    assert stamp().is_current()
    (tmp_path / name).unlink()
    assert not stamp().is_current()


def test_another_version_of_the_code_makes_it_stale(stamp, monkeypatch):
    monkeypatch.setattr("speakerkd.work.origin.__version__", "9.9")
    assert not stamp().is_current()


@pytest.mark.parametrize("record", ["", "{", "[]", "7", '{"version": "0.1.0"}', "[" * 5000, '"\\ud800"', "9" * 6001])
def test_a_damaged_record_makes_it_stale(stamp, tmp_path, record):
    (tmp_path / "feats.scp.made.json").write_text(record)
    assert not stamp().is_current()


def test_the_record_can_be_read_by_a_person(stamp, tmp_path):
    record = json.loads((tmp_path / "feats.scp.made.json").read_text())
    assert record["settings"] == {"mels": 40}
    assert [name for name, _ in record["inputs"]] == ["wav.scp"]
    assert set(record["files"]) == {"feats.scp", "feats.ark"}


def test_a_large_file_is_known_without_reading_it(tmp_path):
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(LARGE + 1)
    before = identity(tmp_path / "large")
    with open(tmp_path / "large", "ab") as stream:
        stream.write(b"x")
    assert before != identity(tmp_path / "large")
    assert identity(tmp_path / "none") == "missing"
