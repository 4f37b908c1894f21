"""Media files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path

from speakerkd.errors import InputError

# Paths are text here: a corpus has millions of files, and pathlib takes ten times as long.


def media_below(root: Path | str, endings: Set[str]) -> Iterator[str]:
    """Paths relative to `root` of the files with one of the endings, at any depth; hidden files are left out."""
    folders = [""]
    while folders:
        folder = folders.pop()
        below = []
        for entry in sorted(os.scandir(f"{root}/{folder}"), key=lambda e: e.name):
            if entry.name.startswith("."):
                continue
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                below.append(relative)
            elif ending(entry.name) in endings:
                yield relative
        folders += reversed(below)


def stem(path: str) -> str:
    """A path without its file extension."""
    return os.path.splitext(path)[0]


def ending(path: str) -> str:
    """A path's file extension, with its dot, in small letters."""
    return os.path.splitext(path)[1].lower()


def need_folder(path: Path | str, what: str, fix: str) -> Path:
    """The path, if it is a folder; raises InputError otherwise."""
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"no {what}", path, fix)
    return path
