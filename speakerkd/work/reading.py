"""Opening what a user names: regular files alone, since a pipe or a device may never end."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from speakerkd.errors import InputError

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_file(path: Path | str, what: str = "file", fix: str = "check the path") -> os.stat_result:
    """The status of a regular file (links are followed).

    Raises InputError, `no such <what>`, where there is none, where it is a folder, a named pipe, a socket or a device,
    and for a path that no file can have (a NUL byte, a name that is too long).
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise InputError(f"no such {what}", path, fix) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot open the {what} ({reason})", repr(str(path)), fix) from None
    for is_kind, kind in KINDS:
        if is_kind(status.st_mode):
            raise InputError(f"{kind} in place of the {what}", path, "give a regular file")
    return status


def open_file(path: Path | str, what: str = "file", fix: str = "check the path") -> BufferedReader:
    """Open a regular file to read its bytes. Raises InputError as `check_file` does, and where reading is refused."""
    check_file(path, what, fix)
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot open the {what} ({error.strerror})", path, fix) from None
