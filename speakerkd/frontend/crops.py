"""Aligned faces of a whole data directory: face.scp -> aligned.scp, one picture a session, never made twice."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from speakerkd.data.datadir import read_table, write_table
from speakerkd.errors import InputError
from speakerkd.frontend.alignment import SIDE
from speakerkd.frontend.faces import FRAMES, DetectorSettings, Face, detector
from speakerkd.frontend.pictures import frames_of
from speakerkd.media.packed import PictureTar
from speakerkd.work import shards
from speakerkd.work.files import remove_parts, whole_file
from speakerkd.work.ledger import Ledger, write_batch
from speakerkd.work.lock import working_in
from speakerkd.work.origin import Stamp, signature, summary
from speakerkd.work.rejected import Rejected

BATCH = 32  # sessions
SOURCES = 5  # pictures or videos of a session that are tried before it is refused
LONGEST_NAME = 240  # bytes; file systems take 255, and the ending comes on top
WORTH_A_PROCESS = 200  # sessions
Each = Literal["session", "utterance"]
MOST_TARS = 256  # of a directory whose crops are packed
Aligned = tuple[str, float, float, float]  # of a session: a note, and its face's score, size and sharpness
Packed = tuple[str, float, float, float, int]  # and where it begins in its tar


def align_faces(
    directory: Path | str,
    settings: DetectorSettings | None = None,
    *,
    detect: bool = True,
    each: Each = "session",
    frames: int = 1,
    pack: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    max_rejected: float = 0.01,
) -> Rejected:
    """Make `aligned.scp` (key -> PNG of 112 x 112 pixels) from a data directory's `face.scp` and `utt2session`.

    Each session gets one face: that of its first utterance's picture, or of the middle of its video; where none is
    found, other frames and the other utterances' pictures are tried. All utterances of the session share it, those
    without a picture too. Without `utt2session` each utterance is a session. detect: False takes the pictures as they
    are, square and already aligned. each: "utterance" gives every utterance a face of its own, from its own video.
    frames: so many faces of a session are looked at, and the sharpest is taken. pack: keep the PNGs in at most some 256
    tars (`aligned.scp` says `faces/000003.tar:1536`), for a million files are slow to copy and to remove. jobs:
    processes, 0 for as many as cores and work allow.

    `face_quality` says of every utterance's face: the detector's score, its size in the picture (mean side of its box
    in pixels) and its `sharpness`. Sessions without a face are listed in `faces.rejected`, those with several in
    `faces.notes`. Only sessions that are new or changed are worked on. Raises InputError where more than the share
    `max_rejected` of them was lost; aligned.scp is then left as it was.
    """
    directory, settings = Path(directory), settings or DetectorSettings()
    sessions, members = _sessions(directory, each)
    with working_in(directory / "faces", "speakerkd faces"):
        return _align(
            directory,
            settings,
            sessions,
            members,
            detect=detect,
            each=each,
            frames=frames,
            pack=pack,
            jobs=jobs,
            cluster=cluster,
            max_rejected=max_rejected,
        )


def _align(
    directory: Path,
    settings: DetectorSettings,
    sessions: dict[str, list[str]],
    members: dict[str, str],
    *,
    detect: bool,
    each: Each,
    frames: int,
    pack: bool,
    jobs: int,
    cluster: str | None,
    max_rejected: float,
) -> Rejected:
    crops, folder = (directory / "aligned").absolute(), (directory / "faces").absolute()
    paths = {session: _crop_path(crops, session) for session in sessions}
    signatures = {session: signature(sources) for session, sources in sessions.items()}
    aligned_by = settings.model_dump(exclude={"batch"}) | {"detect": detect, "each": each, "frames": frames}
    aligned_by |= {"pack": True} if pack else {}
    ledger: Ledger[Any] = Ledger(folder, aligned_by, Packed if pack else Aligned)
    for session in [s for s in ledger.done if not pack and s in paths and not paths[s].is_file()]:
        del ledger.done[session]
    pending = ledger.pending(signatures)
    size = max(BATCH, -(-len(sessions) // MOST_TARS)) if pack else BATCH
    groups = [pending[start : start + size] for start in range(0, len(pending), size)]
    batches = [
        (path, [Session(name, paths[name], sessions[name], signatures[name]) for name in group])
        for path, group in zip(ledger.next_batches(len(groups)), groups, strict=True)
    ]
    jobs = jobs or max(1, min(os.cpu_count() or 1, len(pending) // WORTH_A_PROCESS))
    work = functools.partial(
        _align_batch, settings=settings if detect else None, frames=frames, pack=pack, origin=ledger.origin
    )
    try:
        for (path, _), result in shards.each(work, batches, jobs=jobs, cluster=cluster, label="faces"):
            if isinstance(result, InputError):
                raise result
            ledger.add(path)
    except BaseException:
        for parent in {path.parent for path in paths.values()}:
            remove_parts(parent)  # of workers that were ended
        raise

    rejected = Rejected(directory / "faces", max_rejected)
    notes: dict[str, str] = {}
    qualities: dict[str, str] = {}
    done: set[str] = set()
    for session, sign in signatures.items():
        if session in ledger.done and ledger.done[session][0] == sign:
            done.add(session)
            note, *quality = ledger.done[session][1][:4]
            qualities[session] = " ".join(f"{value:.4g}" for value in quality)
            if note:
                notes[session] = note
        else:
            rejected.refuse(session, ledger.refused[session][1])
    rejected.take(len(done))
    rejected.close()
    with whole_file(directory / "faces.notes") as stream:
        stream.writelines(f"{session}\t{note}\n" for session, note in sorted(notes.items()))
    places = {s: f"{ledger.file(s, '.tar')}:{ledger.done[s][1][4]}" if pack else str(paths[s]) for s in done}
    write_table(directory / "aligned.scp", {key: places[s] for key, s in members.items() if s in done})
    write_table(directory / "face_quality", {key: qualities[s] for key, s in members.items() if s in done})
    # tells readers of the crops that one has changed under an unchanged name
    Stamp(directory / "aligned.scp", [], **aligned_by, pictures=summary(signatures)).write()
    ledger.sweep(signatures)
    return rejected


def _sessions(directory: Path, each: Each = "session") -> tuple[dict[str, list[str]], dict[str, str]]:
    """The pictures of each session in the order of its utterances, and the session of each utterance."""
    faces = read_table(directory / "face.scp")
    if not faces:
        raise InputError("no pictures", directory / "face.scp", "make it with `speakerkd prepare`")
    listed = directory / "utt2session"
    shared = each == "session" and listed.is_file()
    members = {key: key for key in faces} | (read_table(listed) if shared else {})
    sessions: dict[str, dict[str, None]] = {}
    for key in sorted(faces, key=str.encode):
        session = members[key]
        parts = PurePosixPath(session).parts
        if session.startswith("/") or ".." in parts or len(session.split()) != 1:
            raise InputError(f"'{session}' cannot be the name of a session", listed, "write <speaker>/<session>")
        sessions.setdefault(session, {})[faces[key]] = None
    return {s: list(paths)[:SOURCES] for s, paths in sessions.items()}, members


def _crop_path(folder: Path, session: str) -> Path:
    """Where a session's crop goes: below the session's own name, shortened where a file system does not take it."""
    *parents, name = (_short(part) for part in session.split("/"))
    return folder.joinpath(*parents, f"{name}.png")


def _short(name: str) -> str:
    """A name as it is, or its beginning and a digest: blanks written %20 may make it longer than a file's can be."""
    data = name.encode()
    if len(data) <= LONGEST_NAME:
        return name
    return f"{data[: LONGEST_NAME - 40].decode(errors='ignore')}~{hashlib.blake2b(data, digest_size=8).hexdigest()}"


@dataclass(slots=True)
class Session:
    """What a worker needs of a session: its name, where its crop goes, its pictures, and their signature."""

    name: str
    path: Path
    sources: list[str]
    signature: str
    faults: list[str] = field(default_factory=list)

    def pictures(self) -> Iterator[np.ndarray]:
        """Pictures and frames in the order in which they are tried; unreadable sources are noted and passed over."""
        for source in self.sources:
            try:
                yield from frames_of(source, FRAMES)
            except InputError as error:
                self.faults.append(str(error))


def _align_batch(
    batch: tuple[Path, list[Session]],
    settings: DetectorSettings | None,
    frames: int,
    pack: bool,
    origin: dict[str, Any],
) -> None:
    """Write the crops of some sessions, in files of their own or a tar, and their record; runs in a worker."""
    path, sessions = batch
    done: dict[str, tuple[str, Any]] = {}
    refused: dict[str, tuple[str, str]] = {}
    chunks = (sessions[start : start + BATCH] for start in range(0, len(sessions), BATCH))
    if not pack:
        for chunk in chunks:
            _align_some(chunk, settings, frames, done, refused, None)
        write_batch(path, origin, done, refused)
        return
    tar = path.with_suffix(".tar")
    with whole_file(tar, "wb") as stream:
        packed = PictureTar(stream)
        for chunk in chunks:
            _align_some(chunk, settings, frames, done, refused, packed)
        packed.close()
    write_batch(path, origin, done, refused, [tar])


def _align_some(
    sessions: list[Session],
    settings: DetectorSettings | None,
    frames: int,
    done: dict[str, tuple[str, Any]],
    refused: dict[str, tuple[str, str]],
    packed: PictureTar | None,
) -> None:
    """Find the faces of some sessions together, write the best of each, and enter what became of them."""
    waiting = [(session, session.pictures()) for session in sessions]
    tried = dict.fromkeys((session.name for session in sessions), 0)
    crops: dict[str, list[tuple[Face | np.ndarray, int]]] = {session.name: [] for session in sessions}
    while waiting:  # a round takes the next picture of every session that has too few faces yet
        tries = [
            (session, source, picture) for session, source in waiting if (picture := next(source, None)) is not None
        ]
        waiting = []
        for (session, source, _), crop in zip(tries, _crops(tries, settings), strict=True):
            tried[session.name] += 1
            if crop is not None:
                crops[session.name].append((crop, tried[session.name]))
            if len(crops[session.name]) < frames:
                waiting.append((session, source))
    for session in sessions:
        if not crops[session.name]:
            refused[session.name] = (session.signature, _reason(session, tried[session.name]))
            continue
        crop, turn = max(crops[session.name], key=lambda face: sharpness(_pixels(face[0])))
        note = _note(session, crop, turn if frames == 1 else 1)
        if packed is None:
            _write_picture(session.path, _pixels(crop))
            done[session.name] = (session.signature, (note, *_quality(crop)))
        else:
            offset = packed.add(f"{session.name}.png", _png(_pixels(crop)))
            done[session.name] = (session.signature, (note, *_quality(crop), offset))


def _pixels(crop: Face | np.ndarray) -> np.ndarray:
    return crop if isinstance(crop, np.ndarray) else crop.crop


def _quality(crop: Face | np.ndarray) -> tuple[float, float, float]:
    """Score, size and sharpness of a face."""
    if isinstance(crop, np.ndarray):
        return 1.0, float(len(crop)), sharpness(crop)
    sides = crop.box[2:] - crop.box[:2]
    return float(crop.probability), float(sides.mean()), sharpness(crop.crop)


def sharpness(picture: np.ndarray) -> float:
    """Variance of the Laplacian of a picture uint8 (H, W, 3) in grey levels: near 0 for a blurred or empty one."""
    grey = picture.mean(-1)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def _crops(
    tries: Sequence[tuple[Session, Iterator[np.ndarray], np.ndarray]], settings: DetectorSettings | None
) -> Sequence[Face | np.ndarray | None]:
    """The largest face of each picture; without settings the picture itself, which is one already."""
    if settings is not None:
        return detector(settings).find([picture for _, _, picture in tries])
    return [_as_it_is(session, picture) for session, _, picture in tries]


def _as_it_is(session: Session, picture: np.ndarray) -> np.ndarray | None:
    from PIL import Image

    height, width = picture.shape[:2]
    if height != width:
        session.faults.append(f"{width} x {height} pixels, an aligned picture is square")
        return None
    if height == SIDE:
        return picture
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _reason(session: Session, tried: int) -> str:
    faults = "; ".join(session.faults)
    if tried == 0 or faults:
        return faults or "no picture"
    return f"no face found in {tried} pictures of it, {session.sources[0]}"


def _note(session: Session, crop: Face | np.ndarray, tried: int) -> str:
    """What a person may want to check about a crop; empty for most."""
    parts = list(session.faults)
    if tried > 1:
        parts.append(f"found in the picture number {tried}")
    if isinstance(crop, Face) and crop.turned:
        parts.append(f"found in the picture turned by {crop.turned} degrees")
    if isinstance(crop, Face) and crop.count > 1:
        parts.append(f"{crop.count} faces, the largest near the centre was taken")
    return "; ".join(parts)


def _write_picture(path: Path, picture: np.ndarray) -> None:
    with whole_file(path, "wb") as stream:
        stream.write(_png(picture))


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()
