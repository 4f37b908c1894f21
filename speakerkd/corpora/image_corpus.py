"""What an image corpus is to us: class names, and splits of labelled pictures, each perhaps with a second sensor's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from speakerkd.data.bands import SUFFIXES
from speakerkd.data.derived_sensor import Derived
from speakerkd.data.sampler import fraction_of
from speakerkd.errors import InputError
from speakerkd.media.folders import Walk, need_folder, stem, walk_unused
from speakerkd.media.folders import subfolders as folders_of

T = TypeVar("T")

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(slots=True)
class Split:
    """Pictures of one split: keys and labels (N,), and either their files or their pixels (N, H, W[, C]).

    paired_files, paired_pixels: the same of the second sensor, row by row; empty and None where there is one sensor.
    """

    keys: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    pixels: np.ndarray | None = None
    paired_files: list[Path] = field(default_factory=list)
    paired_pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A sensor whose pictures are read as measured: its name, its channels, and the value that says nothing was."""

    name: str
    channels: int
    no_data: int | None = None


@dataclass(slots=True)
class ImageCorpus:
    """A corpus as found: its kind, the class names as people say them, and its splits `train` and `test`.

    refused: (key, reason) of pictures that are left out already, such as those without a partner. folders: the
    classes' names as the corpus's own folders have them, where they differ. sensors: names of the two, where known;
    measured: what they measure, where pictures are no ordinary ones. second: how one is made from the first.
    """

    kind: str
    classes: list[str]
    splits: dict[str, Split]
    refused: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    sensors: list[str] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    second: Derived | None = None

    @property
    def paired(self) -> bool:
        """Whether a second sensor saw what the first did."""
        return self.second is not None or any(
            split.paired_files or split.paired_pixels is not None for split in self.splits.values()
        )

    def with_classes(self, classes: list[str], number: dict[int, int]) -> ImageCorpus:
        """The pictures of some classes; number: {old label: new label}."""
        splits = {}
        for name, split in self.splits.items():
            rows = np.array([row for row, label in enumerate(split.labels) if label in number], np.int64)
            splits[name] = rows_of(split, rows)
            splits[name].labels = [number[label] for label in splits[name].labels]
        return replace(self, classes=classes, splits=splits, folders=[])


def left_out(corpus: ImageCorpus, *roots: Path | str) -> list[str]:
    """What lies below the corpus's folders and is not in it, by reason, a line each; of corpora of files."""
    splits = corpus.splits.values()
    used = [path for split in splits for path in (*split.files, *split.paired_files)]
    listed = {stem(name) for name, _ in corpus.refused}

    def why(name: str) -> str:
        parts = stem(name).split("/")  # of two sensors' folders in one tree, the names are without them
        names = {"/".join(parts), *("/".join(parts[:at] + parts[at + 1 :]) for at in range(len(parts)))}
        return "pictures without a partner (listed)" if names & listed else "pictures of no class that is taken"

    accounts = [walk_unused(root, used, SUFFIXES, why).account() for root in roots] if used else []
    return [text for text in accounts if text]


def readable(name: str) -> str:
    """A class folder's name as words: `aquarium_fish` is `aquarium fish`."""
    return " ".join(name.replace("_", " ").split())


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, hidden ones left out."""
    return folders_of(need_folder(folder, "such folder", "give the folder of the corpus"))


def pictures_below(folder: Path, root: Path | None = None) -> list[Path]:
    """Every picture and array below a folder, sorted, each once.

    root: of the corpus; a link to what lies elsewhere in it is not followed, since that is counted there.
    """
    root = root or folder
    return sorted(folder / name for name in Walk(root).files(SUFFIXES, below=str(folder.relative_to(root))))


def take(split: Split, root: Path, folder: Path, label: int) -> None:
    """Add every picture below a class's folder."""
    paths = pictures_below(folder, root)
    if not paths:
        raise InputError("a class folder without pictures", folder, "fetch its pictures, or remove the folder")
    split.files += paths
    split.keys += [str(path.relative_to(root)) for path in paths]
    split.labels += [label] * len(paths)


def split_off(train: Split, share: float, seed: int) -> Split:
    """Move a seeded share of each class, at least two pictures, from the training split to a test split."""
    labels = np.array(train.labels)
    test = fraction_of(labels, share, seed)
    left = np.setdiff1d(np.arange(len(labels)), test)
    emptied = np.setdiff1d(labels, labels[left])
    if len(emptied):
        folder = train.files[int(np.flatnonzero(labels == emptied[0])[0])].parent
        raise InputError(
            "too few pictures in a class to keep some for a test", folder, "add pictures, or a test folder"
        )
    moved, kept = rows_of(train, test), rows_of(train, left)
    train.files, train.keys, train.labels, train.paired_files = kept.files, kept.keys, kept.labels, kept.paired_files
    return moved


def rows_of(split: Split, rows: np.ndarray) -> Split:
    """The pictures at some rows."""

    def taken(values: list[T]) -> list[T]:
        return [values[i] for i in rows] if values else []

    def of(pixels: np.ndarray | None) -> np.ndarray | None:
        return None if pixels is None else pixels[rows]

    return Split(
        taken(split.keys),
        taken(split.labels),
        taken(split.files),
        of(split.pixels),
        taken(split.paired_files),
        of(split.paired_pixels),
    )


def distinct(names: list[str], where: Path) -> list[str]:
    """Readable names of class folders; two folders that read the same are an error."""
    texts = [readable(name) for name in names]
    for text in texts:
        if texts.count(text) > 1:
            raise InputError(f"two class folders read '{text}'", where, "rename one of them")
    return texts
