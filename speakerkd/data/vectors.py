"""Vector archives: one float32 vector a key in Kaldi's ark and scp; several keys may share a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from speakerkd.data.scp import check_key, gather_bytes, map_file, read_scp, scp_lines
from speakerkd.errors import InputError
from speakerkd.work.files import whole_pair

HEADER = np.dtype([("magic", "S5"), ("four", "u1"), ("dim", "<i4")])  # packed: 10 bytes
MAGIC = b"\0BFV "


def write_vectors(
    directory: Path | str,
    name: str,
    keys: Sequence[str],
    vectors: np.ndarray,
    alias: Mapping[str, str] | None = None,
) -> None:
    """Write vectors as `<name>.ark` and `<name>.scp`.

    Parameters
    ----------
    directory, name: where, and the files' name.
    keys: N, each once.
    vectors: (N, D) float32.
    alias: {key: stored key}, further keys of the scp that point at a stored vector.

    Raises
    ------
    InputError: for a vector that is not finite, a duplicate key, or an alias of a key that is not stored.
    """
    import kaldiio

    directory = Path(directory)
    vectors = np.ascontiguousarray(vectors, np.float32)
    ark, scp = (directory / f"{name}.ark").absolute(), directory / f"{name}.scp"
    if vectors.ndim != 2 or len(vectors) != len(keys) or vectors.size == 0:
        raise ValueError(f"{len(keys)} keys with vectors of shape {vectors.shape}")
    known = set(keys)
    finite = np.isfinite(vectors).all(1)
    if not finite.all():
        raise InputError("a vector is not finite", keys[int(np.argmin(finite))], "check the network and its input")
    for key, stored in (alias or {}).items():
        check_key(key)
        if stored not in known:
            raise InputError(f"no vector of '{stored}'", scp, "give a vector for every key that an alias names")
    places: dict[str, str] = {}
    with whole_pair(ark, scp) as (stream, table):
        for key, vector in zip(keys, vectors, strict=True):
            if key in places:
                raise InputError(f"duplicate key '{key}'", scp, "give each key once")
            check_key(key)
            places[key] = f"{ark}:{stream.tell() + len(key.encode()) + 1}"
            kaldiio.save_ark(stream, {key: vector})
        places |= {key: places[stored] for key, stored in (alias or {}).items()}
        table.writelines(scp_lines(places))


def read_shared_vectors(scp: Path | str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read an scp of float vectors without repeating those that several keys share.

    Returns
    -------
    Keys (N), vectors (M, D) float32 with M <= N, and row (N,) int64: key n has vectors[row[n]].

    Raises
    ------
    InputError: with file and line for a record that is truncated, not a float vector, or of another dimension.
    """
    table = read_scp(scp)
    places, first, row = np.unique(
        np.stack([table.ark.astype(np.int64), table.offset]), axis=1, return_index=True, return_inverse=True
    )
    parts: list[np.ndarray] = []
    dim = 0
    for number, path in enumerate(table.arks):
        mine = np.flatnonzero(places[0] == number)
        try:
            source = map_file(path)
        except InputError as error:
            raise InputError(f"{error.what} {path}", table.where(int(first[mine].min())), error.fix) from None
        offset = places[1, mine]

        def refuse(fault: np.ndarray, what: str, fix: str, path: Path = path, mine: np.ndarray = mine) -> None:
            if fault.any():
                raise InputError(f"{what}, {path}", table.where(int(first[mine[fault]].min())), fix)

        refuse(offset + HEADER.itemsize > len(source), "truncated ark file", "write the archive again")
        header = gather_bytes(source, offset, HEADER.itemsize).view(HEADER)[:, 0]
        alien = (header["magic"] != MAGIC) | (header["four"] != 4) | (header["dim"] < 1)
        refuse(alien, "not a float vector (FV)", "give an archive of vectors, such as teacher.scp")
        dim = dim or int(header["dim"][0])
        refuse(header["dim"] != dim, f"a vector of another dimension than {dim}", "write the archive again")
        refuse(offset + HEADER.itemsize + 4 * dim > len(source), "truncated ark file", "write the archive again")
        data = np.empty((len(mine), dim), "<f4")
        for position, start in enumerate(offset.tolist()):
            data[position] = np.frombuffer(source, "<f4", dim, start + HEADER.itemsize)
        parts.append(data)
    keys = b"\n".join(table.keys.tolist()).decode().split("\n")
    return keys, np.concatenate(parts), row.reshape(-1)


def read_vectors(scp: Path | str) -> tuple[list[str], np.ndarray]:
    """Read an scp of float vectors as keys (N) and vectors (N, D) float32; raises as `read_shared_vectors` does."""
    keys, vectors, row = read_shared_vectors(scp)
    return keys, vectors if np.array_equal(row, np.arange(len(row))) else vectors[row]
