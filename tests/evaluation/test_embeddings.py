"""Embeddings from files of either kind, and the faults that must not pass."""

import kaldiio
import numpy as np
import pytest

from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings, average_models, read_embeddings, write_embeddings
from speakerkd.evaluation.scorer import locate_trials

KEYS = ["id1/a/1", "id2/b/2", "é/c/3"]


@pytest.fixture(params=[(3, 5), (3, 4, 5)], ids=["vectors", "crops"])
def values(request):
    return np.random.default_rng(0).normal(size=request.param).astype(np.float32)


@pytest.mark.parametrize("name", ["e.npz", "e.ark", "e.scp"])
def test_what_is_written_is_read(tmp_path, values, name):
    origin = {"protocol": "crops", "frames": 400}
    path = write_embeddings(tmp_path / name, Embeddings(KEYS, values, origin, np.array([1.5, 2.0, 3.25])))
    read = read_embeddings(path)
    rows = read.locate(KEYS)
    np.testing.assert_array_equal(read.values[rows], values)
    assert read.origin == origin and read.seconds[rows].tolist() == [1.5, 2.0, 3.25]


def test_kaldi_files_of_others_are_read(tmp_path, values):
    table = dict(zip(KEYS, values, strict=True))
    kaldiio.save_ark(str(tmp_path / "o.ark"), table, scp=str(tmp_path / "o.scp"))
    kaldiio.save_ark(str(tmp_path / "t.ark"), table, text=True)
    for name in ("o.ark", "o.scp", "t.ark"):
        read = read_embeddings(tmp_path / name)
        assert read.keys == KEYS
        np.testing.assert_allclose(read.values, values, rtol=1e-5)


def test_a_name_is_a_whole_path_with_or_without_extension():
    table = Embeddings(["a/1.wav", "b/1", "c/1.wav", "c/1.flac", "d.5/x"], np.zeros((5, 2)))
    assert table.locate(["a/1.wav", "a/1", "a/1.m4a"]).tolist() == [0, 0, 0]
    assert table.locate(["b/1.wav", "1", "1.wav"]).tolist() == [1, -1, -1]
    assert table.locate(["c/1.flac", "c/1"]).tolist() == [3, -1]  # two recordings share the stem
    assert table.locate(["d.5/x.wav", "d", "d.5/y"]).tolist() == [4, -1, -1]


@pytest.mark.parametrize("name", ["e.npz", "e.ark"])
@pytest.mark.parametrize("fault,words", [(np.nan, "not finite"), (np.inf, "not finite"), (0, "zero")])
def test_an_embedding_that_is_not_finite_or_zero_is_named(tmp_path, name, fault, words):
    values = np.ones((3, 4, 5), np.float32)
    values[1, 2] = fault
    with pytest.raises(InputError, match=f"'id2/b/2' is {words}"):
        write_embeddings(tmp_path / name, Embeddings(KEYS, values))
    assert list(tmp_path.iterdir()) == []
    if name.endswith("npz"):
        np.savez(tmp_path / name, utterance=KEYS, embedding=values)
    else:
        kaldiio.save_ark(str(tmp_path / name), dict(zip(KEYS, values, strict=True)))
    with pytest.raises(InputError, match=f"'id2/b/2' is {words}"):
        read_embeddings(tmp_path / name)


def test_faulty_files_are_refused(tmp_path):
    good = np.ones((2, 3), np.float32)
    cases = {
        "no array `utterance`": {"embedding": good},
        "do not fit": {"utterance": KEYS, "embedding": good},
        "duplicate key 'x'": {"utterance": ["x", "x"], "embedding": good},
        "holds no text": {"utterance": [1, 2], "embedding": good},
    }
    for words, arrays in cases.items():
        np.savez(tmp_path / "e.npz", **arrays)
        with pytest.raises(InputError, match=words):
            read_embeddings(tmp_path / "e.npz")
    for name, content in (("e.npz", b"no zip"), ("empty.ark", b""), ("text.ark", b"a b c\n"), ("cut.npz", b"PK\3\4")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_embeddings(tmp_path / name)
    kaldiio.save_ark(str(tmp_path / "u.ark"), {"a": np.ones((4, 3), "f4"), "b": np.ones((5, 3), "f4")})
    with pytest.raises(InputError, match="'b' has shape"):
        read_embeddings(tmp_path / "u.ark")
    (tmp_path / "gone.scp").write_text("a /no/such.ark:2\n")
    with pytest.raises(InputError):
        read_embeddings(tmp_path / "gone.scp")


def test_truncated_arks_are_refused(tmp_path):
    path = tmp_path / "e.ark"
    kaldiio.save_ark(str(path), dict(zip(KEYS, np.ones((3, 50), np.float32), strict=True)))
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_embeddings(path)


def test_models_average_normalised_embeddings():
    table = Embeddings(["a", "b", "c"], np.array([[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]]), {}, np.array([1.0, 2.0, 4.0]))
    models = average_models({"m": ["a", "b"], "n": ["c"]}, table)
    np.testing.assert_allclose(models.values, [[0.3, 0.9], [1.0, 0.0]])
    assert models.keys == ["m", "n"] and models.seconds.tolist() == [3.0, 4.0]
    with pytest.raises(InputError, match="no embedding of 'z', of model 'n'"):
        average_models({"m": ["a"], "n": ["b", "z"]}, table)


def test_a_recording_compared_with_itself_is_counted_and_never_a_non_target(tmp_path, caplog):
    """Whatever the two spellings: such a target is too easy, and such a non-target has a wrong label."""
    table = Embeddings(["a b/1", "c/1"], np.eye(2))
    (tmp_path / "l").write_text("1 a%20b/1 a%20b/1.wav\n0 c/1 a%20b/1\n")
    assert locate_trials(read_trials(tmp_path / "l"), table, table).same_trials == 1
    assert "line 1 is the first" in caplog.text
    (tmp_path / "l").write_text("1 c/1 a%20b/1\n0 c/1.wav c/1\n")
    with pytest.raises(InputError, match=r"'c/1.wav' with itself.*l:2"):
        locate_trials(read_trials(tmp_path / "l"), table, table)


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path):
    """A failed write must not cost the embeddings that were there."""
    good = Embeddings(KEYS, np.ones((3, 5), np.float32))
    path = write_embeddings(tmp_path / "e.scp", good)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match="whitespace"):
        write_embeddings(path, Embeddings(["a b"], np.ones((1, 5), np.float32)))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
