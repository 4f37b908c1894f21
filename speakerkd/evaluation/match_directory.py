"""Matching over a data directory's people: voices through the student, faces through teacher and projection head."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from speakerkd.data.archive import read_shared_vectors
from speakerkd.data.datadir import read_table
from speakerkd.errors import InputError
from speakerkd.evaluation import metrics
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.embeddings import Embeddings
from speakerkd.evaluation.linear_map import LinearMap, fit_linear_map
from speakerkd.evaluation.match import (
    Draws,
    Items,
    Matched,
    answered_right,
    draw,
    draw_scores,
    evaluate,
    read_match_list,
    read_pairs,
    save_outcomes,
)
from speakerkd.evaluation.model import fbank_settings
from speakerkd.evaluation.protocol import Protocol, vectors
from speakerkd.evaluation.recordings import ArchivedRecordings, AudioRecordings, open_recordings
from speakerkd.evaluation.settings import ProtocolName
from speakerkd.maths import unit
from speakerkd.models.trained_model import face_taught
from speakerkd.teachers.record import read_cached_teacher
from speakerkd.version import __version__
from speakerkd.work.files import whole_file

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel

Direction = Literal["audio_to_face", "face_to_audio"]
CENTRE_VOICES = 500  # recordings that a directory's mean voice is taken from, evenly spaced
EXAMPLES = 6  # questions of the picture of examples
FIT_VOICES = 5000  # recordings at most that the map from voices to faces is fitted on, evenly spaced
MAPPED = 400  # pairs of a voice and a face at most that the report's map shows
DIRECTIONS: tuple[Direction, ...] = ("audio_to_face", "face_to_audio")


@dataclass
class TestSet:
    """Voices and faces of a data directory's people; identities count from 0.

    recordings, voices (identity of each); stored (M, D_T) the teacher's embeddings of the faces, faces (M, D) of
    length 1 as the model compares them, shown (identity of each); gender (identities,) m, f or "" where it is not
    known; face_keys and face_row (utterances with a face,) the row of each one's face.
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
    made: dict[str, Any] = field(default_factory=dict)


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
    people = sorted(set(speakers.values()))
    number = {person: place for place, person in enumerate(people)}
    shown = np.full(len(stored), -1, np.int64)
    for key, place in zip(keys, row.tolist(), strict=True):
        if key in speakers:
            shown[place] = number[speakers[key]]
    voices = np.array([number[speakers[key]] if key in speakers else -1 for key in recordings.keys], np.int64)
    for name, identity in (("feats.scp", voices), (scp.name, shown)):
        if (identity < 0).all():
            raise InputError(f"no key of {name} is in utt2spk", directory, "prepare the directory again")
    genders = _table(directory / "spk2gender")
    sessions = {} if same_session else _table(directory / "utt2session")
    numbered = {name: place for place, name in enumerate(dict.fromkeys(sessions.values()))}
    scene = {key: numbered[name] for key, name in sessions.items()}
    seen = np.full(len(stored), -1, np.int64)
    seen[row] = [scene.get(key, -1) for key in keys]
    heard = np.array([scene.get(key, -1) for key in recordings.keys], np.int64)
    made = {"data": str(directory), "model": f"{package.directory} {package.digest}", "speakerkd": __version__}
    if told := _left_out(recordings.keys, keys, speakers):
        made["left_out"] = told
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
        made,
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


def match_directory(
    directory: Path | str,
    package: TrainedModel,
    *,
    hard: bool = False,
    same_session: bool = False,
    triples: int = 10_000,
    seed: int = 0,
    choices: Sequence[int] = (2,),
    lists: Sequence[tuple[Direction, Path]] = (),
    pairs: Path | None = None,
    protocol: ProtocolName = "mean",
    replicates: int = 1000,
    centre: Path | None = None,
    fit: Path | None = None,
    spaces: Path | None = None,
    examples: Path | None = None,
    outcomes: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Matching accuracies in both directions, original (`_o`) and, where spk2gender tells it, same gender (`_h`).

    Parameters
    ----------
    directory: the data directory whose people are asked about.
    package: the model; voices are embedded under `protocol`, those only that a question asks for.
    hard: refuse a directory without spk2gender; else an entry without a figure says why (`left_out`), and people whose
        gender is not known are left out of the same-gender sets.
    same_session: let a probe and its right option be of one session; else they never are, where utt2session tells
        sessions apart.
    triples: questions a set.
    choices: options a question, several for several sets; 2 is the papers'.
    lists: published lists as (direction, path), on top.
    pairs: a published verification list, on top.
    replicates: of the bootstrap over people that gives the 95 % intervals.
    centre: a data directory, the training one say, whose mean voice and mean face are taken off (what is common to a
        modality says nothing about a person); those entries' names end in `_centred`.
    fit: a data directory of training people, on whose voices and faces a linear map between the two is fitted
        (`linear_map`); its entries' names end in `_fit`, and a model that no face taught has no others.
    spaces: file for the two modalities' embeddings, for the report's map of them.
    examples: PNG of the first questions, voices to faces and of one gender where it can be, whatever the answers.
    outcomes: folder for one file an entry, of the questions answered right, for `compare`.
    progress: called with recordings done and in all.

    Returns
    -------
    {name: entry}, with percentages, chance, interval, the verification AUC, numbers of questions, options and people.

    Raises
    ------
    InputError: for a directory that lacks what is asked for, and for people of `fit` who are tested too.
    """
    untaught = not face_taught(package)
    if untaught and fit is None:
        what = "no face taught this model, so its cosines with faces say nothing"
        fix = "give --fit and the training data: a linear map from voices to faces is then fitted there"
        raise InputError(what, package.directory, fix)
    if fit is not None and centre is not None:
        raise InputError("--fit takes off the means itself", "--centre", "give one of --fit and --centre")
    tests = open_test_set(directory, package, same_session=same_session)
    known = tests.gender != ""
    where = Path(directory) / "spk2gender"
    if hard and not known.all():
        missing = "no" if not known.any() else f"{known.size - known.sum()} of {known.size} people without a"
        raise InputError(f"{missing} gender for everyone", where, "write `speaker m|f` lines")
    questions: dict[str, tuple[Direction, Draws]] = {}
    left_out: dict[str, str] = {}
    same_gender: set[str] = set()
    for direction in DIRECTIONS:
        sides = _sides(direction, tests.voices, tests.shown)
        for many in choices:
            ending = "" if many == 2 else f"_{many}"
            drawn = draw(*sides, count=triples, seed=seed, choices=many)
            questions[f"acc_match_{direction}_o{ending}"] = direction, drawn
            name = f"acc_match_{direction}_h{ending}"
            if not known.any():
                left_out[name] = f"no gender of anyone, {where}: write `speaker m|f` lines, or give the meta table"
                continue
            try:
                some = [_of_known(items, known) for items in sides]
                drawn = draw(*some, count=triples, seed=seed, choices=many, group=tests.gender)
            except InputError as error:
                if hard:
                    raise
                left_out[name] = f"{error.what} within one gender ({known.sum()} of {known.size} genders known)"
                continue
            questions[name] = direction, drawn
            same_gender.add(name)
    for direction, path in lists:
        questions[f"acc_match_{direction}_{path.stem.replace('.', '_')}"] = direction, _of_list(path, direction, tests)
    listed = _of_pairs(pairs, tests) if pairs else None
    asked = [draws.probe if direction == "audio_to_face" else draws.options for direction, draws in questions.values()]
    used = np.unique(np.concatenate([rows.ravel() for rows in asked] + ([listed[0]] if listed else [])))
    voices = _voices(package, tests, used, Protocol(name=protocol), progress)
    if centre is not None:
        apart = _means(centre, package, Protocol(name=protocol))
        voices[used] = unit(torch.from_numpy(voices[used] - apart[0])).numpy()
        tests.faces = unit(torch.from_numpy(tests.faces - apart[1])).numpy()
        tests.made["centre"] = str(centre)
    if spaces is not None and not untaught:
        _save_spaces(spaces, tests, voices, used)
    if examples is not None and not untaught:
        name = next(n for n in ("acc_match_audio_to_face_h", *questions) if n in questions)
        _draw_examples(examples, Path(directory), tests, questions[name][1], voices)
    made = tests.made | {"protocol": str(Protocol(name=protocol)), "sessions": _told(tests, same_session)}
    spaces_of = {"": (voices, tests.faces, made)}
    if fit is not None:
        fitted = _fitted(fit, package, tests, Protocol(name=protocol))
        about = {"fit": f"{fit}, {fitted.people} people, penalty {fitted.penalty:.2g}"}
        known_faces = tests.stored / np.linalg.norm(tests.stored, axis=1, keepdims=True)
        spaces_of["_fit"] = fitted.voices(voices), fitted.faces(known_faces), made | about
        if untaught:
            del spaces_of[""]
    entries = {}
    for ending, (heard, seen, about) in spaces_of.items():
        for name, (direction, draws) in questions.items():
            sides = _sides(direction, heard, seen)
            matched = evaluate(draws, *sides, replicates=replicates, seed=seed)
            people = np.unique(draws.identity).size
            entry = _entry(matched, draws.options.shape[1]) | {"people": people, "made": about | {"seed": seed}}
            if name in same_gender and not known.all():
                entry["people_left_out"] = int(known.size - known.sum())
            entries[name + ending] = entry | ({"fitted": True} if ending else {})
            if outcomes is not None:
                tail = "_centred" if centre is not None else ending
                save_outcomes(
                    outcomes / f"{name}{tail}.npz", draws, answered_right(draw_scores(draws, *sides)), tests.people
                )
        if pairs is not None and listed is not None:
            scores = np.einsum("nd,nd->n", heard[listed[0]], seen[listed[1]])
            auc = metrics.auc(metrics.sort_scores(scores, listed[2]))
            name = f"auc_verification_{pairs.stem.replace('.', '_')}{ending}"
            entries[name] = {"auc_percent": 100 * auc, "chance_percent": 50.0, "pairs": len(scores), "made": about}
    entries |= {name: {"left_out": why, "made": made} for name, why in left_out.items()}
    if centre is not None:  # beside the plain figures, not in their place
        entries = {f"{name}_centred": entry for name, entry in entries.items()}
    return entries


def _fitted(directory: Path, package: TrainedModel, tests: TestSet, protocol: Protocol) -> LinearMap:
    """The map fitted on a directory's recordings that have a face; refused where it shares people with the test."""
    training = open_test_set(directory, package, same_session=True)
    both = sorted(set(training.people) & set(tests.people))
    if both:
        what = f"{len(both)} people are in both ({both[0]})"
        raise InputError(what, f"--fit {directory}", "fit on people that are not in the test")
    row = dict(zip(training.face_keys, training.face_row.tolist(), strict=True))
    keys = training.recordings.keys
    paired = [row_of for row_of, key in enumerate(keys) if key in row and training.voices.identity[row_of] >= 0]
    paired = [paired[i] for i in np.unique(np.linspace(0, len(paired) - 1, FIT_VOICES).astype(int))] if paired else []
    used = np.array(paired, np.int64)
    faces = training.stored[[row[keys[row_of]] for row_of in paired]]
    voices = _voices(package, training, used, protocol, None)[used]
    return fit_linear_map(voices, faces / np.linalg.norm(faces, axis=1, keepdims=True), training.voices.identity[used])


def _of_known(items: Items, known: NDArray[np.bool_]) -> Items:
    """The items of people whose gender is known; the others count as unknown people."""
    mine = (items.identity >= 0) & known[items.identity]
    return Items(np.where(mine, items.identity, -1), items.session)


def _told(tests: TestSet, same_session: bool) -> str:
    if same_session:
        return "probe and right option may be of one"
    return "probe and right option of two" if tests.voices.session is not None else "not known"


def _sides(direction: Direction, voices: Any, faces: Any) -> tuple[Any, Any]:
    return (voices, faces) if direction == "audio_to_face" else (faces, voices)


def _voices(
    package: TrainedModel,
    tests: TestSet,
    used: NDArray,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float32]:
    """Voice embeddings of length 1 of the used rows; the others stay 0."""
    embedded = embed(package, tests.recordings, protocol, places=used.tolist(), progress=progress)
    values = vectors(protocol if protocol.name != "crops" else Protocol(name="mean"), embedded.values)
    result = np.zeros((len(tests.recordings.keys), values.shape[1]), np.float32)
    result[used] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return result


def _means(
    directory: Path, package: TrainedModel, protocol: Protocol
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean voice and mean face (D,) of a data directory, over vectors of length 1."""
    known = open_test_set(directory, package)
    count = len(known.recordings.keys)
    used = np.unique(np.linspace(0, count - 1, min(count, CENTRE_VOICES)).astype(int))
    return _voices(package, known, used, protocol, None)[used].mean(0), known.faces.mean(0)


def _save_spaces(path: Path, tests: TestSet, voices: NDArray[np.float32], used: NDArray) -> None:
    """Embeddings of utterances with a voice and a face, row by row, evenly over the people; npz."""
    face_of = dict(zip(tests.face_keys, tests.face_row.tolist(), strict=True))
    keys = tests.recordings.keys
    paired = [place for place in used.tolist() if keys[place] in face_of]
    paired = [paired[i] for i in np.unique(np.linspace(0, len(paired) - 1, MAPPED).astype(int))] if paired else []
    shown = [face_of[keys[place]] for place in paired]
    parts = {"face": tests.stored[shown], "face projected": tests.faces[shown], "voice": voices[paired]}
    if (tests.gender != "").any():
        parts["gender"] = tests.gender[tests.voices.identity[paired]].astype(str)
    with whole_file(path, "wb") as stream:
        np.savez(stream, **parts)  # type: ignore[arg-type]  # no array is called allow_pickle


def _draw_examples(path: Path, directory: Path, tests: TestSet, draws: Draws, voices: NDArray[np.float32]) -> None:
    """The first questions of a set as a picture (the first paper's Fig. 7)."""
    from speakerkd.media.packed import read_placed
    from speakerkd.report.pictures.examples import Example, match_examples

    crops = read_table(directory / "aligned.scp")
    of_face = {
        row: crops[key] for key, row in zip(tests.face_keys, tests.face_row.tolist(), strict=True) if key in crops
    }
    shown = []
    for probe, options in zip(draws.probe[:EXAMPLES].tolist(), draws.options[:EXAMPLES].tolist(), strict=True):
        cosines = tests.faces[options] @ voices[probe]
        faces = [
            (read_placed(of_face[row]), float(c)) for row, c in zip(options, cosines, strict=True) if row in of_face
        ]
        if len(faces) == len(options):
            shown.append(Example(tests.recordings.keys[probe], faces))
    if not shown:
        raise InputError("no pictures of the faces", directory / "aligned.scp", "make them with `speakerkd faces`")
    match_examples(shown, path)


def _entry(matched: Matched, choices: int) -> dict[str, Any]:
    return {
        "accuracy_percent": 100 * matched.accuracy,
        "interval_percent": None if matched.interval is None else [100 * v for v in asdict(matched.interval).values()],
        "chance_percent": 100 * matched.chance,
        "auc_percent": 100 * matched.auc,
        "questions": matched.count,
        "options": choices,
    }


def _of_list(path: Path, direction: Direction, tests: TestSet) -> Draws:
    """The questions of a published list, its names found among the recordings and the faces."""
    probes, options = read_match_list(path)
    tables = _sides(direction, _voice_table(tests), _face_table(tests))
    identity = (tests.shown if direction == "audio_to_face" else tests.voices).identity
    probe = _rows(tables[0], probes, path)
    flat = _rows(tables[1], [name for line in options for name in line], path).reshape(len(options), -1)
    return Draws(probe, flat, identity[flat])


def _of_pairs(path: Path, tests: TestSet) -> tuple[NDArray, NDArray, NDArray]:
    voices, faces, labels = read_pairs(path)
    return _rows(_voice_table(tests), voices, path), _rows(_face_table(tests), faces, path), labels


def _voice_table(tests: TestSet) -> tuple[Embeddings, NDArray]:
    keys = tests.recordings.keys
    return Embeddings(keys, np.empty((len(keys), 0))), np.arange(len(keys))


def _face_table(tests: TestSet) -> tuple[Embeddings, NDArray]:
    return Embeddings(tests.face_keys, np.empty((len(tests.face_keys), 0))), tests.face_row


def _rows(table: tuple[Embeddings, NDArray], names: list[str], path: Path) -> NDArray[np.int64]:
    places = table[0].locate(names)
    if (places < 0).any():
        first = names[int(np.argmin(places))]
        line = _line_of(path, first)
        what = f"no embedding of '{first}' ({int((places < 0).sum())} names of the list have none)"
        raise InputError(what, f"{path}:{line}", "give a list of this data directory's keys")
    return table[1][places]


def _line_of(path: Path, name: str) -> int:
    with open(path, encoding="utf-8-sig") as stream:
        return next((number for number, line in enumerate(stream, 1) if name in re.split(r"[\s,]+", line)), 0)
