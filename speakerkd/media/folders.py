"""Media files below a folder: each once, whatever links lead to it, and an account of what was left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path

from speakerkd.errors import InputError

# Paths are text here: a corpus has millions of files, and pathlib takes ten times as long.

# What file servers, desktops and archivers leave among people's files; names that begin with a dot are too
LEFTOVERS = {
    "@eadir", "#recycle", "$recycle.bin", "@recycle", "@recently-snapshot", "__macosx", "lost+found",
    "system volume information", "thumbs.db", "desktop.ini", "ehthumbs.db",
}  # fmt: skip
HIDDEN = "hidden or a system's own"
DOUBLE = "links to what is counted already"
DEAD = "links to nothing"


class Walk:
    """Walks below a root. Of a file that links give several names, the one that is no link is taken, else the first.

    once: hard links are taken once too; not so for faces, which several recordings may share. given: {ending: how many
    files were given}; left_out: {reason: how many files and folders were passed over}; unread: {ending: how many files
    of it}; refused: (path, reason) of folders that could not be read.
    """

    def __init__(self, root: Path | str, once: bool = True) -> None:
        self.root, self.once = os.fspath(root), once
        self.taken: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self.refused: list[tuple[str, str]] = []
        self._real_root = os.path.realpath(self.root)
        self._seen: set[str] = set()  # real paths, outside the root, that links have led to
        self._numbers: dict[int, str] = {}  # {the file system's number of a file: its path}

    def files(self, endings: Set[str], below: str = "") -> Iterator[str]:
        """Paths relative to the folder `below` the root of the files with one of the endings, at any depth.

        Links to folders and files outside the root are followed, those to anything inside it or above it are not. A
        link to nothing with a usual ending is given too: whoever reads it says so.
        """
        for name in self._files(os.path.join(self.root, below) if below else self.root, endings):
            self.taken[ending(name)] += 1
            yield name

    def _files(self, top: str, endings: Set[str]) -> Iterator[str]:
        links: list[str] = []
        yield from self._real(top, "", "", endings, links)
        for link in links:  # grows on the way
            path = f"{top}/{link}"
            real = os.path.realpath(path)
            if os.path.isdir(real):
                if self._counted(real) or f"{self._real_root}/".startswith(f"{real.rstrip('/')}/"):
                    self.left_out[DOUBLE] += 1
                else:
                    yield from self._real(top, link, real, endings, links)
            elif not os.path.exists(real):
                if ending(link) in endings:
                    yield link
                else:
                    self.left_out[DEAD] += 1
            elif ending(link) not in endings:
                self.unread[ending(link)] += 1
            elif self._counted(real):
                self.left_out[DOUBLE] += 1
            else:
                self._seen.add(real)
                yield link

    def yield_to(self, other: Walk) -> bool:
        """Leave the account of this folder to the walk of one that holds it, or is it; false where neither is so.

        What this one gave is then no longer unread there; what neither reads, both counted.
        """
        if not f"{self._real_root}/".startswith(f"{other._real_root.rstrip('/')}/"):
            return False
        other.unread -= self.taken
        self.unread.clear()
        for reason in (HIDDEN, DOUBLE, DEAD):
            del self.left_out[reason]
        return True

    def account(self) -> str:
        """What was left out, by reason, as one line without a full stop; empty where nothing was."""
        parts = [f"{count} {reason}" for reason, count in self.left_out.most_common() if count > 0]
        if self.unread:
            some = ", ".join(f"{end or 'none'} {count}" for end, count in self.unread.most_common(4))
            more = ", ..." if len(self.unread) > 4 else ""
            parts.insert(0, f"{self.unread.total()} whose ending is not read ({some}{more})")
        if self.refused:
            parts.append(f"{len(self.refused)} folders that cannot be read")
        return f"left out of {self.root}: {'; '.join(parts)}" if parts else ""

    def _real(self, top: str, start: str, outside: str, endings: Set[str], links: list[str]) -> Iterator[str]:
        """The files below a folder that are no links; links are put on the list.

        outside: the real path of the folder where a link led out of the root; what it holds is then remembered.
        """
        folders = [start]
        while folders:
            folder = folders.pop()
            real = f"{outside}{folder[len(start) :]}" if outside else ""
            if real:
                if real in self._seen:
                    self.left_out[DOUBLE] += 1
                    continue
                self._seen.add(real)
            try:
                with os.scandir(f"{top}/{folder}") as entries:
                    listing = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if not folder:
                    raise InputError(f"cannot be read ({error.strerror})", top, "check its rights") from error
                self.refused.append((folder, f"the folder cannot be read ({error.strerror}), {top}/{folder}"))
                continue
            below = []
            for entry in listing:
                relative = f"{folder}/{entry.name}" if folder else entry.name
                if is_leftover(entry.name):
                    self.left_out[HIDDEN] += 1
                elif entry.is_symlink():
                    links.append(relative)
                elif _is_folder(entry):
                    below.append(relative)
                elif ending(entry.name) not in endings:
                    self.unread[ending(entry.name)] += 1
                elif (real and f"{real}/{entry.name}" in self._seen) or (self.once and self._linked(entry)):
                    self.left_out[DOUBLE] += 1
                else:
                    yield relative
            folders += reversed(below)

    def _linked(self, entry: os.DirEntry[str]) -> bool:
        """Whether a file came by under another name: a hard link, or a folder that is mounted in two places.

        File systems that lack numbers give 0, and some give one twice: size and time must then be the same too.
        """
        number = entry.inode()
        before = self._numbers.setdefault(number, entry.path) if number else entry.path
        if before == entry.path:
            return False
        try:
            one, other = os.stat(before), os.stat(entry.path)
        except OSError:
            return False
        return all(getattr(one, key) == getattr(other, key) for key in ("st_dev", "st_ino", "st_size", "st_mtime_ns"))

    def _counted(self, real: str) -> bool:
        """Whether a walk through the root, without links, comes by a real path, or a link has led there."""
        if real in self._seen or os.path.dirname(real) in self._seen:
            return True
        if real != self._real_root and not real.startswith(f"{self._real_root}/"):
            return False
        return not any(is_leftover(part) for part in real[len(self._real_root) :].split("/") if part)


def media_below(root: Path | str, endings: Set[str], once: bool = True) -> Iterator[str]:
    """Paths relative to `root` of the files with one of the endings, at any depth, each file once (see Walk)."""
    return Walk(root, once).files(endings)


def walk_unused(root: Path | str, used: Iterable[Path | str], endings: Set[str], why: Callable[[str], str]) -> Walk:
    """A walk through all of a root that has counted what is not used, whatever the reason.

    used: the files that are, lists and tables too. why: the reason for a file, by its path relative to the root, with
    one of the endings that is not used; those of other endings are counted by them.
    """
    folders: dict[str, str] = {}

    def real(path: str) -> str:  # whatever links lead to its folder; its own is no matter, the walk gives it once
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return f"{folders[folder]}/{name}"

    walk = Walk(root, once=False)
    top = f"{walk._real_root}/"
    taken = {real(os.fspath(path)) for path in used}
    for name in walk.files(endings):
        if real(f"{walk.root}/{name}") not in taken:
            walk.left_out[why(name)] += 1
    others = Counter(ending(path) for path in taken if path.startswith(top) and ending(path) not in endings)
    walk.unread -= others
    return walk


def is_leftover(name: str) -> bool:
    """Whether a file or folder is hidden or a system's own, and so nobody's recordings: `._a.wav`, `@eaDir`."""
    return name.startswith(".") or name.lower() in LEFTOVERS


def subfolders(root: Path | str) -> list[Path]:
    """The folders right below a folder, by name, but for leftovers and links to what the folder holds anyway."""
    walk = Walk(root)
    try:
        paths = sorted(Path(entry.path) for entry in os.scandir(root) if entry.is_dir() and not is_leftover(entry.name))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", root, "check the folder and its rights") from error
    return [path for path in paths if not (path.is_symlink() and walk._counted(os.path.realpath(path)))]


def stem(path: str) -> str:
    """A path without its file extension."""
    return os.path.splitext(path)[0]


def ending(path: str) -> str:
    """A path's file extension, with its dot, in small letters."""
    return os.path.splitext(path)[1].lower()


def need_folder(path: Path | str, what: str, fix: str) -> Path:
    """The path, if it is a folder; raises InputError otherwise."""
    path = Path(path)
    try:
        there = path.is_dir()
    except (OSError, ValueError):
        there = False
    if not there:
        raise InputError(f"no {what}", path, fix)
    return path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # reading it says what is wrong
