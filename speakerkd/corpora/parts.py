"""Which parts of a corpus are on this disk, which are not, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKED = re.compile(r".*\.(zip|tar|tgz|tar\.gz|tar\.bz2|7z|rar)$|.*_part_?[a-z]{2}$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a corpus.

    files: where and what it is, below the corpus's root. size: on disk, in words. source: where it is to be had.
    needed: the figures that fall away without it. required: nothing can be done without it. found: the places
    where it lies here; packed: archives there that look like it, not yet unpacked.
    """

    name: str
    files: str
    size: str
    source: str
    needed: str
    required: bool = False
    paths: tuple[Path, ...] = ()
    packed: tuple[Path, ...] = ()

    @property
    def missing(self) -> bool:
        return not self.paths

    def absence(self) -> str:
        """What its absence costs, in one sentence, and what to do."""
        if self.packed:
            more = f" and {len(self.packed) - 1} more" if len(self.packed) > 1 else ""
            fix = f"unpack {self.packed[0]}{more}"
        else:
            fix = f"it is {self.files}, from {self.source}"
        return f"no {self.name}, and so without {self.needed}; {fix}"


def packed_below(root: Path | None, words: Sequence[str] = ()) -> tuple[Path, ...]:
    """Archives in a folder or one below it whose name holds all `words`, sorted; () where there is no folder."""
    if root is None or not root.is_dir():
        return ()
    archives = []
    for folder in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        try:
            names = sorted(folder.iterdir())
        except OSError:
            continue
        archives += [
            p for p in names if PACKED.match(p.name) and all(w in p.name.lower() for w in words) and p.is_file()
        ]
    return tuple(archives)


def folders_below(root: Path | None, names: Iterable[str]) -> tuple[Path, ...]:
    """Those of the named folders below `root` that are there and hold something."""
    if root is None:
        return ()
    return tuple(p for name in names if (p := root / name).is_dir() and any(p.iterdir()))


def first_file(folders: Iterable[Path | None], name: str) -> tuple[Path, ...]:
    """The first folder's file of that name, as a tuple of one, or ()."""
    return next(((f / name,) for f in folders if f is not None and (f / name).is_file()), ())


def absences(parts: Iterable[Part]) -> dict[str, str | None]:
    """{name: what its absence costs, or None where the part is there}, for `work.left_out`."""
    return {part.name: part.absence() if part.missing else None for part in parts}
