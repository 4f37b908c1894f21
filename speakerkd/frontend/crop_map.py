"""The aligned face crops of a data directory, decoded once into one array that is read as a memory map."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from speakerkd.data.datadir import read_table
from speakerkd.errors import InputError
from speakerkd.media.packed import read_placed
from speakerkd.work.arrays import read_array, whole_array
from speakerkd.work.origin import Stamp

SIDE = 112
REMAKE = "run `speakerkd faces` again"


def crop_map(directory: Path | str) -> tuple[dict[str, int], np.ndarray]:
    """The crops that aligned.scp names, each path once: {utterance: position}, and a memory map.

    The map (N, 112, 112, 3) uint8 RGB is made as `aligned.npy` in the directory where it is missing or stale.
    Raises InputError for a table or picture that is missing, not a picture, or of another size.
    """
    directory = Path(directory)
    table = read_table(directory / "aligned.scp")
    paths = list(dict.fromkeys(table.values()))
    position_of = {path: position for position, path in enumerate(paths)}
    output = directory / "aligned.npy"
    stamp = Stamp(output, [directory / "aligned.scp", directory / "aligned.scp.made.json"], side=SIDE)
    if not stamp.is_current():
        _write(output, paths)
        stamp.write()
    fix = f"remove {output} and run this again"
    crops = read_array(output, fix, "u", (len(paths), SIDE, SIDE, 3), memory_map=True)
    return {key: position_of[path] for key, path in table.items()}, crops


def _write(output: Path, paths: Sequence[str]) -> None:
    with whole_array(output, (SIDE, SIDE, 3), np.uint8) as array, ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), 256):  # in blocks, so that memory stays flat; PIL decodes outside the lock
            for crop in pool.map(_read, paths[start : start + 256]):
                array.add(crop)


def _read(path: str) -> np.ndarray:
    try:
        crop = read_placed(path)
    except InputError as error:
        raise InputError(f"a face crop that cannot be read: {error.what}", path, REMAKE) from error
    if crop.shape != (SIDE, SIDE, 3):
        raise InputError(f"a face crop of {crop.shape[1]} x {crop.shape[0]}, not {SIDE} x {SIDE}", path, REMAKE)
    return crop
