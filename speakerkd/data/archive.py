"""Feature archives: Kaldi's two-byte compressed matrices (`CM2`), read as row slices of a memory map.

A record is `\\0BCM2 `, float32 minimum, float32 range, int32 rows, int32 columns, then uint16 rows;
value = minimum + range * code / 65535. kaldiio writes them, and Kaldi's own tools read them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from speakerkd.data.scp import ScpTable, check_key, gather_bytes, map_file, read_scp, write_scp
from speakerkd.data.vectors import read_shared_vectors, read_vectors, write_vectors
from speakerkd.errors import InputError
from speakerkd.work.arrays import Wanted, read_arrays
from speakerkd.work.files import whole_file

__all__ = [
    "FeatureArchive",
    "read_shared_vectors",
    "read_vectors",
    "write_ark",
    "write_features",
    "write_scp",
    "write_vectors",
]

MAGIC = b"\0BCM2 "
HEADER = np.dtype(
    [("magic", "S6"), ("minimum", "<f4"), ("range", "<f4"), ("rows", "<i4"), ("columns", "<i4")]
)  # packed: 22 bytes
INDEX: Wanted = {
    "scp": ("i", (2,)),
    "arks": ("S", ("A",)),
    "ark_state": ("i", ("A", 2)),
    "keys": ("S", ("N",)),
    "ark": ("i", ("N",)),
    "data": ("i", ("N",)),
    "frames": ("i", ("N",)),
    "minimum": ("f", ("N",)),
    "span": ("f", ("N",)),
    "dim": ("i", ()),
}
MOST_MAPS = 512  # open at once: each holds a file descriptor
TWO_BYTE = 3  # kaldiio's number for CM2 with the range of each matrix


def write_ark(path: Path | str, items: Iterable[tuple[str, np.ndarray]]) -> dict[str, str]:
    """Write float32 matrices into one ark of CM2 matrices, whole or not at all.

    Parameters
    ----------
    path: the ark.
    items: (key, (T, F) float32), each key once and without white space.

    Returns
    -------
    {key: `file:offset`}, the lines of its scp.

    Raises
    ------
    InputError: for a matrix that is empty or not finite, and for a key given twice or with white space.
    """
    import kaldiio

    path = Path(path).absolute()
    places: dict[str, str] = {}
    with whole_file(path, "wb") as stream:
        for key, values in items:
            matrix = np.ascontiguousarray(values, np.float32)
            if matrix.ndim != 2 or matrix.size == 0:
                raise InputError(
                    f"features of shape {matrix.shape}", key, "give (frames, bands) with at least one frame"
                )
            if not np.isfinite(matrix).all():
                raise InputError("features are not finite", key, "leave the recording out")
            if key in places:
                raise InputError(f"duplicate key '{key}'", path, "give each key once")
            check_key(key)
            places[key] = f"{path}:{stream.tell() + len(key.encode()) + 1}"
            kaldiio.save_ark(stream, {key: matrix}, compression_method=TWO_BYTE)
    return places


def write_features(
    directory: Path | str, name: str, items: Iterable[tuple[str, np.ndarray]], shard: int = 20_000
) -> None:
    """Write matrices as `<name>.scp` over `<name>.<n>.ark`.

    The scp appears only when all arks are whole; an older one of the name is removed first, so it never names records
    that have moved.

    Parameters
    ----------
    directory, name: where, and how the files' names begin.
    items: (key, (T, F) float32): T frames, F bands.
    shard: matrices an ark.

    Raises
    ------
    InputError: as `write_ark`.
    """
    directory = Path(directory)
    scp = directory / f"{name}.scp"
    for old in (scp, index_path(scp)):
        old.unlink(missing_ok=True)
    source = iter(items)
    places: dict[str, str] = {}
    number = 0
    while batch := write_ark(directory / f"{name}.{number}.ark", _take(source, shard)):
        if double := places.keys() & batch.keys():
            raise InputError(f"duplicate key '{min(double)}'", scp, "give each key once")
        places |= batch
        number += 1
    (directory / f"{name}.{number}.ark").unlink()
    while (stale := directory / f"{name}.{number + 1}.ark").exists():
        stale.unlink()
        number += 1
    if not places:
        raise InputError("no features to write", scp, "check that the recordings were not all refused")
    write_scp(scp, places)
    FeatureArchive(scp)  # the index is made while the headers are still in the page cache


def _take(source: Iterator[tuple[str, np.ndarray]], count: int) -> Iterator[tuple[str, np.ndarray]]:
    for _ in range(count):
        try:
            yield next(source)
        except StopIteration:
            return


def index_path(scp: Path | str) -> Path:
    """Where the index of an scp is cached."""
    scp = Path(scp)
    return scp.with_name(f"{scp.name}.index.npz")


class FeatureArchive:
    """Random access to the N matrices that an scp names, without decoding more rows than are asked for.

    keys: list of N str, in the scp's order. index: {key: position}. frames: (N,) int64. dim: bands F of every matrix.
    minimum, span: (N,) float32, so that value = minimum + span * code / 65535.

    The headers are read once and cached beside the scp; the cache is made again where the scp or an ark has changed.
    Memory holds one table of the corpus; the arks are mapped, and the system drops their pages as it likes.
    An instance can be pickled and shared between threads. Raises InputError with file and line for an ark that is
    missing, truncated or of another format, and where matrices differ in bands.
    """

    def __init__(self, scp: Path | str) -> None:
        self.scp = Path(scp)
        self._maps: dict[int, mmap.mmap] = {}
        cached = _load_index(self.scp)
        if cached is None:
            table = read_scp(self.scp)
            cached = _read_headers(table)
            _save_index(self.scp, cached)
        self._arks = [Path(os.fsdecode(name)) for name in cached["arks"]]
        self._keys = cached["keys"]
        self._ark, self._data = cached["ark"], cached["data"]
        self.frames, self.dim = cached["frames"], int(cached["dim"])
        self.minimum, self.span = cached["minimum"], cached["span"]
        self._scale = (self.span / np.float32(65535)).astype(np.float32)

    def __len__(self) -> int:
        return len(self._keys)

    @cached_property
    def keys(self) -> list[str]:
        return b"\n".join(self._keys.tolist()).decode().split("\n")

    @property
    def files(self) -> set[str]:
        """The arks, whatever links name them."""
        return {os.path.realpath(path) for path in self._arks}

    @cached_property
    def index(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    def codes(self, position: int, start: int, stop: int) -> np.ndarray:
        """Rows start to stop of a matrix as stored, (T, F) uint16: a view into the map, copy it to keep it."""
        frames = int(self.frames[position])
        if not 0 <= start < stop <= frames:
            raise IndexError(f"rows {start}:{stop} of {frames} frames of '{self.keys[position]}'")
        offset = int(self._data[position]) + 2 * self.dim * start
        count = (stop - start) * self.dim
        return np.frombuffer(self._map(int(self._ark[position])), "<u2", count, offset).reshape(-1, self.dim)

    def range(self, position: int) -> tuple[float, float]:
        """(minimum, range) of a matrix: value = minimum + range * code / 65535."""
        return float(self.minimum[position]), float(self.span[position])

    def rows(self, position: int, start: int, stop: int) -> np.ndarray:
        """Rows start to stop of a matrix, (T, F) float32."""
        return self.codes(position, start, stop) * self._scale[position] + self.minimum[position]

    def whole(self, position: int) -> np.ndarray:
        """All rows of a matrix, (T, F) float32."""
        return self.rows(position, 0, int(self.frames[position]))

    def crops(self, indices: np.ndarray, starts: np.ndarray, length: int, out: np.ndarray | None = None) -> np.ndarray:
        """`length` rows of B matrices, each from its own start, as (B, length, F) float32, into `out` where given.

        A crop that passes the end of its matrix goes on at its beginning.

        Parameters
        ----------
        indices, starts: (B,) int: which matrices, and the first row of each crop.
        out: contiguous (B, length, F) float32.

        Raises
        ------
        IndexError: for a start outside its matrix. ValueError: for `out` of another shape or type.
        """
        indices, starts = np.asarray(indices), np.asarray(starts)
        frames = self.frames[indices]
        if length < 1 or (starts < 0).any() or (starts >= frames).any():
            raise IndexError("a crop starts outside its matrix, or is shorter than one row")
        if out is None:
            out = np.empty((len(indices), length, self.dim), np.float32)
        elif out.shape != (len(indices), length, self.dim) or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out must be contiguous float32 {(len(indices), length, self.dim)}")
        places = (self._data[indices] + 2 * self.dim * starts).tolist()
        inside = (starts + length <= frames).tolist()
        arks, scales, minima = self._ark[indices].tolist(), self._scale[indices], self.minimum[indices]
        rows = out.reshape(len(indices), -1)
        count = length * self.dim
        for b, (ark, offset, row) in enumerate(zip(arks, places, rows, strict=True)):
            if inside[b]:
                codes = np.frombuffer(self._map(ark), "<u2", count, offset)
            else:
                whole = self.codes(int(indices[b]), 0, int(frames[b]))
                codes = whole[np.arange(starts[b], starts[b] + length) % frames[b]].reshape(-1)
            np.multiply(codes, scales[b], out=row)
            np.add(row, minima[b], out=row)
        return out

    def _map(self, ark: int) -> mmap.mmap:
        source = self._maps.get(ark)
        if source is None:
            while len(self._maps) >= MOST_MAPS:
                with contextlib.suppress(StopIteration, KeyError, RuntimeError):  # another thread may be at it too
                    self._maps.pop(next(iter(self._maps)))
            source = self._maps[ark] = map_file(self._arks[ark])
        return source

    def __getstate__(self) -> dict:
        state = self.__dict__.copy()
        state["_maps"] = {}  # a map cannot be pickled; another process opens its own
        return state


def _read_headers(table: ScpTable) -> dict[str, np.ndarray]:
    count = len(table.keys)
    header = np.zeros(count, HEADER)
    state = np.zeros((len(table.arks), 2), np.int64)
    size = np.zeros(count, np.int64)
    for number, (ark, mine) in enumerate(zip(table.arks, table.by_ark(), strict=True)):
        try:
            source = map_file(ark)
        except InputError as error:
            raise InputError(f"{error.what} {ark}", table.where(int(mine[0])), error.fix) from None
        stat = ark.stat()
        state[number] = stat.st_size, stat.st_mtime_ns
        size[mine] = len(source)
        inside = mine[table.offset[mine] + HEADER.itemsize <= len(source)]
        header[inside] = gather_bytes(source, table.offset[inside], HEADER.itemsize).view(HEADER)[:, 0]
    _check_headers(table, header, size)
    return {
        "scp": np.array(_state(table.path), np.int64),
        "arks": np.array([os.fsencode(ark.absolute()) for ark in table.arks]),
        "ark_state": state,
        "keys": table.keys,
        "ark": table.ark,
        "data": table.offset + HEADER.itemsize,
        "frames": header["rows"].astype(np.int64),
        "minimum": np.ascontiguousarray(header["minimum"]),
        "span": np.ascontiguousarray(header["range"]),
        "dim": np.array(header["columns"][0], np.int64),
    }


def _check_headers(table: ScpTable, header: np.ndarray, size: np.ndarray) -> None:
    rows, columns = header["rows"].astype(np.int64), header["columns"].astype(np.int64)
    inside = table.offset + HEADER.itemsize <= size
    alien = inside & (header["magic"] != MAGIC)
    empty = inside & ((rows < 1) | (columns < 1))
    short = ~inside | (table.offset + HEADER.itemsize + 2 * rows * columns > size)
    other = columns != columns[0]
    bad = ~(np.isfinite(header["minimum"]) & np.isfinite(header["range"]))
    for fault, what, fix in (
        (
            alien,
            "not a two-byte compressed matrix (CM2)",
            "write it with `speakerkd fbank` or copy-feats --compression-method=3",
        ),
        (short, "truncated ark file", "write the archive again"),
        (empty, "a matrix without rows", "write the archive again"),
        (bad, "a matrix whose range is not finite", "write the archive again"),
        (other, "a matrix with another number of bands than the first", "write the archive again"),
    ):
        if fault.any():
            first = int(np.flatnonzero(fault)[0])
            raise InputError(f"{what}, {table.arks[table.ark[first]]}", table.where(first), fix)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _save_index(scp: Path, index: dict[str, np.ndarray]) -> None:
    # a folder that cannot be written to only costs the reading of the headers next time
    with contextlib.suppress(InputError, OSError), whole_file(index_path(scp), "wb") as stream:
        np.savez(stream, **index)  # type: ignore[arg-type]  # no array is called allow_pickle


def _load_index(scp: Path) -> dict[str, np.ndarray] | None:
    """The cached index where it is there and the scp and every ark are as they were when it was made."""
    if not (scp.is_file() and index_path(scp).is_file()):
        return None
    try:
        index = read_arrays(index_path(scp), "", INDEX)
        if tuple(index["scp"]) != _state(scp):
            return None
        for name, state in zip(index["arks"].tolist(), index["ark_state"].tolist(), strict=True):
            if _state(Path(os.fsdecode(name))) != tuple(state):
                return None
    except (InputError, OSError, ValueError):
        return None
    return index if _lies_inside(index) else None


def _lies_inside(index: dict[str, np.ndarray]) -> bool:
    """Whether every matrix of an index has rows, and lies in the ark that it is said to be in."""
    ark, data, frames, dim = index["ark"], index["data"], index["frames"], int(index["dim"])
    if dim < 1 or not len(ark) or ark.min() < 0 or ark.max() >= len(index["arks"]):
        return False
    room = (index["ark_state"][ark, 0] - data) // (2 * dim)
    return bool((frames >= 1).all() and (data >= 0).all() and (frames <= room).all())
