"""A Kaldi table: `key value` a line, parted at the first white space, sorted in the C locale, each key once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from speakerkd.data.names import composed
from speakerkd.data.text import read_text, real_number
from speakerkd.errors import InputError
from speakerkd.work.files import whole_file

# tables whose values are names too: composed, as keys are; those of other tables are paths, which stay byte for byte
NAMED_VALUES = frozenset(("utt2spk", "spk2utt", "utt2session", "enroll.map"))
WRITERS = {  # of those that a user is likely to lack
    "wav.scp": "`speakerkd prepare`", "utt2spk": "`speakerkd prepare`", "spk2utt": "`speakerkd prepare`",
    "utt2session": "`speakerkd prepare`", "face.scp": "`speakerkd prepare`, giving it pictures",
    "utt2dur": "`speakerkd fbank`", "feats.scp": "`speakerkd fbank`", "aligned.scp": "`speakerkd faces`",
    "teacher.scp": "`speakerkd embed-teacher`",
}  # fmt: skip
RULES = {
    "a line is `key value`": "write `key value` on every line",
    "a key stands once": "keep one line a key",
}

Fault = Callable[[int, str, str], None]  # line, rule, detail


def read_table(path: Path | str) -> dict[str, str]:
    """Read `key value...` lines.

    Returns
    -------
    {key: rest of the line}, in file order; names composed (NFC).

    Raises
    ------
    InputError: with file and line for an empty value, a duplicate key, a NUL byte or bytes that are not UTF-8, and
        where there is no such regular file.
    """

    def refuse(line: int, rule: str, detail: str) -> NoReturn:
        raise InputError(detail, f"{path}:{line}", RULES[rule])

    name = Path(path).name
    writer = WRITERS.get(name, "the verb that writes it (see `speakerkd --help`)")
    return parse_table(read_text(path, "table", f"make it with {writer}"), name, refuse)


def parse_table(content: bytes, name: str, fault: Fault) -> dict[str, str]:
    """The records of a table's content; `fault` is told of every line that is none, which is then left out.

    name: the table's file name, which says whether its values are names too.
    """
    table: dict[str, str] = {}
    is_ascii = content.isascii()
    spell = composed if name in NAMED_VALUES and not is_ascii else str
    for number, line in enumerate(content.split(b"\n"), 1):
        fields = line.split(None, 1)
        if len(fields) == 2:
            key = fields[0].decode()
            if not is_ascii:
                key = composed(key)
            if key not in table:
                table[key] = spell(fields[1].rstrip().decode())
            else:
                fault(number, "a key stands once", f"duplicate key '{key}', line {_line_of(content, key)} has it too")
        elif fields:
            fault(number, "a line is `key value`", f"'{fields[0].decode()}' has no value")
    return table


def _line_of(content: bytes, key: str) -> int:
    """The first line whose key it is."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if composed(line.split(None, 1)[0].decode() if line.strip() else "") == key:
            return number
    return 0


def write_table(path: Path | str, table: Mapping[str, str]) -> None:
    """Write {key: value} as sorted `key value` lines (bytewise, Kaldi's `LC_ALL=C`), whole or not at all."""
    with whole_file(path) as stream:
        for key in sorted(table, key=str.encode):
            stream.write(f"{key} {table[key]}\n")


def read_durations(path: Path | str) -> dict[str, float]:
    """The seconds of each utterance, from `utt2dur`.

    Raises InputError as `read_table` does, and for a value that is no positive number.
    """
    seconds: dict[str, float] = {}
    for key, value in read_table(path).items():
        number = real_number(value)
        if number is None or number <= 0:
            raise InputError(f"'{value}' is no duration in seconds ('{key}')", path, "make it with `speakerkd fbank`")
        seconds[key] = number
    return seconds


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """The spk2utt table of a utt2spk table: {speaker: its keys, sorted bytewise, blanks between}.

    >>> invert({"b": "x", "a": "x", "c": "y"})
    {'x': 'a b', 'y': 'c'}
    """
    return {speaker: " ".join(keys) for speaker, keys in keys_by_value(utt2spk).items()}


def keys_by_value(table: Mapping[str, str]) -> dict[str, list[str]]:
    """{value: its keys, sorted bytewise}."""
    lists: dict[str, list[str]] = {}
    for key in sorted(table, key=str.encode):
        lists.setdefault(table[key], []).append(key)
    return lists
