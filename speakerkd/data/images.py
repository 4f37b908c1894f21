"""The image directory: classes, labels and pixels that training reads without decoding.

classes.txt                the name of class k on line k + 1; what a text teacher reads
images.json                where it came from, size of the pictures, mean and std of the training pixels
<split>/labels.npy         (N,) int64
<split>/keys.txt           the picture's path below the source, one a line
<split>/images.npy         (N, H, W, 3) uint8 RGB, read as a memory map; or, where that would not fit,
<split>/files.txt          the picture's path, one a line, decoded when it is asked for
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from speakerkd.data.pixels import read_image
from speakerkd.errors import InputError, nearest

MADE_BY = "make it with `speakerkd prepare images SOURCE DIR`"


@dataclass(slots=True)
class ImageSet:
    """One split of an image directory.

    classes: K names. labels: (N,) int64 in [0, K). size: (H, W). mean, std: (3,) of the training pixels in [0, 1].
    pixels: (N, H, W, 3) uint8 memory map, or None where pictures are decoded when asked for, from `files`.
    """

    classes: list[str]
    labels: np.ndarray
    keys: list[str]
    size: tuple[int, int]
    mean: np.ndarray
    std: np.ndarray
    pixels: np.ndarray | None
    files: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The pictures at `indices` (B,) as uint8 (B, H, W, 3)."""
        if self.pixels is not None:
            return np.asarray(self.pixels[indices])
        with ThreadPoolExecutor() as pool:  # the decoders leave the interpreter free
            return np.stack(list(pool.map(lambda i: read_image(self.files[i], self.size[0]), indices)))


def read_classes(directory: Path | str) -> list[str]:
    """The class names of an image directory, in the order of the labels."""
    path = Path(directory) / "classes.txt"
    if not path.is_file():
        raise InputError("no class names", path, MADE_BY)
    names = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"class '{repeated[0]}' stands there twice", path, "give each class its own name")
    return names


def read_images(directory: Path | str, split: str = "train") -> ImageSet:
    """Open one split of an image directory.

    Raises InputError where the directory, the split or a file of it is missing, or where files disagree.
    """
    directory = Path(directory)
    about = _about(directory)
    folder = directory / split
    if split not in about["splits"]:
        raise InputError(f"no split '{split}'", directory, nearest(split, about["splits"]))
    classes = read_classes(directory)
    labels = _array(folder / "labels.npy")
    keys = _lines(folder / "keys.txt")
    height, width = about["size"]
    files = _lines(folder / "files.txt") if about["stored"] == "files" else []
    pixels = _array(folder / "images.npy", memory_map=True) if about["stored"] == "array" else None
    counts = {len(labels), len(keys), len(pixels if pixels is not None else files), about["splits"][split]}
    if len(counts) > 1 or (pixels is not None and pixels.shape[1:] != (height, width, 3)):
        raise InputError(
            "pictures, labels and keys do not belong together", folder, "remove the directory and " + MADE_BY
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise InputError(f"labels reach {labels.max()} for {len(classes)} classes", directory / "classes.txt", MADE_BY)
    return ImageSet(
        classes, labels, keys, (height, width), np.array(about["mean"]), np.array(about["std"]), pixels, files
    )


class Moments:
    """Mean and standard deviation a channel of uint8 pictures in [0, 1], summed up exactly as they pass."""

    def __init__(self) -> None:
        self.counts = np.zeros((3, 256), np.int64)

    def add(self, picture: np.ndarray) -> None:
        """picture: uint8 (..., 3)."""
        for channel in range(3):
            self.counts[channel] += np.bincount(picture[..., channel].ravel(), minlength=256)

    def result(self) -> tuple[list[float], list[float]]:
        """(mean, std), three numbers each."""
        values = np.arange(256) / 255
        share = self.counts / self.counts.sum(1, keepdims=True)
        mean = share @ values
        variance = (share * (values - mean[:, None]) ** 2).sum(1)
        return mean.tolist(), np.sqrt(variance).tolist()


def _about(directory: Path) -> dict[str, Any]:
    path = directory / "images.json"
    if not path.is_file():
        raise InputError("not an image directory", directory, MADE_BY)
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError("not valid JSON", path, "remove the directory and " + MADE_BY) from error


def _array(path: Path, memory_map: bool = False) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError("a file of the image directory is missing", path, MADE_BY) from error
    except (ValueError, EOFError) as error:
        raise InputError(f"not a whole array ({error})", path, "remove the directory and " + MADE_BY) from error


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError("a file of the image directory is missing", path, MADE_BY)
    return path.read_text("utf-8").split("\n")[:-1]  # splitlines would also break at characters that names may hold
