"""Lists as people have them: read whole and right, or refused with file and line."""

import numpy as np
import pytest

from speakerkd.data import trials
from speakerkd.data.trials import read_models, read_trials
from speakerkd.errors import InputError


def write(tmp_path, text, name="list.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def content(read):
    label = [None] * len(read) if read.label is None else read.label.tolist()
    return [(read.enrol_names[e], read.test_names[t], y) for e, t, y in zip(read.enrol, read.test, label, strict=True)]


EXPECTED = [("a/1.wav", "b/2.wav", 1), ("a/1.wav", "c/3.wav", 0), ("b/2.wav", "c/3.wav", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "1 a/1.wav b/2.wav\n0 a/1.wav c/3.wav\n1 b/2.wav c/3.wav\n",
        "a/1.wav b/2.wav target\na/1.wav c/3.wav nontarget\nb/2.wav c/3.wav target\n",
        "a/1.wav b/2.wav 1\na/1.wav c/3.wav 0\nb/2.wav c/3.wav 1\n",
        "1 a/1.wav b/2.wav\r\n0 a/1.wav c/3.wav\r\n1 b/2.wav c/3.wav\r\n",
        "1\ta/1.wav\tb/2.wav\n0\ta/1.wav\tc/3.wav\n1\tb/2.wav\tc/3.wav\n",
        "\ufeff1 a/1.wav b/2.wav\n0 a/1.wav c/3.wav\n1 b/2.wav c/3.wav",
        "\n\n1 a/1.wav b/2.wav\n\n0  a/1.wav\tc/3.wav  \n \t\n  1 b/2.wav c/3.wav\n\n",
        "modelid\tsegmentid\tside\ttargettype\na/1.wav\tb/2.wav\ta\ttarget\n"
        "a/1.wav\tc/3.wav\ta\tnontarget\nb/2.wav\tc/3.wav\ta\ttarget\n",
    ],
    ids=["voxceleb", "kaldi", "cnceleb", "crlf", "tabs", "bom, no last newline", "blank lines", "nist"],
)
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_forms(tmp_path, monkeypatch, text, block):
    monkeypatch.setattr(trials, "BLOCK", block)
    assert content(read_trials(write(tmp_path, text))) == EXPECTED


def test_without_labels_there_are_none(tmp_path):
    read = read_trials(write(tmp_path, "a b\na c\n"))
    assert read.label is None and content(read) == [("a", "b", None), ("a", "c", None)]


def test_names_that_look_like_labels(tmp_path):
    """The first line that is not ambiguous decides for all."""
    assert content(read_trials(write(tmp_path, "1 1 0\n0 1 x\n"))) == [("1", "0", 1), ("1", "x", 0)]
    with pytest.raises(InputError, match="cannot tell labels from names"):
        read_trials(write(tmp_path, "1 1 0\n0 1 1\n"))


@pytest.mark.parametrize(
    "text,line,words",
    [
        ("1 a b\n0 a c\n1 a\n0 b c\n", 3, "2 fields where the list has 3"),
        ("1 a b\n\n0 a c d\n", 3, "4 fields where the list has 3"),
        ("1 a b\n2 a c\n", 2, "'2' is not a label"),
        ("a b target\na c maybe\n", 2, "'maybe' is not a label"),
        ("a b\n1 a c\n", 2, "3 fields where the list has 2"),
        ("x a b\n", 1, "no label"),
        ("a\n", 1, "1 fields"),
        (b"1 a b\n1 caf\xe9 c\n", 2, "not UTF-8"),
    ],
)
@pytest.mark.parametrize("block", [5, 1 << 20])
def test_a_broken_line_is_named(tmp_path, monkeypatch, *, text, line, words, block):
    monkeypatch.setattr(trials, "BLOCK", block)
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=words) as error:
        read_trials(path)
    assert str(error.value.where) == f"{path}:{line}"


def test_two_broken_lines_do_not_make_up_for_each_other(tmp_path):
    with pytest.raises(InputError, match=r"list\.txt:2"):
        read_trials(write(tmp_path, "1 a b\n1 a\n1 a b c\n1 a b\n"))


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_list_is_refused(tmp_path, text):
    with pytest.raises(InputError, match="no trial"):
        read_trials(write(tmp_path, text))


def test_utf16_is_named(tmp_path):
    with pytest.raises(InputError, match="UTF-16"):
        read_trials(write(tmp_path, "1 a b\n".encode("utf-16")))


def test_accents_stay(tmp_path):
    assert content(read_trials(write(tmp_path, "1 é/1 ü/2\n"))) == [("é/1", "ü/2", 1)]


def test_lines_of_trials(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "BLOCK", 12)
    read = read_trials(write(tmp_path, "\n1 a b\n1 a c\n\n0 a d\n1 b c\n"))
    assert [read.line(i) for i in range(4)] == [2, 3, 5, 6]
    kept = read.keep(np.array([False, True, False, True]))
    assert [kept.line(i) for i in range(2)] == [3, 6] and content(kept) == [("a", "c", 1), ("b", "c", 1)]


def test_models(tmp_path):
    path = write(tmp_path, "m1 a/1.wav a/2.wav\r\n\nm2\tb/1.wav\n")
    assert read_models(path) == {"m1": ["a/1.wav", "a/2.wav"], "m2": ["b/1.wav"]}


@pytest.mark.parametrize("text,words", [("m a\nm b\n", "duplicate model 'm'"), ("m a\nn\n", "model 'n' has no")])
def test_faulty_models_are_named(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=words) as error:
        read_models(path)
    assert str(error.value.where) == f"{path}:2"
