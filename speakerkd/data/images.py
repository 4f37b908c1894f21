"""The image directory: classes, labels and pixels that training reads without decoding.

classes.txt                the name of class k on line k + 1; what a text teacher reads
images.json                where it came from, size and channels, mean and std of the training pixels
<split>/labels.npy         (N,) int64
<split>/keys.txt           the picture's path below the source, one a line
<split>/images.npy         (N, H, W, C) uint8 (RGB), uint16 or float32, read as a memory map; or, where that would not
<split>/files.txt          fit, the picture's path, one a line, decoded when it is asked for
paired/                    of two sensors: an image directory of the second one's pictures, row by row of the same scene
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel

from speakerkd.data.bands import read_channels, unit_scale
from speakerkd.errors import InputError, nearest
from speakerkd.work.arrays import Dims, read_array
from speakerkd.work.records import read_json, read_text

MOST_LIST = 4 << 30  # bytes of a list of pictures
MAKE = "make it with `speakerkd prepare images DIR --root SOURCE`"
MAKE_PAIRS = "make it with `speakerkd prepare images DIR --root STUDENT --teacher-root TEACHER`"
PAIRED = "paired"
Sensor = Literal["first", "second", "both"]


@dataclass(slots=True)
class ImageSet:
    """One split of an image directory.

    classes: K names. labels: (N,) int64 in [0, K). size: (H, W). mean, std: (C,) of the training pixels, integers
    scaled to [0, 1]. pixels: (N, H, W, C) memory map of uint8, uint16 or float32, or None where pictures are decoded
    when asked for, from `files`, or stacked: the channels of several sensors' pictures, `stack`, one after the other.
    """

    classes: list[str]
    labels: np.ndarray
    keys: list[str]
    size: tuple[int, int]
    mean: np.ndarray
    std: np.ndarray
    pixels: np.ndarray | None
    files: list[str] = field(default_factory=list)
    stack: list[ImageSet] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """Channels of a picture, C."""
        return len(self.mean)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The pictures at `indices` (B,), (B, H, W, C), as they are stored; stacked ones of unlike types as float32."""
        if self.stack:
            parts = [one.read(indices) for one in self.stack]
            if len({part.dtype for part in parts}) > 1:
                parts = [np.divide(part, unit_scale(part.dtype), dtype=np.float32) for part in parts]
            return np.concatenate(parts, 3)
        if self.pixels is not None:
            return np.asarray(self.pixels[indices])
        with ThreadPoolExecutor() as pool:  # the decoders leave the interpreter free
            read = functools.partial(read_channels, size=self.size[0], channels=self.channels)
            return np.stack(list(pool.map(lambda i: read(self.files[i]), indices)))


def read_classes(directory: Path | str) -> list[str]:
    """The class names of an image directory, in the order of the labels."""
    path = Path(directory) / "classes.txt"
    if not path.is_file():
        raise InputError("no class names", path, MAKE)
    names = [line.strip() for line in read_text(path, "save it as text, one class a line").splitlines() if line.strip()]
    if not names:
        raise InputError("no class names in it", path, MAKE)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"class '{repeated[0]}' stands there twice", path, "give each class its own name")
    return names


def read_images(directory: Path | str, split: str = "train") -> ImageSet:
    """Open one split of an image directory; pictures are read when they are asked for.

    Parameters
    ----------
    directory: made by `speakerkd prepare images`.
    split: `train`, `test` or another that is there.

    Raises
    ------
    InputError: where the directory, the split or a file of it is missing, or where files disagree.
    """
    directory = Path(directory)
    about = _about(directory)
    folder = directory / split
    if split not in about.splits:
        raise InputError(f"no split '{split}'", directory, nearest(split, about.splits))
    classes = read_classes(directory)
    labels = _array(folder / "labels.npy", "iu", ("pictures",))
    keys = _lines(folder / "keys.txt")
    height, width = about.size
    files = _lines(folder / "files.txt") if about.stored == "files" else []
    pixels = (
        _array(folder / "images.npy", "uf", ("N", "H", "W", "C"), memory_map=True) if about.stored == "array" else None
    )
    counts = {len(labels), len(keys), len(pixels if pixels is not None else files), about.splits[split]}
    if len(counts) > 1 or (pixels is not None and pixels.shape[1:] != (height, width, len(about.mean))):
        raise InputError("pictures, labels and keys do not belong together", folder, "remove the directory and " + MAKE)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise InputError(f"labels reach {labels.max()} for {len(classes)} classes", directory / "classes.txt", MAKE)
    return ImageSet(classes, labels, keys, (height, width), np.array(about.mean), np.array(about.std), pixels, files)


def read_pair(directory: Path | str, split: str = "train") -> tuple[ImageSet, ImageSet]:
    """Both sensors' pictures of one split: row i of the two shows the same scene.

    Raises InputError where the directory is of one sensor, or the two do not belong together.
    """
    directory = Path(directory)
    if not has_pairs(directory):
        raise InputError("an image directory of one sensor", directory, MAKE_PAIRS)
    first, second = read_images(directory, split), read_images(directory / PAIRED, split)
    if first.keys != second.keys or first.classes != second.classes or (first.labels != second.labels).any():
        raise InputError("the two sensors' pictures do not belong together", directory, "remove it and " + MAKE_PAIRS)
    return first, second


def read_sensor(directory: Path | str, split: str = "train", sensor: Sensor = "first") -> ImageSet:
    """One sensor's pictures of a split, or both sensors' stacked.

    Parameters
    ----------
    directory, split: as in `read_images`.
    sensor: `first`, `second`, or `both`: the channels of the first, then of the second.

    Raises
    ------
    InputError: as `read_images`, and for `second` or `both` of a directory of one sensor.
    """
    if sensor == "first":
        return read_images(directory, split)
    first, second = read_pair(directory, split)
    if sensor == "second":
        return second
    mean, std = np.concatenate([first.mean, second.mean]), np.concatenate([first.std, second.std])
    return ImageSet(first.classes, first.labels, first.keys, first.size, mean, std, None, stack=[first, second])


def sensor_names(directory: Path | str) -> list[str]:
    """The names of the sensors of an image directory, as it was made; ["first", "second"] where none are recorded."""
    return _about(Path(directory)).sensors or ["first", "second"]


def has_pairs(directory: Path | str) -> bool:
    """Whether an image directory holds a second sensor's pictures."""
    return (Path(directory) / PAIRED / "images.json").is_file()


class Moments:
    """Mean and standard deviation a channel of pictures, integers scaled to [0, 1], summed up as they pass."""

    def __init__(self) -> None:
        self.count, self.scale = 0, 1.0
        self.total = self.square = np.zeros(0)

    def add(self, picture: np.ndarray) -> None:
        """picture: (..., C), all of one dtype."""
        values = picture.reshape(-1, picture.shape[-1]).astype(np.float64)  # sums of whole numbers are exact
        if not self.count:
            self.total, self.square = np.zeros((2, values.shape[1]))
            self.scale = unit_scale(picture.dtype)
        self.count += len(values)
        self.total += values.sum(0)
        self.square += np.einsum("nc,nc->c", values, values)

    def result(self) -> tuple[list[float], list[float]]:
        """(mean, std), a number a channel each."""
        mean = self.total / self.count
        variance = np.maximum(self.square / self.count - mean**2, 0)
        return (mean / self.scale).tolist(), (np.sqrt(variance) / self.scale).tolist()


class About(BaseModel):
    """Content of images.json."""

    kind: str = ""
    size: tuple[int, int]
    stored: Literal["array", "files"]
    mean: list[float]
    std: list[float]
    splits: dict[str, int]
    sensors: list[str] = []


def _about(directory: Path) -> About:
    path = directory / "images.json"
    if not path.is_file():
        raise InputError("not an image directory", directory, MAKE)
    return read_json(path, About, "remove the directory and " + MAKE)


def _array(path: Path, kinds: str, dims: Dims, memory_map: bool = False) -> np.ndarray:
    return read_array(path, "remove the directory and " + MAKE, kinds, dims, memory_map=memory_map)


def _lines(path: Path) -> list[str]:
    text = read_text(path, "remove the directory and " + MAKE, MOST_LIST)
    return text.split("\n")[:-1]  # splitlines would also break at characters that names may hold
