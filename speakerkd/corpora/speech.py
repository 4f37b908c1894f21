"""Recordings cut down to their speech: copies without the parts where nobody speaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from speakerkd.corpora.build import Recording, Work
from speakerkd.errors import InputError
from speakerkd.frontend.audio import RATE, read_audio
from speakerkd.frontend.truncation import Truncated
from speakerkd.work import shards
from speakerkd.work.files import whole_file


def keep_speech(
    recordings: Sequence[Recording], folder: Path, work: Work
) -> tuple[list[Recording], list[tuple[str, str]]]:
    """The recordings with their speech alone, and (key, reason) of those that cannot be read or hold none.

    The speech of each is a FLAC file below `folder`, 16 kHz mono, under its key; one that was made of the same file is
    not made again. Raises InputError where silero-vad is not installed.
    """
    write = partial(_write, folder=folder, truncated=work.truncated)
    kept, refused, results = [], [], set()
    for one, result in shards.each(write, recordings, jobs=work.jobs, cluster=work.cluster, label="speech"):
        if isinstance(result, InputError):
            if result.where == "--vad":  # what finds speech is missing: no fault of the recording
                raise result
            refused.append((one.key, str(result)))
        else:
            results.add(result)
            kept.append(Recording(one.key, str(result), one.speaker, one.session, one.face))
    for old in folder.rglob("*.flac") if folder.is_dir() else ():
        if old not in results:
            old.unlink()
    return kept, refused


def _write(one: Recording, folder: Path, truncated: Truncated) -> Path:
    import soundfile

    try:
        state = Path(one.audio).stat()
    except OSError as error:
        raise InputError("cannot be opened", one.audio, "check the file") from error
    named = f"{one.audio}\0{state.st_size}\0{state.st_mtime_ns}\0{truncated}"
    digest = hashlib.blake2b(named.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    path = folder / f"{one.key}.{digest}.flac"
    if not path.is_file():
        samples = read_audio(one.audio, RATE, truncated=truncated, vad=True)
        with whole_file(path, "wb") as stream:
            soundfile.write(stream, samples, RATE, format="FLAC", subtype="PCM_16")
    return path
