"""Image corpora as their owners ship them: CIFAR-10 and -100, Tiny-ImageNet-200, and any tree with a folder a class."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from speakerkd.data.pixels import SUFFIXES
from speakerkd.data.sampler import fraction_of
from speakerkd.errors import InputError

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "val", "valid", "validation")
DIGITS = "digits"
TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
TINY_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
DOWNLOAD = "give the folder that holds it, or fetch it with --download"


@dataclass(slots=True)
class Split:
    """Pictures of one split: keys and labels (N,), and either their files or their pixels (N, H, W, 3) uint8."""

    keys: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    pixels: np.ndarray | None = None


@dataclass(slots=True)
class ImageCorpus:
    """A corpus as found: its kind, the class names as people say them, and its splits `train` and `test`."""

    kind: str
    classes: list[str]
    splits: dict[str, Split]


def find_corpus(
    source: Path | str | None, kind: str = "auto", *, test_share: float = 0.2, seed: int = 0, download: bool = False
) -> ImageCorpus:
    """List the pictures of a corpus without decoding them.

    source: the corpus's folder, None for digits. kind: cifar10, cifar100, tiny_imagenet, folder, digits, or auto, which
    looks at what lies there.
    test_share, seed: for a tree that comes without a test split, the share of each class that is kept for one.
    Raises InputError for a corpus that is missing, incomplete or damaged, and for an empty class folder.
    """
    if not 0 < test_share < 1:
        raise InputError(f"a test share of {test_share}", "--test-share", "give a number between 0 and 1, such as 0.2")
    if kind == DIGITS:
        return _digits(test_share, seed)
    if source is None:
        raise InputError("no corpus is named", "--root", "give its folder, or --kind digits, which needs none")
    source = Path(source)
    kind = _kind(source) if kind == "auto" else kind
    readers = {"cifar10": _cifar, "cifar100": _cifar, "tiny_imagenet": _tiny_imagenet, "folder": _folder}
    if kind not in readers:
        raise InputError(f"no such kind of corpus '{kind}'", "--kind", "known: auto, digits, " + ", ".join(readers))
    if kind == "folder":
        if download:
            raise InputError("only CIFAR and Tiny-ImageNet can be fetched", "--download", "name one with --kind")
        return _folder(source, test_share, seed)
    return readers[kind](source, kind, download)


def readable(name: str) -> str:
    """A class folder's name as words: `aquarium_fish` is `aquarium fish`."""
    return " ".join(name.replace("_", " ").split())


def _kind(source: Path) -> str:
    for folder in (source, source.parent):
        for kind, mark in (("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")):
            if (folder / mark).is_dir() and (folder == source or source.name == mark):
                return kind
    if (source / "wnids.txt").is_file() or (source / "tiny-imagenet-200").is_dir():
        return "tiny_imagenet"
    if not source.is_dir():
        raise InputError("no such folder", source, "give the folder of the corpus, or --kind with --download")
    return "folder"


def _cifar(source: Path, kind: str, download: bool) -> ImageCorpus:
    """The files of CIFAR's owner for Python, through torchvision, which checks their digests before it opens them."""
    from torchvision.datasets import CIFAR10, CIFAR100

    dataset = {"cifar10": CIFAR10, "cifar100": CIFAR100}[kind]
    root = source.parent if source.name == dataset.base_folder else source
    if not download and not (root / dataset.base_folder).is_dir() and (source / "train").is_dir():
        return _folder(source)  # published as folders of pictures too
    splits = {}
    classes: list[str] = []
    for split in ("train", "test"):
        try:
            found = dataset(root, train=split == "train", download=download)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{kind} is not there, incomplete or damaged ({error})", root / dataset.base_folder, DOWNLOAD
            ) from error
        classes = [readable(name) for name in found.classes]
        splits[split] = Split(
            [f"{split}/{i:05d}" for i in range(len(found.targets))], list(found.targets), [], found.data
        )
    return ImageCorpus(kind, classes, splits)


def _tiny_imagenet(source: Path, kind: str, download: bool) -> ImageCorpus:
    """The tree as shipped: `train/<wnid>/images`, `val/images` with `val_annotations.txt`, names in `words.txt`."""
    if download and not _whole_tiny_imagenet(source / "tiny-imagenet-200"):
        from torchvision.datasets.utils import download_and_extract_archive

        try:
            download_and_extract_archive(TINY_URL, source, md5=TINY_MD5)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"Tiny-ImageNet could not be fetched ({error})", TINY_URL, "run the command again"
            ) from error
    root = source / "tiny-imagenet-200" if (source / "tiny-imagenet-200").is_dir() else source
    for name in ("wnids.txt", "words.txt", "train", "val/images", "val/val_annotations.txt"):
        if not (root / name).exists():
            raise InputError("Tiny-ImageNet is not there or incomplete", root / name, DOWNLOAD)
    ids = (root / "wnids.txt").read_text("utf-8").split()
    words = dict(line.split("\t", 1) for line in (root / "words.txt").read_text("utf-8").splitlines() if "\t" in line)
    unnamed = [name for name in ids if name not in words]
    if unnamed:
        raise InputError(f"no words for class {unnamed[0]}", root / "words.txt", "fetch the corpus again")
    train, test = Split(), Split()
    for label, name in enumerate(ids):
        _take(train, root, root / "train" / name, label)
    for number, line in enumerate((root / "val/val_annotations.txt").read_text("utf-8").splitlines(), 1):
        picture, _, rest = line.partition("\t")
        wnid = rest.split("\t")[0]
        if wnid not in ids:
            raise InputError(
                f"class '{wnid}' is not in wnids.txt", f"{root}/val/val_annotations.txt:{number}", DOWNLOAD
            )
        test.files.append(root / "val/images" / picture)
        test.keys.append(f"val/images/{picture}")
        test.labels.append(ids.index(wnid))
    return ImageCorpus(kind, [words[name].split(",")[0].strip() for name in ids], {"train": train, "test": test})


def _whole_tiny_imagenet(root: Path) -> bool:
    """Whether an unpacking came to its end: 500 pictures of each of 200 classes, and 10,000 to test."""
    counts = (sum(1 for _ in root.glob(pattern)) for pattern in ("train/*/images/*.JPEG", "val/images/*.JPEG"))
    return tuple(counts) == (100_000, 10_000)


def _digits(test_share: float, seed: int) -> ImageCorpus:
    """scikit-learn's 1,797 grey pictures of 8 x 8 pixels, values 0 to 16; the corpus that comes with a package."""
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = np.rint(data.images * (255 / 16)).astype(np.uint8)
    labels = data.target.astype(np.int64)
    test = fraction_of(labels, test_share, seed)
    splits = {}
    for name, rows in (("train", np.setdiff1d(np.arange(len(labels)), test)), ("test", test)):
        pixels = np.repeat(grey[rows][..., None], 3, axis=3)
        splits[name] = Split([f"digits/{row:04d}" for row in rows], labels[rows].tolist(), [], pixels)
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    return ImageCorpus(DIGITS, names, splits)


def _folder(source: Path, test_share: float = 0.2, seed: int = 0) -> ImageCorpus:
    """Any tree `[train|test/]<class>/**/<picture>`."""
    folders = {folder.name.lower(): folder for folder in _subfolders(source)}
    train_root = next((folders[name] for name in TRAIN_NAMES if name in folders), None)
    test_root = next((folders[name] for name in TEST_NAMES if name in folders), None)
    classes = _subfolders(train_root or source)
    if len(classes) < 2:
        raise InputError(f"{len(classes)} class folders", train_root or source, "put each class into its own folder")
    train = Split()
    for label, folder in enumerate(classes):
        _take(train, source, folder, label)
    names = [folder.name for folder in classes]
    if train_root is None:
        test = _split_off(train, test_share, seed)
    elif test_root is None:
        raise InputError("a training split but no test split", source, f"name its folder {' or '.join(TEST_NAMES)}")
    else:
        test = Split()
        for folder in _subfolders(test_root):
            if folder.name not in names:
                raise InputError(
                    f"class '{folder.name}' has no training pictures", folder, "remove it, or mend its name"
                )
            _take(test, source, folder, names.index(folder.name))
    return ImageCorpus("folder", _distinct(names, train_root or source), {"train": train, "test": test})


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError("no such folder", folder, "give the folder of the corpus")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _take(split: Split, root: Path, folder: Path, label: int) -> None:
    """Add every picture below a class's folder."""
    found = sorted(
        Path(place) / name
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )
    if not found:
        raise InputError("a class folder without pictures", folder, "fetch its pictures, or remove the folder")
    split.files += found
    split.keys += [str(path.relative_to(root)) for path in found]
    split.labels += [label] * len(found)


def _split_off(train: Split, share: float, seed: int) -> Split:
    """Move a seeded share of each class, at least two pictures, from the training split to a test split."""
    labels = np.array(train.labels)
    test = fraction_of(labels, share, seed)
    left = np.setdiff1d(np.arange(len(labels)), test)
    emptied = np.setdiff1d(labels, labels[left])
    if len(emptied):
        place = train.files[int(np.flatnonzero(labels == emptied[0])[0])].parent
        raise InputError("too few pictures in a class to keep some for a test", place, "add pictures, or a test folder")
    moved, kept = _rows(train, test), _rows(train, left)
    train.files, train.keys, train.labels = kept.files, kept.keys, kept.labels
    return moved


def _rows(split: Split, rows: np.ndarray) -> Split:
    return Split([split.keys[i] for i in rows], [split.labels[i] for i in rows], [split.files[i] for i in rows])


def _distinct(names: list[str], where: Path) -> list[str]:
    """Readable names of class folders; two folders that read the same are an error."""
    texts = [readable(name) for name in names]
    for text in texts:
        if texts.count(text) > 1:
            raise InputError(f"two class folders read '{text}'", where, "rename one of them")
    return texts
