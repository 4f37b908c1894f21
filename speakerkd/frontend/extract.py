"""Fbank of a data directory: wav.scp (and segments) -> feats.scp, utt2num_frames, utt2dur; nothing is read twice."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from speakerkd.config import parse
from speakerkd.data.archive import FeatureArchive, write_ark, write_scp
from speakerkd.data.sounds import Sound, read_sounds
from speakerkd.data.tables import read_table, write_table
from speakerkd.errors import InputError
from speakerkd.frontend.augment import Augmentation, apply
from speakerkd.frontend.fbank import FbankSettings, fbank
from speakerkd.frontend.sounds import record_sound
from speakerkd.frontend.truncation import Truncated
from speakerkd.work import shards
from speakerkd.work.files import whole_file, write_json
from speakerkd.work.ledger import Ledger, write_batch
from speakerkd.work.lock import working_in
from speakerkd.work.origin import Stamp, signature, summary
from speakerkd.work.records import read_json
from speakerkd.work.rejected import Rejected

AUGMENT = "augment.json"
LEAST_BATCH = 64
WORTH_A_PROCESS = 1000  # recordings: with fewer, starting another process costs more than it saves
MOST_ARKS = 256  # a reader maps each ark
Location = tuple[int, int, int, float]  # of a recording: offset in its ark, frames, samples, seconds missing


def extract_fbank(
    directory: Path | str,
    settings: FbankSettings | None = None,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    max_rejected: float = 0.01,
    truncated: Truncated = "refuse",
) -> Rejected:
    """Make `feats.scp`, `utt2num_frames`, `utt2dur` and `feats.json` (the settings) from a data directory's `wav.scp`.

    A directory with `augment.json` (`speakerkd augment`) gets the features of its recordings after those changes.
    Where it has `segments`, the utterances are those parts of the recordings. Only what is new, changed, or was made
    with other settings is read; a killed run goes on where it stopped. jobs: processes, 0 for as many as cores and work
    allow. What cannot be read is listed in `fbank.rejected`.
    truncated: "keep" what is there of a recording that is not whole, and list it in `fbank.notes`, or "refuse" it.
    Raises InputError where more than the share `max_rejected` was lost; feats.scp is then left as it was.
    """
    directory, settings = Path(directory), settings or FbankSettings()
    sources = read_sounds(directory)
    folder = (directory / "fbank").absolute()
    with working_in(folder, "speakerkd fbank"):
        return _extract(
            directory,
            folder,
            sources,
            settings,
            jobs=jobs,
            cluster=cluster,
            max_rejected=max_rejected,
            truncated=truncated,
        )


def read_augmentation(directory: Path) -> Augmentation | None:
    """What `augment.json` says is done to the directory's recordings; None without one."""
    path = directory / AUGMENT
    if not path.is_file():
        return None
    return parse(Augmentation, read_json(path, dict[str, Any], "run `speakerkd augment` again"), path)


def _extract(
    directory: Path,
    folder: Path,
    sources: dict[str, Sound],
    settings: FbankSettings,
    *,
    jobs: int,
    cluster: str | None,
    max_rejected: float,
    truncated: Truncated,
) -> Rejected:
    signatures = {
        key: signature([sound.path]) + ("" if sound.is_whole else f" {sound.start} {sound.end}")
        for key, sound in sources.items()
    }
    kept: dict[str, Any] = {"truncated": truncated} if truncated == "keep" else {}
    augmentation = read_augmentation(directory)
    if augmentation is not None:
        kept["augment"] = augmentation.model_dump(mode="json")
    ledger: Ledger[Location] = Ledger(folder, settings.model_dump() | kept, Location)
    pending = ledger.pending(signatures)
    size = max(LEAST_BATCH, -(-len(sources) // MOST_ARKS))
    groups = [pending[start : start + size] for start in range(0, len(pending), size)]
    batches = [
        (path, [(key, sources[key], signatures[key]) for key in group])
        for path, group in zip(ledger.next_batches(len(groups)), groups, strict=True)
    ]
    jobs = jobs or max(1, min(os.cpu_count() or 1, len(pending) // WORTH_A_PROCESS))
    work = functools.partial(
        _extract_batch, settings=settings, origin=ledger.origin, truncated=truncated, augmentation=augmentation
    )
    for (path, _), result in shards.each(work, batches, jobs=jobs, cluster=cluster, label="fbank"):
        if isinstance(result, InputError):
            raise result
        ledger.add(path)

    rejected = Rejected(directory / "fbank", max_rejected)
    done: dict[str, Location] = {}
    for key, sign in signatures.items():
        if key in ledger.done and ledger.done[key][0] == sign:
            done[key] = ledger.done[key][1]
        else:
            rejected.refuse(key, ledger.refused[key][1])
    rejected.take(len(done))
    rejected.close()
    places = {key: f"{ledger.file(key, '.ark')}:{offset}" for key, (offset, *_) in done.items()}
    if pending or not _names(directory / "feats.scp", places):
        write_scp(directory / "feats.scp", places)
    write_table(directory / "utt2num_frames", {key: str(frames) for key, (_, frames, *_) in done.items()})
    write_table(directory / "utt2dur", {key: f"{count / settings.rate:.3f}" for key, (_, _, count, _) in done.items()})
    notes = {key: missing for key, (*_, missing) in done.items() if missing}
    with whole_file(directory / "fbank.notes") as stream:
        stream.writelines(f"{key}\ttruncated and kept: {missing:.2f} s missing\n" for key, missing in notes.items())
    write_json(directory / "feats.json", settings.model_dump())
    Stamp(directory / "feats.scp", [], **settings.model_dump(), **kept, recordings=summary(signatures)).write()
    ledger.sweep(signatures)
    FeatureArchive(directory / "feats.scp")  # checks all, and caches the index while the headers are at hand
    return rejected


def _names(scp: Path, places: dict[str, str]) -> bool:
    """True if the scp names just these places; it is then left as it is, and so are the indices made of it."""
    try:
        return read_table(scp) == places
    except InputError:
        return False


def _extract_batch(
    batch: tuple[Path, list[tuple[str, Sound, str]]],
    settings: FbankSettings,
    origin: dict[str, Any],
    truncated: Truncated,
    augmentation: Augmentation | None = None,
) -> None:
    """Write one ark and its record; runs in a worker."""
    import torch

    path, utterances = batch
    ark = path.with_suffix(".ark")
    samples: dict[str, int] = {}
    missing: dict[str, float] = {}
    frames: dict[str, int] = {}
    refused: dict[str, tuple[str, str]] = {}

    def features() -> Iterator[tuple[str, np.ndarray]]:
        for key, source, sign in utterances:
            try:
                recorded = record_sound(source, settings.rate, truncated)
                wave, missing[key] = recorded.samples, recorded.missing
                if augmentation is not None:
                    wave = apply(augmentation, key, wave, settings.rate)
                frames[key] = settings.frames(len(wave))
                if frames[key] == 0:
                    what = f"{len(wave) / settings.rate:.3f} s, shorter than a window of {settings.frame_length:g} ms"
                    raise InputError(what, source, "leave the recording out")
            except InputError as error:
                refused[key] = (sign, str(error))
                continue
            samples[key] = len(wave)
            yield key, fbank(torch.from_numpy(wave)[None], settings)[0].numpy()

    places = write_ark(ark, features())
    if not places:
        ark.unlink()
    done = {
        key: (sign, (int(places[key].rpartition(":")[2]), frames[key], samples[key], missing[key]))
        for key, _, sign in utterances
        if key in places
    }
    write_batch(path, origin, done, refused, [ark] if places else [])
