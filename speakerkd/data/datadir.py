"""The Kaldi data directory: sorted text tables, one record a line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from speakerkd.errors import InputError
from speakerkd.work.files import whole_dir, whole_file

UTTERANCE_TABLES = (
    "wav.scp", "face.scp", "utt2spk", "utt2dur", "utt2session", "feats.scp", "aligned.scp", "teacher.scp",
)  # fmt: skip


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
            for number, raw in enumerate(stream, 1):
                line = raw.strip()
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


def encode_key(text: str) -> str:
    """A path as a key: every whitespace character percent-encoded, everything else as it is."""
    return "".join(quote(letter) if letter.isspace() else letter for letter in text)


def spell_path(path: Path | str) -> str:
    """An absolute path as a table's value. Raises InputError where a line cannot carry it."""
    text = str(Path(path).absolute())
    if text != text.strip() or any(letter in text for letter in "\n\r"):
        raise InputError("a path with a line break, or a blank at its end", repr(text), "rename it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("a path that is not UTF-8", repr(text), "rename it") from error
    return text


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """The spk2utt table of a utt2spk table: {speaker: its keys, sorted bytewise, blanks between}."""
    return {speaker: " ".join(keys) for speaker, keys in _lists(utt2spk).items()}


def _lists(table: Mapping[str, str]) -> dict[str, list[str]]:
    """{value: its keys, sorted bytewise}."""
    lists: dict[str, list[str]] = {}
    for key in sorted(table, key=lambda k: k.encode()):
        lists.setdefault(table[key], []).append(key)
    return lists


class DataDir:
    """A data directory; each table is read when first asked for, and once.

    Raises InputError where the folder or a table asked for is missing or broken.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError("no such data directory", self.path, "make it with `speakerkd prepare`")
        self._tables: dict[str, dict[str, str]] = {}

    def has(self, name: str) -> bool:
        """True if the table is there."""
        return (self.path / name).is_file()

    def table(self, name: str) -> dict[str, str]:
        """A table as {key: value}, in file order (see read_table)."""
        if name not in self._tables:
            self._tables[name] = read_table(self.path / name)
        return self._tables[name]

    @property
    def keys(self) -> list[str]:
        """The utterances, in the order of utt2spk."""
        return list(self.table("utt2spk"))

    @property
    def speakers(self) -> dict[str, list[str]]:
        """{speaker: its utterances}."""
        return _lists(self.table("utt2spk"))

    @property
    def sessions(self) -> dict[str, list[str]]:
        """{session: its utterances}, a session being what shares one face (`<speaker>/<session>`)."""
        return _lists(self.table("utt2session"))

    @property
    def paired(self) -> list[str]:
        """The utterances that have a face, in the order of face.scp; none where there is no face.scp."""
        return list(self.table("face.scp")) if self.has("face.scp") else []

    @property
    def trial_lists(self) -> dict[str, Path]:
        """{name: path} of the trial lists, `trials_hard` under `hard`."""
        return {path.name.removeprefix("trials_"): path for path in sorted(self.path.glob("trials_*"))}

    def subset(self, keys: Collection[str], output: Path | str) -> DataDir:
        """Write the part of this directory that holds `keys` to `output`, without trial lists.

        Raises InputError for a key that is not here.
        """
        wanted = set(keys)
        unknown = wanted.difference(self.table("utt2spk"))
        if unknown:
            raise InputError(
                f"unknown utterance '{min(unknown)}'", self.path / "utt2spk", "name utterances of this set"
            )
        if not wanted:
            raise InputError("an empty subset", self.path, "name at least one utterance")
        tables = {
            name: {key: value for key, value in self.table(name).items() if key in wanted}
            for name in UTTERANCE_TABLES
            if self.has(name)
        }
        if self.has("spk2gender"):
            speakers = set(tables["utt2spk"].values())
            tables["spk2gender"] = {s: g for s, g in self.table("spk2gender").items() if s in speakers}
        return write_datadir(output, tables)


def write_datadir(
    path: Path | str, tables: Mapping[str, Mapping[str, str]], texts: Mapping[str, Iterable[str]] | None = None
) -> DataDir:
    """Write the tables (spk2utt is made from utt2spk; empty tables are left out) and other text files, line by line.

    A new directory appears whole or not at all. In one that is already there each file is replaced whole, after all of
    them could be written, and files that others added (archives, alignments) stay.
    """
    path = Path(path)
    tables = {**tables, "spk2utt": invert(tables["utt2spk"])}
    with whole_dir(path if not path.exists() else path / ".new") as folder:
        for name, table in tables.items():
            if table:
                write_table(folder / name, table)
        for name, lines in (texts or {}).items():
            with whole_file(folder / name) as stream:
                stream.writelines(line + "\n" for line in lines)
    fresh = path / ".new"
    if fresh.is_dir():
        for name, table in tables.items():
            if not table:
                (path / name).unlink(missing_ok=True)
        for file in sorted(fresh.iterdir()):
            file.replace(path / file.name)
        fresh.rmdir()
    return DataDir(path)


def require_file(directory: Path | str, name: str, verb: str) -> None:
    """Raise InputError where a data directory, or this file of it, is missing; verb: what makes the file."""
    path = Path(directory)
    if not path.is_dir():
        raise InputError("no such data directory", path, "give a directory made by `speakerkd prepare`")
    if not (path / name).is_file():
        raise InputError(f"the data directory has no {name}", path, f"run `{verb}` on it first")
