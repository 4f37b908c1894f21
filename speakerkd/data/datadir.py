"""The Kaldi data directory: sorted text tables, one record a line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from speakerkd.data.names import encode_key
from speakerkd.data.tables import WRITERS, invert, keys_by_value, read_table, write_table
from speakerkd.errors import InputError
from speakerkd.work.files import whole_dir, whole_file

__all__ = [
    "DataDir",
    "UTTERANCE_TABLES",
    "encode_key",
    "invert",
    "read_table",
    "require_file",
    "spell_path",
    "write_datadir",
    "write_table",
]

UTTERANCE_TABLES = (
    "wav.scp", "face.scp", "utt2spk", "utt2dur", "utt2session", "feats.scp", "aligned.scp", "teacher.scp",
)  # fmt: skip


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
        return keys_by_value(self.table("utt2spk"))

    @property
    def sessions(self) -> dict[str, list[str]]:
        """{session: its utterances}, a session being what shares one face (`<speaker>/<session>`)."""
        return keys_by_value(self.table("utt2session"))

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
    """Write a data directory's tables and other text files.

    A new directory appears whole or not at all. In one that is already there each file is replaced whole, after all of
    them could be written, and files that others added (archives, alignments) stay.

    Parameters
    ----------
    path: the directory.
    tables: {file: {key: value}}, sorted as they are written; spk2utt is made from utt2spk, and empty ones are left out.
    texts: {file: lines}.
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


def require_file(directory: Path | str, name: str, writer: str | None = None) -> None:
    """Raise InputError where a data directory, or this file of it, is missing.

    writer: the command that makes the file, where it is another than `WRITERS` names.
    """
    path = Path(directory)
    if not path.is_dir():
        raise InputError("no such data directory", path, "give a directory made by `speakerkd prepare`")
    if not (path / name).is_file():
        raise InputError(f"the data directory has no {name}", path, f"run {writer or WRITERS[name]} on it first")
