"""An image corpus by its kind: what its owners ship, any tree with a folder a class, or two sensors' trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from speakerkd.corpora import image_sets
from speakerkd.corpora.image_corpus import (
    TEST_NAMES,
    TRAIN_NAMES,
    ImageCorpus,
    Split,
    distinct,
    readable,
    split_off,
    subfolders,
    take,
)
from speakerkd.corpora.image_pairs import find_pairs
from speakerkd.corpora.image_splits import divide
from speakerkd.corpora.sensor_sets import SETS
from speakerkd.data.derived_sensor import Derived
from speakerkd.errors import InputError
from speakerkd.work.records import read_text

FETCHED = ("cifar10", "cifar100", "fashion_mnist", "stl10", "tiny_imagenet")  # what --download can bring
Reader = Callable[[Path, bool], ImageCorpus]
READERS: dict[str, Reader] = {
    "cifar10": image_sets.cifar10,
    "cifar100": image_sets.cifar100,
    "stl10": image_sets.stl10,
    "fashion_mnist": image_sets.fashion_mnist,
    "tiny_imagenet": image_sets.tiny_imagenet,
    "imagenet": image_sets.imagenet,
}


def find_corpus(
    source: Path | str | None,
    kind: str = "auto",
    *,
    test_share: float = 0.2,
    seed: int = 0,
    download: bool = False,
    classes: Path | str | None = None,
    teacher_source: Path | str | None = None,
    sensors: Sequence[str] = (),
    shares: Sequence[float] = (),
    absent: Literal["refuse", "redraw"] = "refuse",
    second: Derived | None = None,
) -> ImageCorpus:
    """List the pictures of a corpus without decoding them.

    source: the corpus's folder, None for digits. kind: one of READERS, `folder`, `digits`, or `auto`, which looks at
    what lies there.
    test_share, seed: for a tree that comes without a test split, the share of each class that is kept for one.
    classes: a text file, one class folder's name a line: those alone are taken, in that order (ImageNet-100).
    teacher_source: a second tree of the same relative names, the other sensor's. sensors: two folder names instead,
    (the student's, the teacher's), one of which stands somewhere in the path of every picture below `source`.
    shares: of training, validation and test pictures, into which the corpus is divided anew by `seed` (`divide`, which
    says what `absent` is); () keeps its own splits, and divides sets of two sensors (SETS) 70/10/20.
    second: a second sensor made from the pictures of the one there is.
    Raises InputError for a corpus that is missing, incomplete or damaged, and for an empty class folder.
    """
    corpus = _find(source, kind, test_share, seed, download, classes, teacher_source, sensors, bool(shares))
    shares = shares or ((0.7, 0.1, 0.2) if corpus.kind in SETS else ())
    if second is not None:
        if corpus.paired:
            raise InputError("a corpus of two sensors", "--second", "leave it out")
        corpus.second, corpus.sensors = second, ["picture", second]
    return divide(corpus, shares, seed, absent) if shares else corpus


def _find(
    source: Path | str | None,
    kind: str,
    test_share: float,
    seed: int,
    download: bool,
    classes: Path | str | None,
    teacher_source: Path | str | None,
    sensors: Sequence[str],
    whole: bool,
) -> ImageCorpus:
    """The corpus as `find_corpus` finds it, in its own splits; whole: without one of its own all is for training."""
    if not 0 < test_share < 1:
        raise InputError(f"a test share of {test_share}", "--test-share", "give a number between 0 and 1, such as 0.2")
    if kind == image_sets.DIGITS:
        return _only(image_sets.digits(test_share, seed), classes)
    if source is None:
        raise InputError("no corpus is named", "--root", "give its folder, or --kind digits, which needs none")
    source = Path(source)
    if teacher_source is not None or sensors:
        if kind not in ("auto", "folder"):
            raise InputError(f"{kind} is of one sensor", "--kind", "leave it out where two sensors are given")
        return _only(
            find_pairs(source, teacher_source, sensors, test_share=test_share, seed=seed, whole=whole), classes
        )
    kind = _kind(source) if kind == "auto" else kind
    if kind not in (*READERS, *SETS, "folder"):
        known = "auto, digits, folder, " + ", ".join([*READERS, *SETS])
        raise InputError(f"no such kind of corpus '{kind}'", "--kind", f"known: {known}")
    if download and kind not in FETCHED:
        raise InputError(f"{kind} cannot be fetched", "--download", f"name one of {', '.join(FETCHED)} with --kind")
    if kind in SETS:
        return _only(SETS[kind](source), classes)
    if kind == "folder":
        return _only(_folder(source, test_share, seed), classes)
    if (
        kind.startswith("cifar")
        and not download
        and not image_sets.has_cifar(source, kind)
        and (source / "train").is_dir()
    ):
        return _only(_folder(source, test_share, seed), classes)  # published as folders of pictures too
    return _only(READERS[kind](source, download), classes)


def _kind(source: Path) -> str:
    for kind in ("cifar10", "cifar100"):
        if image_sets.has_cifar(source, kind):
            return kind
    for kind, mark in image_sets.MARKS.items():
        if (source / mark).exists() or source.name == mark:
            return kind
    if not source.is_dir():
        raise InputError("no such folder", source, "give the folder of the corpus, or --kind with --download")
    return "folder"


def _folder(source: Path, test_share: float = 0.2, seed: int = 0) -> ImageCorpus:
    """Any tree `[train|test/]<class>/**/<picture>`."""
    folders = {folder.name.lower(): folder for folder in subfolders(source)}
    train_root = next((folders[name] for name in TRAIN_NAMES if name in folders), None)
    test_root = next((folders[name] for name in TEST_NAMES if name in folders), None)
    classes = subfolders(train_root or source)
    if len(classes) < 2:
        raise InputError(f"{len(classes)} class folders", train_root or source, "put each class into its own folder")
    train = Split()
    for label, folder in enumerate(classes):
        take(train, source, folder, label)
    names = [folder.name for folder in classes]
    if train_root is None:
        test = split_off(train, test_share, seed)
    elif test_root is None:
        raise InputError("a training split but no test split", source, f"name its folder {' or '.join(TEST_NAMES)}")
    else:
        test = Split()
        for folder in subfolders(test_root):
            if folder.name not in names:
                raise InputError(
                    f"class '{folder.name}' has no training pictures", folder, "remove it, or correct its name"
                )
            take(test, source, folder, names.index(folder.name))
    return ImageCorpus("folder", distinct(names, train_root or source), {"train": train, "test": test})


def _only(corpus: ImageCorpus, listed: Path | str | None) -> ImageCorpus:
    """The corpus with the classes of a list alone, in its order; a name is a class's own, or that of its folder."""
    if listed is None:
        return corpus
    path = Path(listed)
    if not path.is_file():
        raise InputError("no such list of classes", path, "give a text file, one class a line")
    wanted = [line.split("\t")[0].strip() for line in read_text(path, "save it as UTF-8 text").splitlines()]
    wanted = [name for name in wanted if name and not name.startswith("#")]
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise InputError(f"{len(set(wanted))} distinct classes in {len(wanted)} lines", path, "list each class once")
    known = {name: k for k, name in enumerate(corpus.classes)} | {name: k for k, name in enumerate(corpus.folders)}
    numbers = []
    for line, name in enumerate(wanted, 1):
        number = known.get(name, known.get(readable(name)))
        if number is None:
            raise InputError(f"no class '{name}' in the corpus", f"{path}:{line}", "correct the name")
        numbers.append(number)
    new = {old: k for k, old in enumerate(numbers)}
    return corpus.with_classes([corpus.classes[k] for k in numbers], new)
