"""Lists and tables that corpora bring along: what they name, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path

from speakerkd.errors import InputError


def names_of_list(path: Path, names: Callable[[str], tuple[str, ...] | None]) -> dict[str, int]:
    """{name: first line} of what a list names; `names` gives a line's names, or None where the line is broken.

    Raises InputError with file and line for a broken line, and for an empty list.
    """
    found: dict[str, int] = {}
    for number, line in numbered_lines(path):
        given = names(line)
        if given is None:
            raise InputError(f"broken line {line[:60]!r}", f"{path}:{number}", "mend the list")
        for name in given:
            found.setdefault(name, number)
    if not found:
        raise InputError("an empty list", path, "fetch it again")
    return found


def check_named(names: Mapping[str, int], there: Set[str], where: Path, what: str = "recording") -> None:
    """Raises InputError, with file, line and count, when a list names what is not there. names: {name: line}."""
    missing = [name for name in names if name not in there]
    if missing:
        first = min(missing, key=names.__getitem__)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        fix = "unpack all of the corpus, or mend the list"
        raise InputError(f"{what} '{first}' is not there{more}", f"{where}:{names[first]}", fix)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, numbered from 1, without line ends, byte-order mark and blank lines."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError as error:
        raise InputError("no such list", path, "check the path, or unpack all of the corpus") from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", path, "save it as UTF-8") from error


def read_gender(path: Path) -> dict[str, str]:
    """{speaker: m|f} of `vox1_meta.csv` (tabs) or `vox2_meta.csv` (commas), by the column whose header says Gender.

    Raises InputError with file and line for a table without that column, a short line, or another value.
    """
    gender: dict[str, str] = {}
    column = None
    for number, line in numbered_lines(path):
        fields = [field.strip() for field in re.split(r"[\t,]", line)]
        if column is None:
            column = next((n for n, name in enumerate(fields) if name.lower() == "gender"), None)
            if column is None:
                raise InputError("no column Gender", f"{path}:{number}", "fetch the meta table of VoxCeleb again")
            continue
        value = fields[column].lower()[:1] if len(fields) > column else ""
        if value not in ("m", "f"):
            raise InputError("a line without a gender m or f", f"{path}:{number}", "mend the table")
        gender[fields[0]] = value
    return gender
