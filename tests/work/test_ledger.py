"""A ledger is a file like any other: a damaged one costs work done again, never a file outside its folder."""

import json

import pytest

from speakerkd.work.ledger import Ledger, write_batch

SIGNS = {"a": "sign", "b": "sign"}


def ledger(folder, **settings):
    return Ledger(folder, settings, int)


@pytest.fixture
def batch(tmp_path):
    """A batch that did `a` and refused `b`, with an ark of its own."""
    folder = tmp_path / "fbank"
    folder.mkdir()
    path = ledger(folder).next_batches(1)[0]
    path.with_suffix(".ark").write_text("features")
    origin = ledger(folder).origin
    write_batch(path, origin, {"a": ("sign", 7)}, {"b": ("sign", "too short")}, [path.with_suffix(".ark")])
    return path


def test_what_an_earlier_run_did_is_not_done_again(batch):
    book = ledger(batch.parent)
    assert book.pending(SIGNS) == []
    assert book.pending({"a": "another", "c": "sign"}) == ["a", "c"]
    assert book.done == {"a": ("sign", 7)} and book.refused == {"b": ("sign", "too short")}
    assert book.file("a", ".ark") == batch.with_suffix(".ark")
    assert ledger(batch.parent, mels=40).pending(SIGNS) == ["a", "b"]


def test_a_batch_whose_file_is_cut_or_gone_counts_as_not_done(batch):
    batch.with_suffix(".ark").write_text("feat")
    assert ledger(batch.parent).pending(SIGNS) == ["a", "b"]
    batch.with_suffix(".ark").unlink()
    assert ledger(batch.parent).pending(SIGNS) == ["a", "b"]


def test_sweeping_removes_old_batches_and_leftovers_and_keeps_the_rest(batch):
    folder = batch.parent
    (folder / "000007.ark").write_text("its record was never written")
    (folder / ".000008.json.abc.part").write_text("half")
    (folder / "notes.txt").write_text("not of a batch")
    ledger(folder).sweep({"a": "sign"})
    assert sorted(path.name for path in folder.iterdir()) == ["000000.ark", "000000.json", "notes.txt"]
    ledger(folder).sweep({})
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt"]


@pytest.mark.parametrize("ending", ["/../../precious.txt", ".ark/../../../precious.txt", "../precious.txt", ""])
def test_a_batch_that_names_a_file_outside_its_folder_removes_nothing_there(batch, tmp_path, ending):
    outside = tmp_path / "precious.txt"
    outside.write_text("keep")
    record = json.loads(batch.read_text())
    record["files"] = {ending: 4, str(outside): 4}
    batch.write_text(json.dumps(record))

    book = ledger(batch.parent)
    assert book.pending(SIGNS) == ["a", "b"]
    book.sweep({})

    assert outside.read_text() == "keep"
    assert list(batch.parent.iterdir()) == []


@pytest.mark.parametrize("part", ["origin", "files", "done", "refused"])
@pytest.mark.parametrize("value", [None, [], 7, "text", {"a": 1}, {"a": []}, {"a": [1, 2, 3]}])
def test_a_batch_of_another_shape_counts_as_not_done(batch, part, value):
    record = json.loads(batch.read_text())
    record[part] = value
    batch.write_text(json.dumps(record))
    assert set(ledger(batch.parent).pending(SIGNS)) in ({"a", "b"}, {"b"} if part == "refused" else {"a", "b"})


@pytest.mark.parametrize("text", ["", "{", "[" * 10000, "null", "\0", "9" * 6001])
def test_a_damaged_batch_counts_as_not_done(batch, text):
    batch.write_text(text)
    assert ledger(batch.parent).pending(SIGNS) == ["a", "b"]
