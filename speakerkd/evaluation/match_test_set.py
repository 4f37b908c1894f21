"""The voices and faces of a data directory's people, which `match-test` asks about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from speakerkd.data.archive import read_shared_vectors
from speakerkd.data.datadir import read_table
from speakerkd.errors import InputError
from speakerkd.evaluation.match import Items
from speakerkd.evaluation.model import fbank_settings
from speakerkd.evaluation.recordings import ArchivedRecordings, AudioRecordings, open_recordings
from speakerkd.models.trained_model import face_taught
from speakerkd.teachers.record import read_cached_teacher
from speakerkd.version import __version__

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel


@dataclass
class TestSet:
    """Voices and faces of a data directory's people; identities count from 0.

    recordings, voices (identity of each); stored (M, D_T) the teacher's embeddings of the faces, faces (M, D) of
    length 1 as the model compares them, shown (identity of each); gender (identities,) m, f or "" where it is not
    known; face_keys and face_row (utterances with a face,) the row of each one's face. origin: what it was read
    from, for the entries of results.json.
    """

    recordings: ArchivedRecordings | AudioRecordings
    voices: Items
    stored: NDArray[np.float32]
    faces: NDArray[np.float32]
    shown: Items
    people: list[str]
    gender: NDArray
    face_keys: list[str]
    face_row: NDArray[np.int64]
    origin: dict[str, Any] = field(default_factory=dict)

    def face_of(self) -> dict[str, int]:
        """{key of an utterance: row of its face}."""
        return dict(zip(self.face_keys, self.face_row.tolist(), strict=True))


def open_test_set(directory: Path | str, package: TrainedModel, *, same_session: bool = False) -> TestSet:
    """Read features (or audio), teacher embeddings and people of a data directory, and project the faces.

    Parameters
    ----------
    directory: a data directory with a teacher's embeddings.
    package: the model; its projection head takes faces (D_T,) to (D,).
    same_session: do not tell sessions (utt2session) apart.

    Raises
    ------
    InputError: where one of them is missing, or the teacher is not the one that taught the model.
    """
    directory = Path(directory)
    speakers = read_table(directory / "utt2spk")
    scp = _teacher_archive(directory, package)
    fbank = fbank_settings(package)
    recordings = open_recordings(directory, fbank)
    keys, stored, row = read_shared_vectors(scp)

    # people count from 0 in both modalities; who is not in utt2spk is nobody, -1
    people = sorted(set(speakers.values()))
    number = {person: index for index, person in enumerate(people)}
    shown = np.full(len(stored), -1, np.int64)
    for key, face in zip(keys, row.tolist(), strict=True):
        if key in speakers:
            shown[face] = number[speakers[key]]
    voices = np.array([number[speakers[key]] if key in speakers else -1 for key in recordings.keys], np.int64)
    for name, identity in (("feats.scp", voices), (scp.name, shown)):
        if (identity < 0).all():
            raise InputError(f"no key of {name} is in utt2spk", directory, "prepare the directory again")

    # a session has one number in both modalities, so that a probe and its right option can be kept apart
    genders = _table(directory / "spk2gender")
    sessions = {} if same_session else _table(directory / "utt2session")
    numbered = {name: index for index, name in enumerate(dict.fromkeys(sessions.values()))}
    scene = {key: numbered[name] for key, name in sessions.items()}
    seen = np.full(len(stored), -1, np.int64)
    seen[row] = [scene.get(key, -1) for key in keys]
    heard = np.array([scene.get(key, -1) for key in recordings.keys], np.int64)

    origin = {"data": str(directory), "model": f"{package.directory} {package.digest}", "speakerkd": __version__}
    if unpaired := _left_out(recordings.keys, keys, speakers):
        origin["left_out"] = unpaired
    return TestSet(
        recordings,
        Items(voices, heard if sessions else None),
        stored,
        _faces(package, stored),
        Items(shown, seen if sessions else None),
        people,
        np.array([genders.get(person, "") for person in people]),
        keys,
        row,
        origin,
    )


def _left_out(heard: Sequence[str], seen: Sequence[str], speakers: Mapping[str, str]) -> str:
    """What of a directory is asked about on one side alone, or not at all, by reason; empty where nothing is."""
    counts = {
        "recordings without a face": len(set(heard) - set(seen)),
        "faces without a recording": len(set(seen) - set(heard)),
        "of nobody in utt2spk": len((set(heard) | set(seen)) - speakers.keys()),
    }
    return "; ".join(f"{count} {reason}" for reason, count in counts.items() if count)


def _faces(package: TrainedModel, stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """Faces as the model compares them; as the teacher gives them where no face taught the model."""
    if not face_taught(package):
        return stored / np.linalg.norm(stored, axis=1, keepdims=True)
    return package.project(torch.from_numpy(stored)).cpu().numpy()


def _table(path: Path) -> dict[str, str]:
    return read_table(path) if path.is_file() else {}


def _teacher_archive(directory: Path, package: TrainedModel) -> Path:
    """Of the directory's teacher.scp and teacher.NAME.scp the faces' whose teacher taught the model."""
    archives = [p for p in (directory / "teacher.scp", *sorted(directory.glob("teacher.*.scp"))) if p.is_file()]
    archives = [p for p in archives if not _is_speech(p.with_suffix(".json"))]
    if not archives:
        raise InputError("no face embeddings (teacher.scp)", directory, "make them with `speakerkd embed-teacher`")
    faults = [_not_the_teacher(path.with_suffix(".json"), package) for path in archives]
    if None in faults:
        return archives[faults.index(None)]
    what = f"faces embedded by another teacher ({faults[0]})"
    fix = "embed them with `speakerkd embed-teacher` and the model's teacher, beside the others with --name"
    raise InputError(what, archives[0].with_suffix(".json"), fix)


def _is_speech(record: Path) -> bool:
    return record.is_file() and read_cached_teacher(record).kind == "speech"


def _not_the_teacher(record: Path, package: TrainedModel) -> str | None:
    """How the record of an archive contradicts the model's; None where it does not."""
    if package.teacher is None or not face_taught(package) or not record.is_file():
        return None
    theirs = read_cached_teacher(record)
    for name in ("digest", "name"):
        ours, here = getattr(package.teacher, name), getattr(theirs, name)
        if ours and here and ours != here:
            return f"{name} {here}, the model's is {ours}"
    return None
