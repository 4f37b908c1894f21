"""Two sensors' pictures of the same scenes: trees of the same relative names, brought together picture by picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speakerkd.corpora.image_corpus import (
    TEST_NAMES,
    TRAIN_NAMES,
    ImageCorpus,
    Split,
    distinct,
    pictures_below,
    split_off,
)
from speakerkd.errors import InputError

LAYOUT = "lay pictures out as [train|test/]<class>/<name>, with the same names for both sensors"


def find_pairs(
    source: Path,
    teacher_source: Path | str | None = None,
    sensors: Sequence[str] = (),
    *,
    test_share: float = 0.2,
    seed: int = 0,
    whole: bool = False,
) -> ImageCorpus:
    """Pair the student's pictures with the teacher's by their relative names; endings may differ.

    source, teacher_source: two trees `[train|test/]<class>/**/<picture>`. Or one tree and sensors, two folder names
    (student's, teacher's): every picture has one of them in its path, at any depth, as in `radar/train/cargo/1.png`,
    `train/radar/cargo/1.png` or `cargo/radar/1.png`; without it the path is the name.

    whole: a tree without splits stays one, all in `train`; else a share of each class becomes `test`.
    Pictures without a partner are listed in `refused`. Raises InputError where no name matches, or a class has
    pictures of one sensor alone.
    """
    if sensors and (len(sensors) != 2 or len({name.lower() for name in sensors}) < 2 or teacher_source is not None):
        raise InputError(
            f"sensors {' '.join(sensors)}",
            "--sensors",
            "name two folders below --root, the student's first; or give a second tree with --teacher-root",
        )
    if sensors:
        by_name = _by_sensor(source, sensors)
        places = [f"{name} below {source}" for name in sensors]
    elif teacher_source is None:
        raise InputError("one tree of pictures", "--root", "give --teacher-root, or two folder names with --sensors")
    else:
        roots = [source, Path(teacher_source)]
        by_name = [_named(root, {path: path.relative_to(root) for path in _walk(root)}) for root in roots]
        places = [str(root) for root in roots]
    student, teacher = by_name
    both = sorted(student.keys() & teacher.keys())
    if not both:
        example = next(iter(sorted(student)), None) or "nothing"
        raise InputError(
            f"none of {len(student)} and {len(teacher)} pictures share a name (such as '{example}')",
            f"{places[0]} and {places[1]}",
            LAYOUT,
        )
    refused = [(name, f"no picture of this name in {places[1]}") for name in sorted(student.keys() - teacher.keys())]
    refused += [(name, f"no picture of this name in {places[0]}") for name in sorted(teacher.keys() - student.keys())]
    _same_classes([{_split_and_class(name)[1] for name in names} for names in (student, teacher)], places)
    names = sorted({_split_and_class(name)[1] for name in both})
    if len(names) < 2:
        raise InputError(f"{len(names)} class folders", places[0], LAYOUT)
    splits = {"train": Split(), "test": Split()}
    named_splits = {_split_and_class(name)[0] for name in both}
    if None in named_splits and len(named_splits) > 1:
        raise InputError("some pictures lie below train or test and others do not", places[0], LAYOUT)
    if named_splits == {"test"}:
        raise InputError("a test split but no training split", places[0], LAYOUT)
    for name in both:
        split, label = _split_and_class(name)
        pairs = splits[split or "train"]
        pairs.keys.append(name)
        pairs.labels.append(names.index(label))
        pairs.files.append(student[name])
        pairs.paired_files.append(teacher[name])
    if whole and named_splits == {None}:
        del splits["test"]
    elif named_splits == {None}:
        splits["test"] = split_off(splits["train"], test_share, seed)
    elif "test" not in named_splits:
        raise InputError("a training split but no test split", places[0], f"name its folder {' or '.join(TEST_NAMES)}")
    lacking = set(range(len(names))) - set(splits["train"].labels)
    if lacking:
        raise InputError(
            f"class '{names[min(lacking)]}' has no training pairs", places[0], "add pictures of both sensors"
        )
    named = list(sensors) or [Path(root).name for root in (source, str(teacher_source))]
    return ImageCorpus("pairs", distinct(names, source), splits, refused, folders=names, sensors=named)


def _by_sensor(source: Path, sensors: Sequence[str]) -> list[dict[str, Path]]:
    """{name without the sensor's folder: path} of each sensor."""
    wanted = [name.lower() for name in sensors]
    relative: list[dict[Path, Path]] = [{}, {}]
    for path in _walk(source):
        parts = path.relative_to(source).parts
        at = [(k, i) for i, part in enumerate(parts[:-1]) for k in (0, 1) if part.lower() == wanted[k]]
        if len(at) == 1:
            side, level = at[0]
            relative[side][path] = Path(*parts[:level], *parts[level + 1 :])
    for side, name in enumerate(sensors):
        if not relative[side]:
            raise InputError(f"no picture below a folder '{name}'", source, "name the two sensors' folders, --sensors")
    return [_named(source, files) for files in relative]


def _walk(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError("no such folder", root, "give the folder of the sensor's pictures")
    return pictures_below(root)


def _named(root: Path, files: dict[Path, Path]) -> dict[str, Path]:
    """{relative name without its ending: path}; two pictures of one name are an error."""
    paths: dict[str, Path] = {}
    for path, relative in files.items():
        if len(relative.parts) < 2:
            raise InputError("a picture outside of a class folder", path, LAYOUT)
        name = relative.with_suffix("").as_posix()
        if name in paths:
            raise InputError(f"two pictures are named '{name}'", f"{paths[name]} and {path}", "rename one of them")
        paths[name] = path
    return paths


def _split_and_class(name: str) -> tuple[str | None, str]:
    """(split or None, class) of a relative name."""
    parts = name.split("/")
    first = parts[0].lower()
    split = "train" if first in TRAIN_NAMES else "test" if first in TEST_NAMES else None
    if split is not None and len(parts) < 3:
        raise InputError(f"'{name}' lies in no class folder", parts[0], LAYOUT)
    return split, parts[0 if split is None else 1]


def _same_classes(classes: Sequence[set[str]], places: Sequence[str]) -> None:
    for here, there in ((0, 1), (1, 0)):
        lone = sorted(classes[here] - classes[there])
        if lone:
            more = f" (and {len(lone) - 1} more classes)" if len(lone) > 1 else ""
            raise InputError(
                f"class '{lone[0]}'{more} has pictures in {places[here]} and none of this class is there",
                places[there],
                "fetch them, or remove the class from both",
            )
