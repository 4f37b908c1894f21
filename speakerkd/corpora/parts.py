"""Which parts of a corpus are on this disk, which are not, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from speakerkd.work.files import whole_file

PACKED = re.compile(r".*\.(zip|tar|tgz|tar\.gz|tar\.bz2|7z|rar)$|.*_part_?[a-z]{2}$", re.IGNORECASE)
LEFT_OUT = "left_out.tsv"


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
    found: tuple[Path, ...] = ()
    packed: tuple[Path, ...] = ()

    @property
    def missing(self) -> bool:
        return not self.found

    def told(self) -> str:
        """What its absence costs, in one sentence, and what to do."""
        if self.packed:
            more = f" and {len(self.packed) - 1} more" if len(self.packed) > 1 else ""
            fix = f"unpack {self.packed[0]}{more}"
        else:
            fix = f"it is {self.files}, from {self.source}"
        return f"no {self.name}: without {self.needed}; {fix}"


def packed_below(root: Path | None, words: Sequence[str] = ()) -> tuple[Path, ...]:
    """Archives in a folder or one below it whose name holds all `words`, sorted; () where there is no folder."""
    if root is None or not root.is_dir():
        return ()
    found = []
    for folder in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        try:
            names = sorted(folder.iterdir())
        except OSError:
            continue
        found += [p for p in names if PACKED.match(p.name) and all(w in p.name.lower() for w in words) and p.is_file()]
    return tuple(found)


def folders_below(root: Path | None, names: Iterable[str]) -> tuple[Path, ...]:
    """Those of the named folders below `root` that are there and hold something."""
    if root is None:
        return ()
    return tuple(p for name in names if (p := root / name).is_dir() and any(p.iterdir()))


def first_file(folders: Iterable[Path | None], name: str) -> tuple[Path, ...]:
    """The first folder's file of that name, as a tuple of one, or ()."""
    return next(((f / name,) for f in folders if f is not None and (f / name).is_file()), ())


def write_left_out(path: Path, parts: Iterable[Part], more: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Write `part<tab>what falls away and what to do` of the missing parts, for the report; gives the sentences.

    A file without lines says that nothing is left out. more: (name, sentence) of what else is.
    """
    rows = [(part.name, part.told()) for part in parts if part.missing] + list(more)
    with whole_file(path) as stream:
        stream.writelines(f"{name}\t{' '.join(text.split())}\n" for name, text in rows)
    return [text for _, text in rows]


def read_left_out(path: Path) -> list[str]:
    """The sentences of `write_left_out`; [] where there is no such file."""
    if not path.is_file():
        return []
    return [line.partition("\t")[2] for line in path.read_text("utf-8").splitlines() if line.strip()]
