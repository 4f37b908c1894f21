"""The Kaldi data directory: sorted text tables, one record a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.files import whole_file


def read_table(path: Path | str) -> dict[str, str]:
    """Read `key value...` lines as {key: rest of the line}, in file order.

    Raises InputError with file and line for an empty value, a duplicate key or bytes that are not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such table", path, "make it with the verb that writes it (see `speakerkd --help`)")
    table: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                line = line.strip()
                if not line:
                    continue
                key, _, value = line.partition(" ")
                if not value:
                    key, _, value = line.partition("\t")
                if not value.strip():
                    raise InputError(f"'{key}' has no value", f"{path}:{number}", "write `key value` on every line")
                if key in table:
                    raise InputError(f"duplicate key '{key}'", f"{path}:{number}", "keep one line a key")
                table[key] = value.strip()
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", path, "save the table as UTF-8") from error
    return table


def write_table(path: Path | str, table: Mapping[str, str]) -> None:
    """Write {key: value} as sorted `key value` lines (bytewise, Kaldi's `LC_ALL=C`), whole or not at all."""
    with whole_file(path) as stream:
        for key in sorted(table, key=lambda k: k.encode()):
            stream.write(f"{key} {table[key]}\n")
