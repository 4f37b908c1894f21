"""What a user loses if these fail: training on other numbers than Kaldi's tools read, or a crash deep in an epoch."""

import errno
import pickle
import struct
import threading

import kaldiio
import numpy as np
import pytest

from speakerkd.data import archive
from speakerkd.data.archive import (
    FeatureArchive,
    index_path,
    read_shared_vectors,
    read_vectors,
    write_features,
    write_vectors,
)
from speakerkd.errors import InputError


@pytest.fixture
def matrices():
    rng = np.random.default_rng(3)
    lengths = {"b/two%20words/1": 50, "a/é/1": 7, "a/é/10": 300, "c": 1}
    return {key: rng.normal(0, 4, (frames, 5)).astype(np.float32) for key, frames in lengths.items()}


@pytest.fixture
def stored(tmp_path, matrices):
    write_features(tmp_path, "feats", matrices.items(), shard=3)
    return tmp_path / "feats.scp"


def test_a_record_written_by_hand_is_read(tmp_path):
    codes = np.array([[0, 65535], [32768, 13107], [1, 2]], "<u2")
    record = b"\0BCM2 " + struct.pack("<ffii", -2.0, 10.0, 3, 2) + codes.tobytes()
    (tmp_path / "x.ark").write_bytes(b"utt " + record)
    (tmp_path / "x.scp").write_text(f"utt {tmp_path}/x.ark:4\n")
    features = FeatureArchive(tmp_path / "x.scp")
    assert features.keys == ["utt"] and features.frames.tolist() == [3] and features.dim == 2
    assert features.range(0) == (-2.0, 10.0)
    np.testing.assert_allclose(features.rows(0, 0, 2), [[-2, 8], [-2 + 10 * 32768 / 65535, 0]], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(features.codes(0, 2, 3), [[1, 2]])


def test_kaldiio_reads_the_same_numbers(stored, matrices):
    reference = kaldiio.load_scp(str(stored))
    features = FeatureArchive(stored)
    assert features.keys == sorted(matrices, key=str.encode)
    assert len({line.split()[-1].rpartition(":")[0] for line in stored.read_text().splitlines()}) == 2  # two shards
    for key, matrix in matrices.items():
        position = features.index[key]
        assert features.frames[position] == len(matrix)
        np.testing.assert_allclose(features.whole(position), reference[key], rtol=1e-6, atol=1e-5)
        step = features.range(position)[1] / 65535
        assert np.abs(features.whole(position) - matrix).max() <= 0.51 * step + 1e-5


def test_crops_are_rows_of_the_matrix_and_wrap_past_its_end(stored, matrices):
    features = FeatureArchive(stored)
    at = features.index
    wanted = [("a/é/10", 100), ("a/é/1", 0), ("c", 0), ("a/é/10", 290), ("a/é/10", 280), ("a/é/1", 6)]
    out = np.full((len(wanted), 20, 5), np.nan, np.float32)
    result = features.crops([at[k] for k, _ in wanted], [s for _, s in wanted], 20, out)
    assert result is out
    for crop, (key, start) in zip(out, wanted, strict=True):
        whole = kaldiio.load_scp(str(stored))[key]
        np.testing.assert_allclose(crop, np.tile(whole, (40, 1))[start : start + 20], rtol=1e-6, atol=1e-5)


def test_few_maps_are_enough_for_many_arks(stored, monkeypatch):
    expected = FeatureArchive(stored).crops([0, 3, 1, 2, 3, 0], [0] * 6, 9)
    monkeypatch.setattr(archive, "MOST_MAPS", 1)
    features = FeatureArchive(stored)
    np.testing.assert_array_equal(features.crops([0, 3, 1, 2, 3, 0], [0] * 6, 9), expected)
    assert len(features._maps) == 1


def test_crops_refuse_a_start_outside(stored):
    features = FeatureArchive(stored)
    for start in (-1, 7):
        with pytest.raises(IndexError):
            features.crops([features.index["a/é/1"]], [start], 2)
    with pytest.raises(ValueError, match="float32"):
        features.crops([0], [0], 2, np.empty((1, 2, 5)))


def test_the_index_is_used_again_and_made_again_when_stale(stored, matrices, monkeypatch):
    FeatureArchive(stored)
    with monkeypatch.context() as patch:
        patch.setattr(archive, "_read_headers", lambda table: pytest.fail("the headers were read again"))
        assert len(FeatureArchive(stored)) == 4
    lines = stored.read_text().splitlines()
    stored.write_text("\n".join(lines[:2]) + "\n")
    assert len(FeatureArchive(stored)) == 2
    write_features(stored.parent, "feats", [("new", matrices["c"] + 1)])
    assert FeatureArchive(stored).keys == ["new"]
    assert sorted(p.name for p in stored.parent.glob("feats.*.ark")) == ["feats.0.ark"]
    index_path(stored).write_bytes(b"PK broken")
    assert FeatureArchive(stored).keys == ["new"]


def test_an_ark_that_changed_under_the_index_is_noticed(stored):
    FeatureArchive(stored)
    ark = stored.parent / "feats.0.ark"
    ark.write_bytes(ark.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"truncated.*feats.scp:\d"):
        FeatureArchive(stored)


def test_faults_name_file_and_line(stored, tmp_path):
    good = stored.read_text().splitlines()
    floats = tmp_path / "float.ark"
    with open(floats, "wb") as stream:
        kaldiio.save_ark(stream, {"f": np.ones((3, 5), np.float32) * np.arange(5, dtype=np.float32)})
    wide = tmp_path / "wide.ark"
    archive.write_ark(wide, [("w", np.eye(6, dtype=np.float32))])
    empty = tmp_path / "empty.ark"
    empty.touch()
    for line, what in (
        ("x nowhere.ark:12", "no such ark file"),
        (f"x {empty}:12", "empty ark file"),
        ("x", "(not a `key file:offset` line|never run)"),
        ("x copy-feats a.scp ark:- |", "(not a `key file:offset` line|never run)"),
        (f"x {floats}:-3", "(not a `key file:offset` line|never run)"),
        (f"x {floats}:2", "not a two-byte compressed matrix"),
        (f"x {wide}:2", "another number of bands"),
        (f"x {wide}:999999", "truncated"),
        (good[1], "duplicate key"),
    ):
        bad = tmp_path / "bad.scp"
        bad.write_text("\n".join([*good, "", line]) + "\n")
        with pytest.raises(InputError, match=what) as caught:
            FeatureArchive(bad)
        assert caught.value.where == f"{bad}:{len(good) + 2}"
    bad.write_text("\n")
    with pytest.raises(InputError, match="no record"):
        FeatureArchive(bad)
    with pytest.raises(InputError, match="no such archive list"):
        FeatureArchive(tmp_path / "none.scp")


@pytest.mark.parametrize("fault", ["nan", "empty", "again", "space", "raises"])
def test_a_refused_item_leaves_nothing_behind(tmp_path, fault):
    def items():
        yield "a", np.ones((2, 3), np.float32)
        if fault == "raises":
            raise KeyboardInterrupt
        yield {
            "nan": ("b", np.full((2, 3), np.nan, np.float32)),
            "empty": ("b", np.empty((0, 3), np.float32)),
            "space": ("b c", np.ones((2, 3), np.float32)),
            "again": ("a", np.ones((2, 3), np.float32)),
        }[fault]

    with pytest.raises(KeyboardInterrupt if fault == "raises" else InputError):
        write_features(tmp_path, "feats", items())
    assert list(tmp_path.iterdir()) == []


def test_constant_features_survive(tmp_path):
    write_features(tmp_path, "feats", [("silence", np.full((4, 2), -15.9424, np.float32))])
    np.testing.assert_allclose(FeatureArchive(tmp_path / "feats.scp").whole(0), -15.9424, atol=1e-5)


def test_an_archive_goes_to_other_processes_and_threads(stored):
    features = FeatureArchive(stored)
    first = features.whole(0)
    copy = pickle.loads(pickle.dumps(features))
    np.testing.assert_array_equal(copy.whole(0), first)
    results = []
    workers = [threading.Thread(target=lambda: results.append(copy.crops([0, 1], [0, 0], 9))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_a_read_only_folder_needs_no_index(stored, monkeypatch):
    index_path(stored).unlink()

    def refuse(dir, prefix, suffix):
        raise PermissionError(errno.EACCES, "read-only", f"{dir}/{prefix}0{suffix}")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert len(FeatureArchive(stored)) == 4 and not index_path(stored).exists()


def test_vectors_are_shared_by_their_aliases(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    write_vectors(tmp_path, "teacher", ["s1/1", "s0/é"], vectors, alias={"s1/2": "s1/1", "s1/3": "s1/1"})
    keys, read = read_vectors(tmp_path / "teacher.scp")
    assert keys == ["s0/é", "s1/1", "s1/2", "s1/3"]
    np.testing.assert_array_equal(read, vectors[[1, 0, 0, 0]])
    for key, vector in kaldiio.load_scp(str(tmp_path / "teacher.scp")).items():
        np.testing.assert_array_equal(vector, read[keys.index(key)])
    keys, distinct, row = read_shared_vectors(tmp_path / "teacher.scp")
    assert distinct.shape == (2, 4)
    np.testing.assert_array_equal(distinct[row], read)


def test_vectors_refuse_faults(tmp_path, stored):
    with pytest.raises(InputError, match="not finite, b"):
        write_vectors(tmp_path, "v", ["a", "b"], np.array([[1.0], [np.inf]]))
    with pytest.raises(InputError, match="duplicate key 'a'"):
        write_vectors(tmp_path, "v", ["a", "a"], np.ones((2, 3)))
    with pytest.raises(InputError, match="no vector of 'z'"):
        write_vectors(tmp_path, "v", ["a"], np.ones((1, 3)), alias={"b": "z"})
    assert not (tmp_path / "v.scp").exists()
    with pytest.raises(InputError, match=r"not a float vector.*feats.scp:1"):
        read_vectors(stored)
    write_vectors(tmp_path, "v", ["a", "b"], np.ones((2, 3)))
    ark = tmp_path / "v.ark"
    ark.write_bytes(ark.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"truncated.*v.scp:2"):
        read_vectors(tmp_path / "v.scp")
