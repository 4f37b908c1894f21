"""Kaldi's files as kaldiio writes and reads them; and files that would run something, or ask for too much."""

import os
import pickle
import struct

import kaldiio
import numpy as np
import pytest

from speakerkd.data.kaldi import read_records
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import read_embeddings

RNG = np.random.default_rng(0)
TABLES = {
    "FV": {"a/1": RNG.normal(size=7).astype("f4"), "é/2": RNG.normal(size=1).astype("f4")},
    "DV": {"a": RNG.normal(size=7), "b": RNG.normal(size=1)},
    "FM": {"a": RNG.normal(size=(3, 5)).astype("f4"), "b": RNG.normal(size=(1, 1)).astype("f4")},
    "DM": {"a": RNG.normal(size=(3, 5)), "b": RNG.normal(size=(9, 2))},
}
FEATURES = {"a": RNG.normal(size=(50, 8)).astype("f4") * 9, "b": RNG.normal(size=(1, 3)).astype("f4")}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("text", [False, True])
def test_plain_records_are_those_that_kaldiio_reads(tmp_path, kind, text):
    ark, scp = tmp_path / "x.ark", tmp_path / "x.scp"
    kaldiio.save_ark(str(ark), TABLES[kind], scp=str(scp), text=text)
    for path, theirs in ((ark, kaldiio.load_ark(str(ark))), (scp, kaldiio.load_scp(str(scp)).items())):
        ours = list(read_records(path))
        assert [key for key, _ in ours] == list(TABLES[kind])
        for (_, mine), (_, other) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("method", range(1, 8))
def test_compressed_matrices_are_those_that_kaldiio_reads(tmp_path, method):
    table = {key: np.clip(value, 0, 1) for key, value in FEATURES.items()} if method == 7 else FEATURES
    ark = str(tmp_path / "x.ark")
    kaldiio.save_ark(ark, table, compression_method=method)
    for (key, mine), (other_key, other) in zip(read_records(ark), kaldiio.load_ark(ark), strict=True):
        assert key == other_key
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ranges", ["[2:5]", "[0:0,1:3]", "[,1:3]", "[:,7:7]", "[49:49]"])
def test_ranges_of_rows_and_columns_are_inclusive_as_in_kaldi(tmp_path, ranges):
    ark, scp = tmp_path / "x.ark", tmp_path / "x.scp"
    kaldiio.save_ark(str(ark), FEATURES, scp=str(scp))
    scp.write_text(scp.read_text().splitlines()[0] + ranges + "\n")
    np.testing.assert_array_equal(dict(read_records(scp))["a"], kaldiio.load_scp(str(scp))["a"])


@pytest.mark.parametrize("ranges", ["[2:50]", "[5:2]", "[0:1,0:1,0:1]", "[x]", "[-3:4]", "[²:3]", "[]]"])
def test_a_range_outside_its_record_is_refused(tmp_path, ranges):
    ark, scp = tmp_path / "x.ark", tmp_path / "x.scp"
    kaldiio.save_ark(str(ark), FEATURES, scp=str(scp))
    scp.write_text(scp.read_text().splitlines()[0] + ranges + "\n")
    with pytest.raises(InputError, match=r"x\.scp:1"):
        list(read_records(scp))


class _Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("verb", [read_embeddings, lambda path: list(read_records(path))], ids=["verb", "reader"])
def test_a_pickle_in_an_ark_is_refused_by_name_and_not_run(tmp_path, verb):
    trap, ark = tmp_path / "ran", tmp_path / "x.ark"
    ark.write_bytes(b"a PKL" + pickle.dumps(_Trap(trap)))
    scp = tmp_path / "x.scp"
    scp.write_text(f"a {ark}:2\n")
    for path in (ark, scp):
        with pytest.raises(InputError, match="pickle"):
            verb(path)
    ark.write_bytes(b"a NPY\1\xff" + pickle.dumps(_Trap(trap)))
    with pytest.raises(InputError, match="NumPy object"):
        verb(ark)
    assert not trap.exists()


@pytest.mark.parametrize("value", ["mkdir {} |", "mkdir {}|", "| mkdir {}", "touch {}; cat |"])
def test_a_command_line_in_an_scp_is_refused_by_name_and_not_run(tmp_path, value):
    trap, scp = tmp_path / "ran", tmp_path / "x.scp"
    scp.write_text("a " + value.format(trap) + "\n")
    with pytest.raises(InputError, match=r"command line.*never run.*'a'.*x\.scp:1"):
        read_embeddings(scp)
    assert not trap.exists()


def test_a_pickle_in_an_npz_is_refused_and_not_run(tmp_path):
    trap = tmp_path / "ran"
    np.savez(tmp_path / "x.npz", utterance=np.array([_Trap(trap)], object), embedding=np.ones((1, 3), "f4"))
    with pytest.raises(InputError, match=r"array of type object"):
        read_embeddings(tmp_path / "x.npz")
    assert not trap.exists()


HUGE = [
    b"a \0BFV \4" + struct.pack("<i", 2**31 - 1),
    b"a \0BDM \4" + struct.pack("<iBi", 2**31 - 1, 4, 2**31 - 1),
    b"a \0BCM " + struct.pack("<ffii", 0, 1, 2**31 - 1, 2**31 - 1),
    b"a \0BCM2 " + struct.pack("<ffii", 0, 1, 2**31 - 1, 1),
    b"a \0BFV \4" + struct.pack("<i", -1),
    b"a \0BFV \4" + struct.pack("<i", 0),
    b"a \0BFV \5" + struct.pack("<i", 1) + bytes(4),
    b"a \0BCM3 " + struct.pack("<ffii", float("nan"), 1, 1, 1) + b"\0",
    b"a \0BF",
    b"a \0B\4" + struct.pack("<i", 2**31 - 1),
    b"a [ " + b"9" * 6001,
    b"a [ 1_0 ]\n",
    "a [ ² ]\n".encode(),
    b"a [ ]\n",
    b"a [\n 1 2\n 3 ]\n",
    b"a",
    b" \0BFV ",
    b"\xff\xfe \0BFV ",
    b"a\0b [ 1 ]\n",
    b"x" * 100_000,
]


@pytest.mark.parametrize("content", HUGE, ids=range(len(HUGE)))
def test_what_an_ark_promises_and_does_not_hold_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.ark").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_embeddings(tmp_path / "x.ark")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "f.ark")
    (tmp_path / "d.npz").mkdir()
    (tmp_path / "z.ark").symlink_to("/dev/zero")
    scp = tmp_path / "x.scp"
    scp.write_text(f"a {tmp_path}/f.ark:2\n")
    for name, kind in (("f.ark", "pipe"), ("d.npz", "folder"), ("z.ark", "device"), ("x.scp", "pipe")):
        with pytest.raises(InputError, match=kind):
            read_embeddings(tmp_path / name)
    scp.write_text("a /dev/zero\n")
    with pytest.raises(InputError, match=r"device.*x\.scp:1"):
        read_embeddings(scp)


@pytest.mark.parametrize("offset", ["9" * 30, str(2**63), "100000000", "²", "-5", "1.5", "\0"])
def test_an_offset_that_its_file_does_not_have_is_refused(tmp_path, offset):
    kaldiio.save_ark(str(tmp_path / "x.ark"), TABLES["FV"])
    scp = tmp_path / "x.scp"
    scp.write_text(f"a {tmp_path}/x.ark:{offset}\n")
    with pytest.raises(InputError, match=r"x\.scp:1"):
        read_embeddings(scp)


def test_an_npz_that_inflates_far_beyond_its_size_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, utterance=np.array(["a"]), embedding=np.zeros((1, 50_000_000), "f4"))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="more than the file can mean"):
        read_embeddings(path)
