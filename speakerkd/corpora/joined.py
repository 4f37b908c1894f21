"""Short recordings joined into longer ones: CN-Celeb's are too short to train on one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from speakerkd.corpora.build import CHUNK, Recording, Work
from speakerkd.corpora.probe import duration
from speakerkd.errors import InputError
from speakerkd.frontend.audio import RATE, read_audio
from speakerkd.work import shards
from speakerkd.work.files import whole_file


def join_short(recordings: Sequence[Recording], folder: Path, least: float, work: Work) -> list[Recording]:
    """The recordings, those under `least` seconds joined to at least that within a speaker and genre, in key order.

    What is left over at the end of a genre joins the piece before it; a short recording alone in its genre stays as
    it is. The joined ones are FLAC files below `folder`, 16 kHz mono, named after their first recording; one that was
    made of the same files is not made again. A recording that cannot be read is left for `build` to refuse.
    """
    seconds = _durations(recordings, work)
    kept: list[Recording] = []
    short: dict[str, list[Recording]] = {}
    for one in sorted(recordings, key=lambda r: r.key):
        length = seconds[one.key]
        if length is None or length >= least:
            kept.append(one)
        else:
            short.setdefault(f"{one.speaker}/{genre(one.key, one.speaker)}", []).append(one)
    groups: list[tuple[str, list[Recording]]] = []
    for scene, members in short.items():
        for group in _groups(members, [seconds[one.key] or 0.0 for one in members], least):
            if len(group) == 1:
                kept += group
            else:
                groups.append((scene, group))
    write = partial(_write, folder=folder)
    results = {_path(group, folder).name for _, group in groups}
    for (scene, group), result in shards.each(write, groups, jobs=work.jobs, cluster=work.cluster, label="join"):
        if isinstance(result, InputError):  # damaged beyond its header: on their own they are refused by name
            kept += group
        else:
            first = group[0]
            kept.append(Recording(f"{first.key}-and-{len(group) - 1}", str(result), first.speaker, scene))
    for old in folder.rglob("*.flac") if folder.is_dir() else ():
        if old.name not in results:  # of other recordings, or of another least length
            old.unlink()
    return kept


def genre(key: str, speaker: str) -> str:
    """`interview` of id00800/interview-01-003 and of test/id00800-interview-01-003."""
    return key.rpartition("/")[2].removeprefix(f"{speaker}-").partition("-")[0]


def _durations(recordings: Sequence[Recording], work: Work) -> dict[str, float | None]:
    chunks = [recordings[start : start + CHUNK] for start in range(0, len(recordings), CHUNK)]
    seconds: dict[str, float | None] = {}
    for chunk, lengths in shards.each(_lengths, chunks, jobs=work.jobs, cluster=work.cluster, label="lengths"):
        if isinstance(lengths, InputError):
            raise lengths
        seconds |= dict(zip((one.key for one in chunk), lengths, strict=True))
    return seconds


def _lengths(chunk: Sequence[Recording]) -> list[float | None]:
    lengths: list[float | None] = []
    for one in chunk:
        try:
            lengths.append(duration(one.audio))
        except InputError:
            lengths.append(None)
    return lengths


def _groups(members: Sequence[Recording], lengths: Sequence[float], least: float) -> list[list[Recording]]:
    groups: list[list[Recording]] = []
    total = least
    for one, length in zip(members, lengths, strict=True):
        if total >= least:
            groups.append([])
            total = 0.0
        groups[-1].append(one)
        total += length
    if total < least and len(groups) > 1:
        left = groups.pop()
        groups[-1] += left
    return groups


def _path(group: Sequence[Recording], folder: Path) -> Path:
    """Its name tells the files that it is made of, as they are now."""
    digest = hashlib.blake2b(digest_size=6)
    for one in group:
        state = Path(one.audio).stat()
        digest.update(f"{one.audio}\0{state.st_size}\0{state.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    name = group[0].key.rpartition("/")[2]
    return folder / group[0].speaker / f"{name}.{digest.hexdigest()}.flac"


def _write(item: tuple[str, Sequence[Recording]], folder: Path) -> Path:
    import soundfile

    path = _path(item[1], folder)
    if not path.is_file():
        samples = np.concatenate([read_audio(one.audio, RATE) for one in item[1]])
        with whole_file(path, "wb") as stream:
            soundfile.write(stream, samples, RATE, format="FLAC", subtype="PCM_16")
    return path
