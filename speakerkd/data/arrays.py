"""NumPy's .npz files, read without unpickling and within bounds that the file's own size sets."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError
from speakerkd.work.reading import open_file

INFLATED = 8  # times the file's size that its arrays may take: numbers never shrink so far, padded names hardly
ALWAYS = 64 << 20  # bytes that they may take in any case
KINDS = "biufSU"  # booleans, numbers and text


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
        than the file (8 times its size, or 64 MiB if that is more), before that memory is taken.
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
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"version {version} of the array format")
    shape, column_order, dtype = header(stream)
    if dtype.kind not in KINDS or dtype.itemsize == 0:
        raise ValueError(f"an array of type {dtype}")
    count = 1
    for length in shape:
        count *= length
    if count < 0 or stream.tell() + count * dtype.itemsize != size:
        raise ValueError(f"shape {shape} of {dtype} does not fit its {size} bytes")
    values = np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)
    return values.reshape(shape[::-1]).T if column_order else values.reshape(shape)
