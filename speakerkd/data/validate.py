"""Does a data directory keep the contract? Every rule, with the file and line that break it.

Tables, lists and archives are read by the functions that the other verbs read them with, so that what is valid here is
read there; this adds what Kaldi's own tools ask for (order, line ends) and what holds between files.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from speakerkd.data.archive import FeatureArchive
from speakerkd.data.datadir import UTTERANCE_TABLES
from speakerkd.data.names import AMBIGUOUS, NameIndex, composed
from speakerkd.data.sounds import is_command, parse_segment
from speakerkd.data.tables import NAMED_VALUES, invert, parse_table, read_table
from speakerkd.data.text import BYTE_ORDER_MARK, fields_of, read_text, real_number, whole_number
from speakerkd.data.trials import read_trials
from speakerkd.data.vectors import read_shared_vectors
from speakerkd.errors import InputError, one_line
from speakerkd.media.packed import container

SAME_KEYS = ("wav.scp", "segments", "utt2session")  # the same utterances as utt2spk; other tables may hold fewer
FILES = ("wav.scp", "face.scp", "aligned.scp")
OPENED: dict[str, Callable[[Path], object]] = {"feats.scp": FeatureArchive, "teacher.scp": read_shared_vectors}
SHOWN = 20  # of one rule in one file; the rest are counted


@dataclass(frozen=True)
class Problem:
    """One broken rule: in which file, at which line (0 for the file as a whole), and the rule."""

    file: Path
    line: int
    rule: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return one_line(f"{where}: {self.rule}")


@dataclass(frozen=True)
class Table:
    """A table's records. The line of a key is looked up when a rule is broken, so a sound table costs nothing more."""

    path: Path
    values: dict[str, str]

    @cached_property
    def lines(self) -> dict[str, int]:
        """{key: its first line}, in the file's order."""
        first_lines: dict[str, int] = {}
        for number, line in enumerate(read_text(self.path).split(b"\n"), 1):
            if line.strip():
                first_lines.setdefault(composed(line.split(None, 1)[0].decode()), number)
        return first_lines


def validate(path: Path | str) -> list[Problem]:
    """Check a data directory against the contract; an empty list means that it holds.

    Rules: tables are UTF-8, sorted bytewise, without duplicate keys or lines that are no record, names composed (NFC);
    wav.scp (or segments, where that is there) and utt2session have the keys of utt2spk, other tables no others; what
    has features has a duration; spk2utt is the inverse of utt2spk; files exist, are not empty, and no recording stands
    there twice; archives hold the records that are named; durations are positive; genders are m or f; a session belongs
    to its speaker and has one aligned face and one teacher embedding; trial lists are read by `score`, they and
    enrolment models name recordings that are there, and labels agree with the speakers.

    Parameters
    ----------
    path : the data directory.

    Returns
    -------
    The broken rules, file by file; of one rule in one file the first 20, and how many more.

    Raises
    ------
    InputError
        Where there is no such directory.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError("no such data directory", path, "make it with `speakerkd prepare`")
    report = _Report()
    for name in ("utt2spk", "spk2utt"):
        if not (path / name).exists():
            report(path / name, 0, "missing: every data directory has it")
    names = (*UTTERANCE_TABLES, "segments", "spk2utt", "spk2gender", "enroll.map")
    present = {name: _read(path / name, report) for name in names if (path / name).exists()}
    tables = {name: table for name, table in present.items() if table is not None}
    if not any(name in present for name in ("wav.scp", "face.scp", "feats.scp")):
        report(path, 0, "no recordings and no pictures: it needs wav.scp, face.scp or feats.scp")
    if "utt2spk" in tables:
        _check_keys(tables, report)
        _check_speakers(tables, report)
        _check_sessions(tables, report)
    if "segments" in tables:
        _check_segments(tables["segments"], tables.get("wav.scp"), report)
    for name, table in tables.items():
        if name in FILES:
            _check_files(table, report)
        elif name in OPENED:
            _check_archive(table, OPENED[name], report)
        elif name in VALUES:
            _check_values(table, *VALUES[name], report)
    if "utt2spk" in tables:
        models = tables["enroll.map"].values if "enroll.map" in tables else {}
        owners = tables["utt2spk"].values
        own = NameIndex(list(owners))
        firsts = dict(zip(models, own.locate([fields_of(keys)[0] for keys in models.values()]).tolist(), strict=True))
        enrolled = {model: owners[own.keys[first]] if first >= 0 else "" for model, first in firsts.items()}
        for file in sorted(path.glob("trials_*")):
            _check_trials(file, {**owners, **enrolled}, report)
    return report.problems


def describe_segments(path: Path | str) -> str:
    """How a valid data directory's utterances are cut from its recordings, as part of a sentence; or nothing."""
    path = Path(path)
    if not (path / "segments").exists():
        return ""
    counts = len(read_table(path / "segments")), len(read_table(path / "wav.scp"))
    return f", its utterances are {counts[0]} segments of {counts[1]} recordings"


class _Report:
    """Collects problems, counting those of one rule in one file beyond the first few."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str], list[Problem]] = {}
        self._count: Counter[tuple[Path, str]] = Counter()

    def __call__(self, file: Path, line: int, rule: str, detail: str = "") -> None:
        kind = (file, rule)
        self._count[kind] += 1
        if self._count[kind] <= SHOWN:
            self._kept.setdefault(kind, []).append(Problem(file, line, f"{rule}: {detail}" if detail else rule))

    def fault(self, file: Path, error: InputError) -> None:
        """Note what another verb would say about a file; the line, where it names one, ends its `where`."""
        line = whole_number(error.where.removeprefix(f"{file}:")) or 0
        self(file, line, f"{error.what} ({error.fix})" if error.fix else error.what)

    @property
    def problems(self) -> list[Problem]:
        result: list[Problem] = []
        for kind, kept in self._kept.items():
            result += kept
            more = self._count[kind] - len(kept)
            if more:
                result.append(Problem(kind[0], 0, f"{kind[1]}: {more} more lines"))
        return result


def _read(path: Path, report: _Report) -> Table | None:
    """Read a table, reporting whatever its form breaks; None where it cannot be read at all."""
    try:
        content = read_text(path, "table")
    except InputError as error:
        report.fault(path, error)
        return None
    values = parse_table(content, path.name, lambda line, rule, detail: report(path, line, rule, detail))
    _check_form(path, content, report)
    if not values:
        report(path, 0, "a table is not empty")
    return Table(path, values)


def _check_form(path: Path, content: bytes, report: _Report) -> None:
    """What Kaldi's tools ask of a table beyond its records; each is looked for in the whole content first."""
    with open(path, "rb") as stream:
        if stream.read(3) == BYTE_ORDER_MARK:
            report(path, 1, "a table has no byte-order mark")
    lines = content.split(b"\n")
    if content and lines.pop():
        report(path, len(lines) + 1, "the last line ends in a line feed")
        lines = content.split(b"\n")
    if b"\r\n" in content:
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\r"):
                report(path, number, "lines end in a line feed alone, not in CR LF")
    keys = [fields[0] if (fields := line.split(None, 1)) else b"" for line in lines]
    if b"" in keys:
        for number, key in enumerate(keys, 1):
            if not key:
                report(path, number, "no blank lines")
    before = b""
    for number, key in enumerate(keys, 1) if any(a > b for a, b in zip(keys, keys[1:], strict=False)) else ():
        if key and key < before:
            report(path, number, "keys are sorted bytewise (LC_ALL=C)", f"'{key.decode()}' comes too late")
        before = max(before, key)
    if not content.isascii() and not unicodedata.is_normalized("NFC", content.decode()):
        for number, line in enumerate(lines, 1):
            named = line if path.name in NAMED_VALUES else keys[number - 1]
            if not unicodedata.is_normalized("NFC", named.decode()):
                report(path, number, "names are in Unicode's composed form (NFC)", f"'{keys[number - 1].decode()}'")


def _check_keys(tables: Mapping[str, Table], report: _Report) -> None:
    owners = tables["utt2spk"]
    same = [name for name in SAME_KEYS if name in tables and not (name == "wav.scp" and "segments" in tables)]
    for name in (*UTTERANCE_TABLES, "segments"):
        table = tables.get(name)
        if table is None or name == "utt2spk" or (name == "wav.scp" and "segments" in tables):
            continue
        for key in _in_order(table, table.values.keys() - owners.values.keys()):
            report(table.path, table.lines[key], "utterances are those of utt2spk", f"'{key}' is not there")
        if name in same:
            for key in _in_order(owners, owners.values.keys() - table.values.keys()):
                report(owners.path, owners.lines[key], f"every utterance is in {name}", f"'{key}' is not")
    durations, features = tables.get("utt2dur"), tables.get("feats.scp")
    if durations is not None and features is not None:
        for key in _in_order(features, features.values.keys() - durations.values.keys()):
            report(features.path, features.lines[key], "what has features has a duration in utt2dur", f"'{key}'")


def _in_order(table: Table, keys: Collection[str]) -> list[str]:
    return sorted(keys, key=table.lines.__getitem__) if keys else []


def _check_speakers(tables: Mapping[str, Table], report: _Report) -> None:
    owners = tables["utt2spk"]
    speakers = invert(owners.values)
    for name in ("utt2spk", "utt2session"):
        for key, value in tables[name].values.items() if name in tables else ():
            if " " in value or "\t" in value:
                report(tables[name].path, tables[name].lines[key], "a speaker or session is one name", f"'{value}'")
    listed = tables.get("spk2utt")
    if listed is not None:
        for speaker, keys in listed.values.items():
            if speaker not in speakers:
                report(listed.path, listed.lines[speaker], "spk2utt is the inverse of utt2spk", f"no '{speaker}' there")
            elif keys != speakers[speaker] and " ".join(fields_of(keys)) != speakers[speaker]:
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
        index = NameIndex(list(owners.values))
        for model, keys in models.values.items():
            for key in fields_of(keys):
                if index.find(key) < 0:
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
        if table is None:
            continue
        seen: dict[str, str] = {}
        for key, value in table.values.items():
            session = sessions.values.get(key, key)
            if seen.setdefault(session, value) != value:
                report(table.path, table.lines[key], f"a session has one {what}", f"'{session}' has a second one")


def _check_segments(segments: Table, recordings: Table | None, report: _Report) -> None:
    known: Collection[str] = recordings.values if recordings else ()
    for key, value in segments.values.items():
        segment = parse_segment(value)
        if segment is None:
            report(segments.path, segments.lines[key], "a segment is `utterance recording start end`", f"'{value}'")
        elif segment[0] not in known:
            report(segments.path, segments.lines[key], "segments are of recordings of wav.scp", f"'{segment[0]}'")


def _check_files(table: Table, report: _Report) -> None:
    """Files that exist, in one look at each; of recordings, those that two keys name by any path or link."""
    keys = list(table.values)
    files = np.zeros((len(keys), 2), np.uint64)  # device and number of each file
    for row, (key, value) in enumerate(table.values.items()):
        if is_command(value):
            report(table.path, table.lines[key], "values are paths, not command lines (never run)", f"'{value}'")
            continue
        if not value.startswith("/"):
            report(table.path, table.lines[key], "paths are absolute", f"'{value}'")
            continue
        try:
            status = os.stat(container(value))
        except (OSError, ValueError):
            report(table.path, table.lines[key], "files exist", f"'{value}' does not")
            continue
        if not stat.S_ISREG(status.st_mode):
            report(table.path, table.lines[key], "files are regular files", f"'{value}' is not")
        elif status.st_size == 0:
            report(table.path, table.lines[key], "files are not empty", f"'{value}' is")
        else:
            files[row] = status.st_dev, status.st_ino
    if table.path.name != "wav.scp":
        return  # several utterances may share a picture
    order = np.lexsort(files.T)
    again = np.flatnonzero((files[order[1:]] == files[order[:-1]]).all(1) & (files[order[1:]] != 0).any(1))
    for first, second in zip(order[again].tolist(), order[again + 1].tolist(), strict=True):
        detail = f"'{keys[second]}' is the file of '{keys[first]}'"
        report(table.path, table.lines[keys[second]], "a recording stands once", detail)


def _check_archive(table: Table, open_archive: Callable[[Path], object], report: _Report) -> None:
    """Records that are in their archives: first where they should lie, line by line; then what their headers say."""
    sizes: dict[str, int] = {}
    is_sound = True
    for key, value in table.values.items():
        file, _, text = value.rpartition(":")
        offset = whole_number(text)
        if file not in sizes:
            try:
                sizes[file] = os.stat(file).st_size
            except (OSError, ValueError):
                sizes[file] = 0
        if offset is None:
            report(table.path, table.lines[key], "a value is `archive:offset`", f"'{value}'")
        elif offset >= sizes[file]:
            report(table.path, table.lines[key], "archives exist and hold their records", f"'{value}'")
        is_sound = is_sound and offset is not None and offset < sizes[file]
    if is_sound and table.values:
        try:
            open_archive(table.path)
        except InputError as error:
            report.fault(table.path, error)


def _check_values(table: Table, fits: Callable[[str], bool], rule: str, report: _Report) -> None:
    for key, value in table.values.items():
        if not fits(value):
            report(table.path, table.lines[key], rule, f"'{value}'")


def _is_duration(text: str) -> bool:
    number = real_number(text)
    return number is not None and number > 0


VALUES: dict[str, tuple[Callable[[str], bool], str]] = {
    "utt2dur": (_is_duration, "a duration is a positive number of seconds"),
    "spk2gender": ({"m", "f"}.__contains__, "a gender is m or f"),
}


def _check_trials(path: Path, speaker_of: Mapping[str, str], report: _Report) -> None:
    """What `score` would refuse in a list, labels that the speakers belie, and trials of a recording with itself.

    speaker_of: of every recording and enrolment model.
    """
    try:
        trials = read_trials(path, lambda line, what, _: report(path, line, "a trial is one of the list's form", what))
    except InputError as error:
        report.fault(path, error)
        return
    known, numbers = NameIndex(list(speaker_of)), {name: n for n, name in enumerate(set(speaker_of.values()))}
    speakers = np.array([numbers[name] for name in speaker_of.values()] or [-1])
    sides = ((trials.enrol_names, trials.enrol), (trials.test_names, trials.test))
    spoken: list[np.ndarray] = []  # the speaker of each trial's two sides
    for names, index in sides:
        positions = np.array([known.find(name) for name in names])
        for trial in np.flatnonzero((positions < 0)[index]).tolist():
            name = names[index[trial]]
            why = known.explain(name) if positions[index[trial]] == AMBIGUOUS else f"'{name}' is not there"
            report(path, trials.line(trial), "trials name recordings of the set", why)
        spoken.append(np.where(positions < 0, -1, speakers[positions])[index])
    if trials.label is not None:
        differing = (spoken[0] == spoken[1]) != (trials.label == 1)
        for trial in np.flatnonzero(differing & (spoken[0] >= 0) & (spoken[1] >= 0)).tolist():
            pair = f"'{trials.enrol_names[trials.enrol[trial]]}' and '{trials.test_names[trials.test[trial]]}'"
            which = "a target of two speakers" if trials.label[trial] else "a non-target of one speaker"
            report(path, trials.line(trial), "labels agree with utt2spk", f"{which}, {pair}")
    for trial in trials.of_one_recording().tolist():
        name = trials.enrol_names[trials.enrol[trial]]
        report(path, trials.line(trial), "a trial compares two recordings", f"'{name}' with itself")
