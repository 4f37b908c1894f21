"""A ledger is a file like any other: a damaged one costs work done again, never a file outside its folder."""

import json

import pytest

from speakerkd.errors import InputError
from speakerkd.work.files import below
from speakerkd.work.ledger import Ledger, write_batch


@pytest.fixture
def outside(tmp_path):
    file = tmp_path / "precious.txt"
    file.write_text("keep")
    return file


@pytest.mark.parametrize("name", ["../precious.txt", "{outside}", "link/precious.txt", "./../precious.txt"])
def test_a_batch_that_names_a_file_outside_its_folder_removes_nothing_there(tmp_path, outside, name):
    folder = tmp_path / "fbank"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    ledger = Ledger(folder, {})
    path = ledger.next_batches(1)[0]
    write_batch(path, ledger.settings, {"a": ("sign", 1)}, {}, [name.format(outside=outside)])

    reopened = Ledger(folder, {})
    assert reopened.pending({"a": "sign"}) == ["a"]
    reopened.sweep({})

    assert outside.read_text() == "keep"
    assert not path.exists()


def test_a_batch_cannot_claim_the_files_of_another(tmp_path):
    ledger = Ledger(tmp_path, {})
    first, second = ledger.next_batches(2)
    first.with_suffix(".ark").write_text("features")
    write_batch(first, ledger.settings, {"a": ("sign", 1)}, {}, [first.with_suffix(".ark").name])
    write_batch(second, ledger.settings, {"b": ("sign", 1)}, {}, [first.with_suffix(".ark").name])

    reopened = Ledger(tmp_path, {})
    reopened.sweep({"a": "sign"})

    assert first.with_suffix(".ark").exists()
    assert Ledger(tmp_path, {}).pending({"a": "sign", "b": "sign"}) == ["b"]


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../x", "a/../../x", "a\0b", 7, None, "link/x"])
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="not a file of this folder"):
        below(tmp_path / "inside", name)


def test_a_name_in_the_folder_or_in_one_below_it_is_given_its_path(tmp_path):
    assert below(tmp_path, "000001.ark") == tmp_path / "000001.ark"
    assert below(tmp_path, "step-1/state.json") == tmp_path / "step-1/state.json"


def test_a_ledger_nested_ten_thousand_deep_counts_as_nothing_done(tmp_path):
    (tmp_path / "000000.json").write_text("[" * 10000)
    assert Ledger(tmp_path, {}).pending({"a": "sign"}) == ["a"]


def test_a_batch_of_another_shape_counts_as_nothing_done(tmp_path):
    settings = Ledger(tmp_path, {}).settings
    for done in ([], {"a": 1}, {"a": []}, "text", None):
        (tmp_path / "000000.json").write_text(
            json.dumps({"settings": settings, "files": [], "done": done, "refused": {}})
        )
        assert Ledger(tmp_path, {}).pending({"a": "sign"}) == ["a"]
