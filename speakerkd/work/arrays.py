"""NumPy's files: read without unpickling, within bounds, and of the shape that is expected; written row by row."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from speakerkd.errors import InputError
from speakerkd.work.files import whole_file
from speakerkd.work.reading import open_file

INFLATED = 20  # times the file's size that its arrays may take: numbers never shrink so far, padded names hardly
ALWAYS = 64 << 20  # bytes that they may take in any case
KINDS = "biufSU"  # booleans, numbers and text
Dims = tuple[int | str, ...]  # a number is that size; the same letter is the same size in every array of a file
Wanted = Mapping[str, tuple[str, Dims | None]]  # {array: (letters of NumPy's kinds, its shape, None for any)}


def read_array(
    path: Path | str, fix: str, kinds: str, dims: Dims | None = None, *, memory_map: bool = False
) -> NDArray:
    """An array of a .npy file.

    Parameters
    ----------
    fix : what to do about a file that cannot be read.
    kinds : letters of the kinds that it may be of, NumPy's (`f`, `iu`, `U`).
    dims : its shape, None for any.
    memory_map : leave it on disk, read-only.

    Raises
    ------
    InputError
        For what is no such file, is cut short, or holds an array of another kind or shape.
    """
    with open_file(path, "array", fix) as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        try:
            shape, column_order, dtype = _read_header(stream, size)
            if memory_map and math.prod(shape) > 0:
                order: Literal["C", "F"] = "F" if column_order else "C"
                values: NDArray = np.memmap(stream, dtype, "r", stream.tell(), shape, order)
            else:
                values = _read_values(stream, shape, column_order, dtype)
        except Exception as error:  # NumPy's header raises a dozen types: each says that it is damaged
            raise InputError(f"not a whole array ({error})", path, fix) from error
    if fault := _fault("an array", values, kinds, dims, {}):
        raise InputError(fault, path, fix)
    return values


def read_arrays(path: Path | str, fix: str, wanted: Wanted, optional: Wanted | None = None) -> dict[str, NDArray]:
    """Arrays of an .npz file that must be there, and optional ones, checked against their kinds and shapes.

    Raises InputError as `read_npz` does, and where one is missing, or of another kind or shape.
    """
    known = {**wanted, **(optional or {})}
    arrays = read_npz(path, known, fix)
    sizes: dict[str, int] = {}
    for name, (kinds, dims) in known.items():
        if name in arrays:
            fault = _fault(f"`{name}`", arrays[name], kinds, dims, sizes)
        else:
            fault = f"no array `{name}`" if name in wanted else None
        if fault:
            raise InputError(fault, path, fix)
    return arrays


def _fault(name: str, values: NDArray, kinds: str, dims: Dims | None, sizes: dict[str, int]) -> str | None:
    """What is wrong with an array's kind or shape; takes note of the sizes that letters stand for."""
    if values.dtype.kind not in kinds:
        return f"{name} of type {values.dtype!s:.20}"
    fits = dims is None or (
        values.ndim == len(dims)
        and all(
            size == (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted)
            for size, wanted in zip(values.shape, dims, strict=True)
        )
    )
    return None if fits else f"{name} of shape {values.shape}, not ({', '.join(map(str, dims or ()))})"


def read_npz(path: Path | str, names: Collection[str] | None = None, fix: str = "write it again") -> dict[str, NDArray]:
    """Arrays of an .npz file, those of `names` where given.

    Parameters
    ----------
    names : arrays that are wanted; others are not read. Those that are not there are left out of the result.
    fix : what to do about a file that cannot be read.

    Returns
    -------
    {name: array} of numbers or text.

    Raises
    ------
    InputError
        For what is no such file or is damaged, for an array of objects, and where the arrays would take far more memory
        than the file (20 times its size, or 64 MiB if that is more), before that memory is taken.
    """
    with open_file(path, "npz file", fix) as stream:
        stream.seek(0, 2)
        most = max(ALWAYS, INFLATED * stream.tell())
        try:
            with zipfile.ZipFile(stream) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                wanted = [name for name in members if names is None or name in names]
                size = sum(members[name].file_size for name in wanted)
                if size > most:
                    raise InputError(f"the arrays take {size:,} bytes, more than the file can mean", path, fix)
                result = {}
                for name in wanted:
                    with archive.open(members[name]) as member:
                        result[name] = _read_array(member, members[name].file_size)
                return result
        except InputError:
            raise
        except Exception as error:  # zip, zlib and NumPy's header raise a dozen types: each says that it is damaged
            raise InputError(f"not a readable .npz file ({error})", path, fix) from error


def _read_array(stream: IO[bytes], size: int) -> NDArray:
    """An array in NumPy's .npy format of so many bytes in all, header included."""
    return _read_values(stream, *_read_header(stream, size))


def _read_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type of an array whose values are the rest of `size` bytes."""
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"version {version} of the array format")
    shape, column_order, dtype = header(stream)
    if dtype.kind not in KINDS or dtype.itemsize == 0:
        raise ValueError(f"an array of type {dtype!s:.20}")
    count = math.prod(shape)
    if count < 0 or stream.tell() + count * dtype.itemsize != size:
        raise ValueError(f"shape {shape!s:.60} of {dtype!s:.20} does not fit its {size} bytes")
    return shape, column_order, dtype


def _read_values(stream: IO[bytes], shape: tuple[int, ...], column_order: bool, dtype: np.dtype) -> NDArray:
    content = memoryview(bytearray(math.prod(shape) * dtype.itemsize))  # of our own, so that it can be written to
    filled = 0
    while filled < len(content) and (count := stream.readinto(content[filled:])):  # type: ignore[attr-defined]  # files have it
        filled += count
    if filled < len(content):
        raise ValueError(f"{len(content) - filled} bytes are missing")
    values = np.frombuffer(content, dtype, math.prod(shape))
    return values.reshape(shape[::-1]).T if column_order else values.reshape(shape)


class RowWriter:
    """Adds rows of one shape and type to an array whose length is known at the end.

    It writes through a file: a memory map of a full disk would end the process (SIGBUS) instead of raising an error.
    """

    def __init__(self, stream: IO[bytes], shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._stream, self._shape, self._dtype = stream, shape, np.dtype(dtype)
        self.rows = 0
        self._write_header()

    def add(self, row: NDArray) -> None:
        """Add a row of the array's shape and type."""
        if row.shape != self._shape or row.dtype != self._dtype:
            raise ValueError(f"a row {row.dtype} {row.shape} for an array of {self._dtype} {self._shape}")
        self._stream.write(np.ascontiguousarray(row).data)
        self.rows += 1

    def close(self) -> None:
        """Write the true length over the first header, which numpy pads so that any length has room."""
        end = self._stream.tell()
        self._stream.seek(0)
        self._write_header()
        self._stream.seek(end)

    def _write_header(self) -> None:
        shape = (self.rows, *self._shape)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)


@contextlib.contextmanager
def whole_array(path: Path | str, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[RowWriter]:
    """A writer of rows (*shape) for the array (N, *shape) at `path`; raises InputError as `whole_file` does."""
    with whole_file(path, "wb") as stream:
        writer = RowWriter(stream, shape, dtype)
        yield writer
        writer.close()
