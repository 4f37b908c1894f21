"""From a list of recordings to a data directory: what every corpus has in common."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speakerkd.corpora.probe import check_picture, measure
from speakerkd.data.datadir import encode_key, spell_path, write_datadir
from speakerkd.errors import InputError
from speakerkd.frontend.truncation import Truncated
from speakerkd.work import shards
from speakerkd.work.files import naming
from speakerkd.work.lock import locked
from speakerkd.work.origin import Stamp, state
from speakerkd.work.rejected import Rejected

CHUNK = 200  # recordings that a process takes at a time


@dataclass(frozen=True, slots=True)
class Recording:
    """One utterance as found on disk, nothing checked yet.

    key: relative path without extension, as it is spelt on disk; blanks in it are encoded later, as in speaker and
    session. session: what shares a face, `<speaker>/<session>`, or "". face: an image or a video, or "".
    """

    key: str
    audio: str
    speaker: str
    session: str = ""
    face: str = ""


@dataclass(frozen=True)
class Work:
    """How a verb does its work: processes, or a cluster's address, and the share of the input that may be lost."""

    jobs: int = 0
    cluster: str | None = None
    max_rejected: float = 0.01
    truncated: Truncated = "refuse"  # or "keep": what becomes of a recording of which a part is missing


@dataclass(frozen=True)
class Built:
    """What became of a data directory."""

    path: Path
    utterances: int
    speakers: int
    faces: int
    seconds: float
    account: str  # how much went in, came out and was refused; or that nothing had changed
    left_out: str = ""  # what lay in the corpus and was not used, by reason

    def __str__(self) -> str:
        hours = f"{self.seconds / 3600:.2f} h"
        counts = f"{self.utterances} utterances, {self.speakers} speakers, {self.faces} with a face, {hours}"
        return f"{self.path}: {counts}; {self.account}" + (f"\n{self.left_out}" if self.left_out else "")


def build(
    output: Path | str,
    recordings: Sequence[Recording],
    work: Work,
    *,
    gender: Mapping[str, str] | None = None,
    texts: Mapping[str, Iterable[str]] | None = None,
    refused: Iterable[tuple[str, str]] = (),
    left_out: str = "",
    inputs: Iterable[Path] = (),
    **settings: Any,
) -> Built:
    """Write a data directory of the recordings that are whole; the others are listed in `<output>.rejected`.

    gender: {speaker: m|f}. texts: other files of the directory, {name: lines}. refused: (name, reason) of what was
    turned away before. left_out: what lay there and is not used, in a line or two. inputs, settings: lists and
    options that the result depends on, besides the media files.
    A directory that is there and made from the same files with the same settings is left as it is.
    Raises InputError when nothing is left, more than the share `work.max_rejected` was lost, or another process is at
    work on the same directory.
    """
    output = Path(output)
    with naming(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with locked(output.with_name(f".{output.name}.lock"), "speakerkd prepare"):
        return _build(
            output,
            recordings,
            work,
            gender=gender,
            texts=texts,
            refused=refused,
            left_out=left_out,
            inputs=inputs,
            settings=settings,
        )


def _build(
    output: Path,
    recordings: Sequence[Recording],
    work: Work,
    *,
    gender: Mapping[str, str] | None,
    texts: Mapping[str, Iterable[str]] | None,
    refused: Iterable[tuple[str, str]],
    left_out: str,
    inputs: Iterable[Path],
    settings: dict[str, Any],
) -> Built:
    rejected = Rejected(output, work.max_rejected)
    for name, reason in refused:
        rejected.refuse(name, reason)
    ready = list(_spelled(recordings, rejected))
    listing = _fingerprint(ready, rejected.records)
    if work.truncated != "refuse":
        settings["truncated"] = work.truncated
    stamp = Stamp(output, inputs, listing=listing, **settings)
    if stamp.is_current() and _is_whole(output, ready, texts or {}):
        return _summary(output, "up to date", left_out)
    tables: dict[str, dict[str, str]] = {
        name: {} for name in ("wav.scp", "utt2spk", "utt2dur", "utt2session", "face.scp", "spk2gender")
    }
    chunks = [ready[start : start + CHUNK] for start in range(0, len(ready), CHUNK)]
    probe, kept = functools.partial(_probe, truncated=work.truncated), 0
    for _, rows in shards.each(probe, chunks, jobs=work.jobs, cluster=work.cluster, label=f"prepare {output.name}"):
        if isinstance(rows, InputError):
            raise rows
        for recording, seconds, missing, faults in rows:
            for name, reason in faults:
                rejected.refuse(name, reason)
            if seconds is None:
                continue
            kept += missing > 0
            rejected.take()
            key = recording.key
            tables["wav.scp"][key] = recording.audio
            tables["utt2spk"][key] = recording.speaker
            tables["utt2dur"][key] = f"{seconds:.3f}"
            if recording.session:
                tables["utt2session"][key] = recording.session
            if recording.face:
                tables["face.scp"][key] = recording.face
    speakers = set(tables["utt2spk"].values())
    tables["spk2gender"] = {encode_key(s): g for s, g in (gender or {}).items() if encode_key(s) in speakers}
    rejected.close()
    output.with_name(output.name + ".made.json").unlink(missing_ok=True)  # not up to date while files are replaced
    write_datadir(output, tables, texts)
    stamp.write()
    return _summary(output, f"{rejected}, {kept} truncated and kept" if kept else str(rejected), left_out)


def _is_whole(output: Path, recordings: Sequence[Recording], texts: Iterable[str]) -> bool:
    """Whether the files are there that a directory of these recordings has; later verbs may have changed them."""
    wanted = {"wav.scp", "utt2spk", "spk2utt", "utt2dur", *texts}
    if any(one.face for one in recordings):
        wanted.add("face.scp")
    if any(one.session for one in recordings):
        wanted.add("utt2session")
    return all((output / name).is_file() for name in wanted)


def _summary(output: Path, account: str, left_out: str) -> Built:
    from speakerkd.data.datadir import DataDir

    directory = DataDir(output)
    seconds = sum(float(value) for value in directory.table("utt2dur").values())
    return Built(
        output, len(directory.keys), len(directory.speakers), len(directory.paired), seconds, account, left_out
    )


def _spelled(recordings: Iterable[Recording], rejected: Rejected) -> Iterator[Recording]:
    """The recordings as tables spell them, in the order of their keys, refusing what a table cannot carry."""
    seen: dict[str, str] = {}
    for one in sorted(recordings, key=lambda r: r.key):
        try:
            key = encode_key(one.key)
            audio = spell_path(one.audio)
            key.encode()
            face = spell_path(one.face) if one.face else ""
        except InputError as error:
            rejected.refuse(ascii(one.key), error)
            continue
        except UnicodeEncodeError:
            rejected.refuse(ascii(one.key), "a name that is not UTF-8, rename the file")
            continue
        if key in seen:
            rejected.refuse(key, f"duplicate key, {audio}, {seen[key]} has it already: rename one of the two")
            continue
        seen[key] = audio
        yield Recording(key, audio, encode_key(one.speaker), encode_key(one.session), face)


def _probe(
    chunk: Sequence[Recording], truncated: Truncated
) -> list[tuple[Recording, float | None, float, list[tuple[str, str]]]]:
    """Each recording, its seconds (None if it is refused), those missing, and (name, reason) of what is wrong."""
    result = []
    for one in chunk:
        faults: list[tuple[str, str]] = []
        seconds: float | None = None
        missing = 0.0
        sound = one
        try:
            seconds, missing = measure(one.audio, truncated)
        except InputError as error:
            faults.append((one.key, str(error)))
        if seconds is not None and one.face:
            try:
                check_picture(one.face)
            except InputError as error:
                faults.append((one.key, f"the face: {error}"))
                sound = Recording(one.key, one.audio, one.speaker, one.session)
        result.append((sound, seconds, missing, faults))
    return result


def _fingerprint(recordings: Iterable[Recording], refused: Iterable[tuple[str, str]]) -> str:
    """A digest of names and of the files as they are, so that a second run need not open them again."""
    digest = hashlib.sha256()
    for one in recordings:
        digest.update(f"{one.key}\0{one.speaker}\0{one.session}\0".encode())
        for path in filter(None, (one.audio, one.face)):
            digest.update(f"{path}\0{state(path)}\0".encode())
    for name, reason in refused:
        digest.update(f"{name}\0{reason}\0".encode())
    return digest.hexdigest()[:16]
