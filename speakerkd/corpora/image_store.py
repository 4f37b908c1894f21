"""The pictures of an image corpus, decoded once, as an image directory."""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speakerkd.corpora.images import ImageCorpus, Split
from speakerkd.data.images import Moments
from speakerkd.data.pixels import image_size, read_image
from speakerkd.errors import InputError
from speakerkd.work import shards
from speakerkd.work.files import Stamp, whole_dir, write_json
from speakerkd.work.rejected import Rejected

LARGEST = 256  # pixels a side where pictures differ in size and none was asked for: enough for crops of 224


def store_images(
    corpus: ImageCorpus,
    output: Path | str,
    *,
    size: int | None = None,
    store: str = "auto",
    jobs: int = 1,
    max_rejected: float = 0.01,
) -> Rejected | None:
    """Write an image directory (see `speakerkd.data.images`), whole or not at all; None where it is up to date.

    size: pixels a side that are kept; None keeps the pictures' own size, or at most 256 where sizes differ.
    store: `array` decodes into one memory-mapped array a split, `files` keeps the paths, `auto` takes the array where
    it fills at most half of the free disk space. max_rejected: share of pictures that may be refused.
    """
    output = Path(output)
    if store not in ("auto", "array", "files"):
        raise InputError(f"no such way to store pictures '{store}'", "--store", "known: auto, array, files")
    if size is not None and not 8 <= size <= 1024:
        raise InputError(f"a size of {size} pixels", "--size", "give a number from 8 to 1024")
    size = size or _size(corpus)
    stamp = Stamp(output, [], kind=corpus.kind, size=size, store=store, listing=_listing(corpus))
    if stamp.is_current():
        return None
    as_array = _decide(corpus, output, size) if store == "auto" else store == "array"
    rejected = Rejected(output, max_rejected)
    moments = Moments()
    with whole_dir(output) as folder:
        counts = {}
        for name, split in corpus.splits.items():
            (folder / name).mkdir()
            writer = _ArrayWriter(folder / name, len(split.labels), size) if as_array else None
            kept = []
            for row, picture in _pictures(split, size, jobs, f"{output.name} {name}"):
                if isinstance(picture, InputError):
                    rejected.refuse(split.keys[row], picture)
                    continue
                if name == "train":
                    moments.add(picture)
                if writer is not None:
                    writer.add(picture)
                kept.append(row)
            if writer is not None:
                writer.close()
            else:
                _write_lines(folder / name / "files.txt", [str(split.files[row].absolute()) for row in kept])
            rejected.take(len(kept))
            counts[name] = len(kept)
            _write_lines(folder / name / "keys.txt", [split.keys[row] for row in kept])
            np.save(folder / name / "labels.npy", np.array([split.labels[row] for row in kept], np.int64))
            if name == "train":
                _every_class(corpus.classes, [split.labels[row] for row in kept], output)
        rejected.close()
        mean, std = moments.result()
        about = {"kind": corpus.kind, "size": [size, size], "stored": "array" if as_array else "files"}
        write_json(folder / "images.json", {**about, "mean": mean, "std": std, "splits": counts})
        _write_lines(folder / "classes.txt", corpus.classes)
    stamp.write()
    return rejected


class _ArrayWriter:
    """Fills a memory-mapped array of N pictures, and shortens it at the end where some were refused."""

    def __init__(self, folder: Path, count: int, size: int) -> None:
        self.path = folder / "images.npy"
        self.array = np.lib.format.open_memmap(self.path, "w+", np.uint8, (count, size, size, 3))
        self.filled = 0

    def add(self, picture: np.ndarray) -> None:
        self.array[self.filled] = picture
        self.filled += 1

    def close(self) -> None:
        self.array.flush()
        if self.filled < len(self.array):
            shorter = self.path.with_name("images.part.npy")
            np.save(shorter, self.array[: self.filled])
            shorter.replace(self.path)


def _pictures(split: Split, size: int, jobs: int, label: str) -> Iterator[tuple[int, np.ndarray | InputError]]:
    if split.pixels is not None:
        if split.pixels.shape[1] != size:
            own = split.pixels.shape[1]
            raise InputError(
                f"pictures of {own} pixels, {size} asked for",
                "--size",
                "leave it out; image.size in the training config enlarges them",
            )
        yield from enumerate(split.pixels)
        return
    named = [_nameable(key) for key in split.keys]
    decoded = shards.each(
        functools.partial(_read, size=size), zip(split.files, named, strict=True), jobs=jobs, label=label
    )
    for row, (_, picture) in enumerate(decoded):
        yield row, picture


def _read(item: tuple[Path, bool], size: int) -> np.ndarray:
    path, nameable = item
    if not nameable:
        raise InputError("a file name that is not UTF-8 text on one line", repr(str(path)), "rename the file")
    return read_image(path, size)


def _nameable(key: str) -> bool:
    return not {"\n", "\r"} & set(key) and key.encode("utf-8", "replace").decode("utf-8") == key


def _size(corpus: ImageCorpus) -> int:
    """The shorter side of the training pictures, judged by a thousand of them; at most 256 where they differ."""
    train = corpus.splits["train"]
    if train.pixels is not None:
        return train.pixels.shape[1]
    found = [image_size(path) for path in train.files[:: max(1, len(train.files) // 1000)]]
    sides = [min(shape) for shape in found if shape]
    if not sides:
        raise InputError("no readable picture", train.files[0].parent, "check that the corpus is whole")
    return sides[0] if min(sides) == max(sides) else min(LARGEST, int(np.median(sides)))


def _decide(corpus: ImageCorpus, output: Path, size: int) -> bool:
    if any(split.pixels is not None for split in corpus.splits.values()):
        return True
    need = sum(len(split.labels) for split in corpus.splits.values()) * size * size * 3
    place = next(path for path in output.absolute().parents if path.is_dir())
    return need <= shutil.disk_usage(place).free // 2


def _every_class(classes: list[str], labels: list[int], where: Path) -> None:
    lost = set(range(len(classes))) - set(labels)
    if lost:
        name = classes[min(lost)]
        raise InputError(f"no readable training picture of class '{name}'", where, "fetch its pictures again")


def _listing(corpus: ImageCorpus) -> str:
    """Digest of what went in: names, labels, and each file's length and time, or the pixels themselves."""
    digest = hashlib.sha256(repr(corpus.classes).encode())
    for name, split in sorted(corpus.splits.items()):
        digest.update(repr((name, split.keys, split.labels)).encode())
        if split.pixels is not None:
            digest.update(np.ascontiguousarray(split.pixels))
        for path in split.files:
            try:
                status = path.stat()
            except OSError:
                continue  # refused, with its reason, when it is read
            digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
