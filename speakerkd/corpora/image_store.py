"""The pictures of an image corpus, decoded once, as an image directory."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speakerkd.corpora.image_corpus import ImageCorpus, Measured, Split
from speakerkd.data.bands import channels_size, fitted, read_channels
from speakerkd.data.derived_sensor import edges
from speakerkd.data.images import PAIRED, Moments
from speakerkd.data.raster import read_measured
from speakerkd.errors import InputError
from speakerkd.work import shards
from speakerkd.work.arrays import RowWriter, whole_array
from speakerkd.work.files import naming, whole_dir, write_json
from speakerkd.work.lock import locked
from speakerkd.work.origin import Stamp, state
from speakerkd.work.rejected import Rejected

LARGEST = 256  # pixels a side where pictures differ in size and none was asked for: enough for crops of 224


def store_images(
    corpus: ImageCorpus,
    output: Path | str,
    *,
    size: int | None = None,
    channels: int | None = None,
    store: str = "auto",
    jobs: int = 1,
    max_rejected: float = 0.01,
) -> Rejected | None:
    """Write an image directory (see `speakerkd.data.images`), whole or not at all; None where it is up to date.

    size: pixels a side that are kept; None keeps the pictures' own size, or at most 256 where sizes differ. Of two
    sensors, None wants every pair of one size, a number brings both to it.
    channels: 1 for grey, 3 for RGB; None: RGB, and of arrays and TIFF with bands all there are.
    store: `array` decodes into one memory-mapped array a split, `files` keeps the paths, `auto` takes the array where
    it fills at most half of the free disk space. max_rejected: share of pictures (pairs) that may be refused.
    """
    output = Path(output)
    if store not in ("auto", "array", "files"):
        raise InputError(f"no such way to store pictures '{store}'", "--store", "known: auto, array, files")
    if size is not None and not 8 <= size <= 1024:
        raise InputError(f"a size of {size} pixels", "--size", "give a number from 8 to 1024")
    exact = corpus.paired and not corpus.second and size is None
    size = size or _size(corpus)
    settings: dict[str, Any] = {"kind": corpus.kind, "size": size, "store": store, "listing": _listing(corpus)}
    if channels is not None:
        settings["channels"] = channels
    if corpus.sensors:
        settings["sensors"] = [repr(sensor) for sensor in corpus.measured] or corpus.sensors
    stamp = Stamp(output, [], **settings)
    if stamp.is_current():
        return None
    if corpus.measured and store == "files":
        raise InputError("measured pictures are kept as an array", "--store", "leave it out")
    if corpus.second and store == "files":
        raise InputError("a sensor that is made is kept as an array", "--store", "leave it out")
    as_array = bool(corpus.measured or corpus.second) or (
        _decide(corpus, output, size) if store == "auto" else store == "array"
    )
    rejected = Rejected(output, max_rejected)
    for key, reason in corpus.refused:
        rejected.refuse(key, reason)
    with naming(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with locked(output.with_name(f".{output.name}.lock"), "speakerkd prepare images"), whole_dir(output) as folder:
        sides = [_Side(folder, corpus.kind, size, as_array)]
        if corpus.paired:
            sides.append(_Side(folder / PAIRED, corpus.kind, size, as_array))
        filled = Filled([0] * len(sides), [0] * len(sides))
        trained: list[int] = []
        for name, split in corpus.splits.items():
            for side in sides:
                side.begin(name)
            kept = []
            label = f"{output.name} {name}"
            for row, pictures, missing in _pictures(corpus, split, size, channels, exact, jobs, label):
                if not isinstance(pictures, InputError):
                    pictures = [*pictures, edges(pictures[0])] if corpus.second else pictures
                    pictures = _unlike(sides, pictures) or pictures
                if isinstance(pictures, InputError):
                    rejected.refuse(split.keys[row], pictures)
                    continue
                for side, picture in zip(sides, pictures, strict=True):
                    side.add(picture)
                filled.add(missing)
                kept.append(row)
            keys, labels = [split.keys[row] for row in kept], [split.labels[row] for row in kept]
            for side, files in zip(sides, (split.files, split.paired_files), strict=False):
                side.end(keys, labels, [files[row] for row in kept] if files else [])
            rejected.take(len(kept))
            if name == "train":
                trained = labels
        rejected.close()
        _every_class(corpus.classes, trained, output)
        for number, side in enumerate(sides):
            about: dict[str, object] = {} if number or not corpus.sensors else {"sensors": corpus.sensors}
            if corpus.measured:
                about["filled"] = {"pixels": filled.pixels[number], "pictures": filled.pictures[number]}
            side.close(corpus.classes, about)
    rejected.notes += filled.notes(corpus.sensors)
    stamp.write()
    return rejected


@dataclass(slots=True)
class Filled:
    """How many pixels of how many pictures were not measured and took another value, a number a sensor."""

    pixels: list[int]
    pictures: list[int]

    def add(self, missing: Sequence[int]) -> None:
        """Count the pixels of one picture of each sensor."""
        for side, count in enumerate(missing):
            self.pixels[side] += count
            self.pictures[side] += count > 0

    def notes(self, sensors: Sequence[str]) -> list[str]:
        """A sentence for each sensor of which pixels were filled."""
        return [
            f"{pixels} pixels of {pictures} {name} pictures were not measured and took the median"
            for pixels, pictures, name in zip(self.pixels, self.pictures, sensors or ("",) * 2, strict=False)
            if pixels
        ]


class _Side:
    """One sensor's image directory as it fills, split by split."""

    def __init__(self, folder: Path, kind: str, size: int, as_array: bool) -> None:
        self.folder, self.kind, self.size, self.as_array = folder, kind, size, as_array
        self.like: np.ndarray | None = None  # the first picture, which tells channels and type of all
        self.moments = Moments()
        self.counts: dict[str, int] = {}
        self.split = ""
        self.writer: RowWriter | None = None
        self.open = contextlib.ExitStack()

    def begin(self, split: str) -> None:
        self.split, self.writer = split, None
        (self.folder / split).mkdir(parents=True)

    def add(self, picture: np.ndarray) -> None:
        if self.like is None:
            self.like = picture
        if self.split == "train":
            self.moments.add(picture)
        if self.as_array:
            if self.writer is None:
                path = self.folder / self.split / "images.npy"
                self.writer = self.open.enter_context(whole_array(path, picture.shape, picture.dtype))
            self.writer.add(picture)

    def end(self, keys: list[str], labels: list[int], files: list[Path]) -> None:
        folder = self.folder / self.split
        if self.writer is not None:
            self.open.close()
        elif self.as_array:  # an empty split
            channels = 3 if self.like is None else self.like.shape[2]
            np.save(folder / "images.npy", np.zeros((0, self.size, self.size, channels), np.uint8))
        else:
            _write_lines(folder / "files.txt", [str(path.absolute()) for path in files])
        _write_lines(folder / "keys.txt", keys)
        np.save(folder / "labels.npy", np.array(labels, np.int64))
        self.counts[self.split] = len(keys)

    def close(self, classes: list[str], more: dict[str, object]) -> None:
        mean, std = self.moments.result()
        about: dict[str, object] = {
            "kind": self.kind,
            "size": [self.size, self.size],
            "stored": "array" if self.as_array else "files",
        }
        about |= more
        write_json(self.folder / "images.json", {**about, "mean": mean, "std": std, "splits": self.counts})
        _write_lines(self.folder / "classes.txt", classes)


def _unlike(sides: list[_Side], pictures: list[np.ndarray]) -> InputError | None:
    """Why these pictures do not go with those before them."""
    for side, picture in zip(sides, pictures, strict=True):
        like = side.like
        if like is not None and (picture.shape[2] != like.shape[2] or picture.dtype != like.dtype):
            return InputError(
                f"{picture.shape[2]} channels of {picture.dtype}, those before had {like.shape[2]} of {like.dtype}",
                side.folder.name if side.folder.name == PAIRED else "the picture",
                "give pictures of one kind",
            )
    return None


def _pictures(
    corpus: ImageCorpus, split: Split, size: int, channels: int | None, exact: bool, jobs: int, label: str
) -> Iterator[tuple[int, list[np.ndarray] | InputError, Sequence[int]]]:
    """Row, pictures (one, or a pair) of a split or why they are refused, and pixels of each that were not measured."""
    if split.pixels is not None:
        own = split.pixels.shape[1]
        if own != size:
            raise InputError(
                f"pictures of {own} pixels, {size} asked for",
                "--size",
                "leave it out; data.view.size in the training config enlarges them",
            )
        sides = [split.pixels] if split.paired_pixels is None else [split.pixels, split.paired_pixels]
        sides = [side if side.ndim == 4 else side[..., None] for side in sides]
        yield from ((row, list(pictures), ()) for row, pictures in enumerate(zip(*sides, strict=True)))
        return
    named = [_nameable(key) for key in split.keys]
    paths = (
        list(zip(split.files, split.paired_files, strict=True)) if split.paired_files else [(p,) for p in split.files]
    )
    read = functools.partial(_read, size=size, channels=channels, exact=exact, measured=corpus.measured)
    for row, (_, outcome) in enumerate(shards.each(read, zip(paths, named, strict=True), jobs=jobs, label=label)):
        if isinstance(outcome, InputError):
            yield row, outcome, ()
        else:
            yield row, *outcome


def _read(
    item: tuple[tuple[Path, ...], bool],
    size: int,
    channels: int | None,
    exact: bool,
    measured: Sequence[Measured],
) -> tuple[list[np.ndarray], list[int]]:
    """Pictures of the size that is kept, and pixels of each that were not measured."""
    paths, nameable = item
    if not nameable:
        raise InputError("a file name that is not UTF-8 text on one line", repr(str(paths[0])), "rename the file")
    if measured:
        pictures = [read_measured(path, one.channels, one.no_data) for path, one in zip(paths, measured, strict=True)]
        first, second = (values.shape for values, _ in pictures)
        _alike(paths, (first[0], first[1]), (second[0], second[1]), exact)
        return [fitted(values, size) for values, _ in pictures], [missing for _, missing in pictures]
    if len(paths) == 2:
        _alike(paths, channels_size(paths[0]), channels_size(paths[1]), exact)
    return [read_channels(path, size, channels) for path in paths], []


def _alike(paths: tuple[Path, ...], size: tuple[int, int] | None, size2: tuple[int, int] | None, exact: bool) -> None:
    """Raise InputError where places in two pictures do not correspond: other sizes (H, W), or another shape."""
    if size is None or size2 is None:
        return  # refused, with its reason, when it is read
    (h, w), (h2, w2) = size, size2
    first, second = paths
    if exact and (h, w) != (h2, w2):
        fix = "give --size, which brings both to one size"
        raise InputError(f"a pair of {w} x {h} and {w2} x {h2} pixels", f"{first} and {second}", fix)
    if abs(w / h - w2 / h2) > 0.02 * w / h:
        fix = "cut both to the same scene"
        raise InputError(f"a pair of other shapes, {w} x {h} and {w2} x {h2}", f"{first} and {second}", fix)


def _nameable(key: str) -> bool:
    return not {"\n", "\r"} & set(key) and key.encode("utf-8", "replace").decode("utf-8") == key


def _size(corpus: ImageCorpus) -> int:
    """The shorter side of the training pictures, judged by a thousand of them; at most 256 where they differ."""
    train = corpus.splits["train"]
    if train.pixels is not None:
        return train.pixels.shape[1]
    files = train.files[:: max(1, len(train.files) // 1000)]
    shapes = [_measured_size(path, corpus.measured[0]) if corpus.measured else channels_size(path) for path in files]
    sides = [min(shape) for shape in shapes if shape]
    if not sides:
        raise InputError("no readable picture", train.files[0].parent, "check that the corpus is whole")
    return sides[0] if min(sides) == max(sides) else min(LARGEST, int(np.median(sides)))


def _measured_size(path: Path, sensor: Measured) -> tuple[int, ...] | None:
    try:
        return read_measured(path, sensor.channels)[0].shape[:2]
    except InputError:
        return None  # refused, with its reason, when it is read


def _decide(corpus: ImageCorpus, output: Path, size: int) -> bool:
    if any(split.pixels is not None for split in corpus.splits.values()):
        return True
    need = sum(len(split.labels) for split in corpus.splits.values()) * size * size * 3 * (1 + corpus.paired)
    parent = next(path for path in output.absolute().parents if path.is_dir())
    return need <= shutil.disk_usage(parent).free // 2


def _every_class(classes: list[str], labels: list[int], where: Path) -> None:
    lost = set(range(len(classes))) - set(labels)
    if lost:
        name = classes[min(lost)]
        raise InputError(f"no readable training picture of class '{name}'", where, "fetch its pictures again")


def _listing(corpus: ImageCorpus) -> str:
    """Digest of what went in: names, labels, and each file as it is, or the pixels themselves."""
    digest = hashlib.sha256(repr(corpus.classes).encode())
    for name, split in sorted(corpus.splits.items()):
        digest.update(repr((name, split.keys, split.labels)).encode())
        if split.pixels is not None:
            digest.update(np.ascontiguousarray(split.pixels).data)
        if split.paired_pixels is not None:
            digest.update(np.ascontiguousarray(split.paired_pixels).data)
        for path in (*split.files, *split.paired_files):
            digest.update(state(path).encode())
    return digest.hexdigest()[:16]


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
