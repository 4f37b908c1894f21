"""Image sets as their owners ship them: CIFAR, STL-10, Fashion-MNIST, Tiny-ImageNet, ImageNet, and digits."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from speakerkd.corpora.image_corpus import ImageCorpus, Split, readable, subfolders, take
from speakerkd.data.sampler import fraction_of
from speakerkd.errors import InputError
from speakerkd.work.files import below
from speakerkd.work.records import read_text

DIGITS = "digits"
TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
TINY_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
DOWNLOAD = "give the folder that holds it, or fetch it with --download"
CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
# what a set other than CIFAR is known by
MARKS = {
    "stl10": "stl10_binary",
    "fashion_mnist": "FashionMNIST",
    "tiny_imagenet": "tiny-imagenet-200",
    "imagenet": "LOC_synset_mapping.txt",
}


def has_cifar(source: Path, kind: str) -> bool:
    """Whether a folder is, or holds, the files of CIFAR's owner."""
    mark = CIFAR_FOLDERS[kind]
    return (source / mark).is_dir() or (source.name == mark and source.is_dir())


def cifar10(source: Path, download: bool) -> ImageCorpus:
    """CIFAR-10's files for Python."""
    return _cifar(source, "cifar10", download)


def cifar100(source: Path, download: bool) -> ImageCorpus:
    """CIFAR-100's files for Python, its fine labels."""
    return _cifar(source, "cifar100", download)


def _cifar(source: Path, kind: str, download: bool) -> ImageCorpus:
    """Through torchvision, which checks the files' digests before it opens them."""
    from torchvision.datasets import CIFAR10, CIFAR100

    dataset = {"cifar10": CIFAR10, "cifar100": CIFAR100}[kind]
    root = source.parent if source.name == dataset.base_folder else source
    splits = {}
    classes: list[str] = []
    for split in ("train", "test"):
        folder = root / dataset.base_folder
        make = functools.partial(dataset, root, train=split == "train", download=download)
        opened = _opened(make, kind, folder)
        classes = [readable(name) for name in opened.classes]
        splits[split] = _of_arrays(split, opened.data, opened.targets)
    return ImageCorpus(kind, classes, splits)


def stl10(source: Path, download: bool) -> ImageCorpus:
    """STL-10's binary files: 5,000 labelled training pictures of 96 x 96 and 8,000 to test; digests are checked."""
    from torchvision.datasets import STL10

    root = source.parent if source.name == STL10.base_folder else source
    splits = {}
    classes: list[str] = []
    for split in ("train", "test"):
        folder = root / STL10.base_folder
        opened = _opened(functools.partial(STL10, root, split=split, download=download), "stl10", folder)
        classes = [readable(name) for name in opened.classes]
        splits[split] = _of_arrays(split, np.moveaxis(opened.data, 1, -1), opened.labels)
    return ImageCorpus("stl10", classes, splits)


def fashion_mnist(source: Path, download: bool) -> ImageCorpus:
    """Fashion-MNIST's files: grey pictures of 28 x 28, one channel."""
    from torchvision.datasets import FashionMNIST

    root = source.parent if source.name == "FashionMNIST" else source
    splits = {}
    classes: list[str] = []
    for split in ("train", "test"):
        folder = root / "FashionMNIST"
        make = functools.partial(FashionMNIST, root, train=split == "train", download=download)
        opened = _opened(make, "fashion_mnist", folder)
        classes = [readable(name.replace("/", " or ")) for name in opened.classes]
        splits[split] = _of_arrays(split, opened.data.numpy()[..., None], opened.targets.numpy())
    return ImageCorpus("fashion_mnist", classes, splits)


def _opened(make: Callable[[], Any], kind: str, folder: Path) -> Any:
    """What torchvision opens, its complaints as InputError."""
    try:
        return make()
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{kind} is not there, incomplete or damaged ({error})", folder, DOWNLOAD) from error


def _of_arrays(split: str, pixels: np.ndarray, labels: Iterable[int]) -> Split:
    numbers = [int(label) for label in labels]
    return Split([f"{split}/{i:05d}" for i in range(len(numbers))], numbers, [], np.ascontiguousarray(pixels))


def tiny_imagenet(source: Path, download: bool) -> ImageCorpus:
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
    ids = read_text(root / "wnids.txt", DOWNLOAD).split()
    words = dict(line.split("\t", 1) for line in read_text(root / "words.txt", DOWNLOAD).splitlines() if "\t" in line)
    unnamed = [name for name in ids if name not in words]
    if unnamed:
        raise InputError(f"no words for class {unnamed[0]}", root / "words.txt", "fetch the corpus again")
    train, test = Split(), Split()
    for label, name in enumerate(ids):
        take(train, root, root / "train" / name, label)
    for number, line in enumerate(read_text(root / "val/val_annotations.txt", DOWNLOAD).splitlines(), 1):
        picture, _, rest = line.partition("\t")
        wnid = rest.split("\t")[0]
        if wnid not in ids:
            raise InputError(
                f"class '{wnid}' is not in wnids.txt", f"{root}/val/val_annotations.txt:{number}", DOWNLOAD
            )
        test.files.append(below(root / "val/images", picture))
        test.keys.append(f"val/images/{picture}")
        test.labels.append(ids.index(wnid))
    names = [words[name].split(",")[0].strip() for name in ids]
    return ImageCorpus("tiny_imagenet", names, {"train": train, "test": test}, folders=ids)


def _whole_tiny_imagenet(root: Path) -> bool:
    """Whether an unpacking came to its end: 500 pictures of each of 200 classes, and 10,000 to test."""
    counts = (sum(1 for _ in root.glob(pattern)) for pattern in ("train/*/images/*.JPEG", "val/images/*.JPEG"))
    return tuple(counts) == (100_000, 10_000)


def imagenet(source: Path, download: bool) -> ImageCorpus:
    """ImageNet (ILSVRC 2012) with a folder a class: `train/<wnid>`, and `val/<wnid>` or a flat `val` with its list.

    Either at the root or below `ILSVRC/Data/CLS-LOC`, as it is unpacked. Names come from `LOC_synset_mapping.txt`
    where it is there, else the folders' own are taken; the flat list is `LOC_val_solution.csv`.
    """
    root = source / "ILSVRC/Data/CLS-LOC" if (source / "ILSVRC").is_dir() else source
    for name in ("train", "val"):
        if not (root / name).is_dir():
            raise InputError("ImageNet is not there or incomplete", root / name, "give the folder with train/ and val/")
    ids = [folder.name for folder in subfolders(root / "train")]
    if len(ids) < 2:
        raise InputError(f"{len(ids)} class folders", root / "train", "unpack a folder for each class")
    number = {name: k for k, name in enumerate(ids)}
    train, test = Split(), Split()
    for name in ids:
        take(train, root, root / "train" / name, number[name])
    folders = subfolders(root / "val")
    if folders:
        unknown = sorted({folder.name for folder in folders} - number.keys())
        if unknown:
            raise InputError(f"class '{unknown[0]}' has no training pictures", root / "val", "fetch them")
        for folder in folders:
            take(test, root, folder, number[folder.name])
    else:
        for picture, wnid, line in _solutions(source / "LOC_val_solution.csv"):
            if wnid not in number:
                raise InputError(f"class '{wnid}' has no training pictures", line, "fetch them")
            test.files.append(root / "val" / picture)
            test.keys.append(f"val/{picture}")
            test.labels.append(number[wnid])
    return ImageCorpus("imagenet", _synset_names(source, ids), {"train": train, "test": test}, folders=ids)


def _solutions(path: Path) -> list[tuple[str, str, str]]:
    """(file, wnid, place) of every line `ILSVRC2012_val_00000001,n01751748 111 108 ...`."""
    if not path.is_file():
        raise InputError("a flat val/ without its list", path, "fetch the list, or sort val/ into a folder a class")
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    solutions = []
    for line, row in enumerate(rows, 2):
        if len(row) != 2 or not row[1].split():
            raise InputError("a line of another form", f"{path}:{line}", "fetch the list again")
        solutions.append((f"{row[0]}.JPEG", row[1].split()[0], f"{path}:{line}"))
    return solutions


def _synset_names(source: Path, ids: list[str]) -> list[str]:
    """The first word of each synset, with its number where two synsets share it; the number alone without a list."""
    path = source / "LOC_synset_mapping.txt"
    if not path.is_file():
        return ids
    lines = [line.partition(" ") for line in read_text(path, "save it as UTF-8 text").splitlines() if line.strip()]
    words = {wnid: names.split(",")[0].strip() for wnid, _, names in lines}
    unnamed = [name for name in ids if not words.get(name)]
    if unnamed:
        raise InputError(f"no words for class {unnamed[0]}", path, "fetch the file again")
    names = [words[name] for name in ids]
    return [f"{name} ({wnid})" if names.count(name) > 1 else name for name, wnid in zip(names, ids, strict=True)]


def digits(test_share: float, seed: int) -> ImageCorpus:
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
