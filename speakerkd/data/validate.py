"""Does a data directory keep the contract? Every rule, with the file and line that break it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from speakerkd.data.datadir import UTTERANCE_TABLES, invert
from speakerkd.errors import InputError

SAME_KEYS = ("wav.scp", "utt2dur", "utt2session")  # the same utterances as utt2spk; other tables may hold fewer
FILES = ("wav.scp", "face.scp", "aligned.scp")
OFFSETS = ("feats.scp", "teacher.scp")
LABELS = {"0", "1", "target", "nontarget"}
SHOWN = 20  # of one rule in one file; the rest are counted


@dataclass(frozen=True)
class Problem:
    """One broken rule: in which file, at which line (0 for the file as a whole), and the rule."""

    file: Path
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}" if self.line else f"{self.file}: {self.rule}"


@dataclass(frozen=True)
class Table:
    """A table with the line that each key stands on."""

    path: Path
    values: dict[str, str]
    lines: dict[str, int]


def validate(path: Path | str) -> list[Problem]:
    """Check a data directory against the contract; an empty list means that it holds.

    Rules: tables are UTF-8, sorted bytewise, without duplicate keys or lines that are no record; wav.scp, utt2dur and
    utt2session have the keys of utt2spk, other tables no others; spk2utt is the inverse of utt2spk; files exist and
    are not empty; durations are positive; genders are m or f; a session belongs to its speaker and has one aligned
    face and one teacher embedding; trials and enrolment models name recordings that are there.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError("no such data directory", path, "make it with `speakerkd prepare`")
    report = _Report()
    for name in ("utt2spk", "spk2utt"):
        if not (path / name).is_file():
            report(path / name, 0, "missing: every data directory has it")
    tables = {
        name: _read(path / name, report)
        for name in (*UTTERANCE_TABLES, "spk2utt", "spk2gender", "enroll.map")
        if (path / name).is_file()
    }
    if not any(name in tables for name in ("wav.scp", "face.scp", "feats.scp")):
        report(path, 0, "no recordings and no pictures: it needs wav.scp, face.scp or feats.scp")
    if "utt2spk" in tables:
        _check_keys(tables, report)
        _check_speakers(tables, report)
        _check_sessions(tables, report)
    for name, table in tables.items():
        if name in FILES:
            _check_files(table, report)
        elif name in OFFSETS:
            _check_offsets(table, report)
        elif name in VALUES:
            _check_values(table, *VALUES[name], report)
    if "utt2spk" in tables:
        models = tables["enroll.map"].values if "enroll.map" in tables else {}
        known = {*tables["utt2spk"].values, *models}
        for file in sorted(path.glob("trials_*")):
            _check_trials(file, known, report)
    return report.problems


class _Report:
    """Collects problems, counting those of one rule in one file beyond the first few."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, str], list[Problem]] = {}
        self._count: Counter[tuple[Path, str]] = Counter()

    def __call__(self, file: Path, line: int, rule: str, detail: str = "") -> None:
        kind = (file, rule)
        self._count[kind] += 1
        if self._count[kind] <= SHOWN:
            self._found.setdefault(kind, []).append(Problem(file, line, f"{rule}: {detail}" if detail else rule))

    @property
    def problems(self) -> list[Problem]:
        result: list[Problem] = []
        for kind, found in self._found.items():
            result += found
            more = self._count[kind] - len(found)
            if more:
                result.append(Problem(kind[0], 0, f"{kind[1]}: {more} more lines"))
        return result


def _read(path: Path, report: _Report) -> Table:
    """Read a table, reporting whatever its form breaks; broken lines are left out."""
    table = Table(path, {}, {})
    before = b""
    for number, line in _lines(path, report):
        key, _, value = line.replace("\t", " ").partition(" ")
        if not key or not value.strip():
            report(path, number, "a line is `key value`", repr(line[:80]))
            continue
        if key in table.values:
            report(path, number, "a key stands once", f"'{key}' is on line {table.lines[key]} too")
            continue
        if key.encode() < before:
            report(path, number, "keys are sorted bytewise (LC_ALL=C)", f"'{key}' comes too late")
        before = max(before, key.encode())
        table.values[key], table.lines[key] = value.strip(), number
    if not table.values:
        report(path, 0, "a table is not empty")
    return table


def _lines(path: Path, report: _Report) -> Iterator[tuple[int, str]]:
    """The lines that are UTF-8 and not blank, numbered from 1, reporting the others."""
    with open(path, "rb") as stream:
        for number, raw in enumerate(stream, 1):
            if not raw.endswith(b"\n"):
                report(path, number, "the last line ends in a line feed")
            if raw.endswith(b"\r\n"):
                report(path, number, "lines end in a line feed alone, not in CR LF")
            try:
                line = raw.decode().rstrip("\r\n")
            except UnicodeDecodeError:
                report(path, number, "text is UTF-8")
                continue
            if line.startswith("\ufeff"):
                report(path, number, "a table has no byte-order mark")
                line = line[1:]
            if not line.strip():
                report(path, number, "no blank lines")
                continue
            yield number, line


def _check_keys(tables: Mapping[str, Table], report: _Report) -> None:
    owners = tables["utt2spk"]
    for name in UTTERANCE_TABLES:
        table = tables.get(name)
        if table is None or name == "utt2spk":
            continue
        for key in _in_order(table, table.values.keys() - owners.values.keys()):
            report(table.path, table.lines[key], "utterances are those of utt2spk", f"'{key}' is not there")
        if name in SAME_KEYS:
            for key in _in_order(owners, owners.values.keys() - table.values.keys()):
                report(owners.path, owners.lines[key], f"every utterance is in {name}", f"'{key}' is not")


def _in_order(table: Table, keys: Collection[str]) -> list[str]:
    return sorted(keys, key=table.lines.__getitem__)


def _check_speakers(tables: Mapping[str, Table], report: _Report) -> None:
    owners = tables["utt2spk"]
    speakers = invert(owners.values)
    listed = tables.get("spk2utt")
    if listed is not None:
        for speaker, keys in listed.values.items():
            if speaker not in speakers:
                report(listed.path, listed.lines[speaker], "spk2utt is the inverse of utt2spk", f"no '{speaker}' there")
            elif " ".join(keys.split()) != speakers[speaker]:
                report(
                    listed.path, listed.lines[speaker], "spk2utt is the inverse of utt2spk", f"'{speaker}' lists others"
                )
        for speaker in sorted(speakers.keys() - listed.values.keys()):
            line = owners.lines[speakers[speaker].split(" ", 1)[0]]
            report(owners.path, line, "every speaker is in spk2utt", f"'{speaker}' is not")
    gender = tables.get("spk2gender")
    if gender is not None:
        for speaker in _in_order(gender, gender.values.keys() - speakers.keys()):
            report(gender.path, gender.lines[speaker], "speakers are those of utt2spk", f"'{speaker}' is not there")
    models = tables.get("enroll.map")
    if models is not None:
        for model, keys in models.values.items():
            for key in keys.split():
                if key not in owners.values:
                    report(models.path, models.lines[model], "models name utterances of utt2spk", f"'{key}'")


def _check_sessions(tables: Mapping[str, Table], report: _Report) -> None:
    sessions = tables.get("utt2session")
    if sessions is None:
        return
    owners = tables["utt2spk"].values
    for key, session in sessions.values.items():
        if key in owners and not session.startswith(owners[key] + "/"):
            report(sessions.path, sessions.lines[key], "a session is `<speaker>/<session>`", f"'{session}'")
    for name, what in (("aligned.scp", "face"), ("teacher.scp", "teacher embedding")):
        table = tables.get(name)
        seen: dict[str, str] = {}
        for key, value in table.values.items() if table else ():
            session = sessions.values.get(key, key)
            if seen.setdefault(session, value) != value:
                report(table.path, table.lines[key], f"a session has one {what}", f"'{session}' has a second one")


def _check_files(table: Table, report: _Report) -> None:
    for key, value in table.values.items():
        file = Path(value)
        if not file.is_absolute():
            report(table.path, table.lines[key], "paths are absolute", f"'{value}'")
        elif not file.is_file():
            report(table.path, table.lines[key], "files exist", f"'{value}' does not")
        elif file.stat().st_size == 0:
            report(table.path, table.lines[key], "files are not empty", f"'{value}' is")


def _check_offsets(table: Table, report: _Report) -> None:
    sizes: dict[str, int] = {}
    for key, value in table.values.items():
        file, _, offset = value.rpartition(":")
        if not offset.isdigit():
            report(table.path, table.lines[key], "a value is `archive:offset`", f"'{value}'")
            continue
        if file not in sizes:
            sizes[file] = Path(file).stat().st_size if Path(file).is_file() else 0
        if int(offset) >= sizes[file]:
            report(table.path, table.lines[key], "archives exist and hold their records", f"'{value}'")


def _check_values(table: Table, fits: Callable[[str], bool], rule: str, report: _Report) -> None:
    for key, value in table.values.items():
        if not fits(value):
            report(table.path, table.lines[key], rule, f"'{value}'")


def _is_duration(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


VALUES = {
    "utt2dur": (_is_duration, "a duration is a positive number of seconds"),
    "spk2gender": ({"m", "f"}.__contains__, "a gender is m or f"),
}


def _check_trials(path: Path, known: Collection[str], report: _Report) -> None:
    for number, line in _lines(path, report):
        names = trial_names(line)
        if names is None:
            report(path, number, "a trial is `1 a b`, `a b 1`, `a b target` or `a b`", repr(line[:80]))
            continue
        for name in names:
            if find_key(name, known) is None:
                report(path, number, "trials name recordings of the set", f"'{name}' is not there")


def trial_names(line: str) -> tuple[str, str] | None:
    """The enrolment and test names of a line of a trial list, with or without a label; None if it is no trial."""
    fields = line.split()
    if len(fields) == 3 and fields[0] in ("0", "1"):
        return fields[1], fields[2]
    if len(fields) == 3 and fields[2] in LABELS:
        return fields[0], fields[1]
    return (fields[0], fields[1]) if len(fields) == 2 else None


def find_key(name: str, known: Collection[str]) -> str | None:
    """The key that a trial list's name means, with or without a file extension (`.wav`); None if unknown."""
    if name in known:
        return name
    stem, dot, extension = name.rpartition(".")
    return stem if dot and "/" not in extension and stem in known else None
