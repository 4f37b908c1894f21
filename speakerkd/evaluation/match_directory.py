"""Matching over a data directory's people: voices through the student, faces through teacher and projection head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from speakerkd.errors import InputError
from speakerkd.evaluation import metrics
from speakerkd.evaluation.match import Matched, answered_right, draw_scores, evaluate, save_outcomes
from speakerkd.evaluation.match_pictures import draw_examples, save_spaces
from speakerkd.evaluation.match_questions import (
    Direction,
    Questions,
    draw_questions,
    pairs_of_list,
    questions_of_list,
    sides,
)
from speakerkd.evaluation.match_spaces import embed_voices, fitted_map, mean_voice_and_face
from speakerkd.evaluation.match_test_set import TestSet, open_test_set
from speakerkd.evaluation.protocol import Protocol
from speakerkd.evaluation.settings import ProtocolName
from speakerkd.maths import unit
from speakerkd.models.trained_model import face_taught

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel


@dataclass(frozen=True, slots=True)
class Space:
    """Voices (N, D) and faces (M, D) of length 1 as they are compared, and what that came from."""

    voices: NDArray[np.float32]
    faces: NDArray[np.float32]
    origin: dict[str, Any]


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
    # voices and faces of a model that no face taught lie in two spaces: a fitted map must stand between them
    untaught = not face_taught(package)
    if untaught and fit is None:
        what = "no face taught this model, so its cosines with faces say nothing"
        fix = "give --fit and the training data: a linear map from voices to faces is then fitted there"
        raise InputError(what, package.directory, fix)
    if fit is not None and centre is not None:
        raise InputError("--fit takes off the means itself", "--centre", "give one of --fit and --centre")
    tests = open_test_set(directory, package, same_session=same_session)
    genders = Path(directory) / "spk2gender"
    if hard:
        _check_genders(tests, genders)

    questions = draw_questions(tests, genders, triples=triples, seed=seed, choices=choices, hard=hard)
    for direction, path in lists:
        name = f"acc_match_{direction}_{path.stem.replace('.', '_')}"
        questions.sets[name] = direction, questions_of_list(path, direction, tests)
    listed = pairs_of_list(pairs, tests) if pairs is not None else None

    # of a large directory questions ask for a small share, and only that is embedded
    rule = Protocol(name=protocol)
    used = questions.voices() if listed is None else np.union1d(questions.voices(), listed[0])
    voices = embed_voices(package, tests, used, rule, progress)
    if centre is not None:
        apart = mean_voice_and_face(centre, package, rule)
        voices[used] = unit(torch.from_numpy(voices[used] - apart[0])).numpy()
        tests.faces = unit(torch.from_numpy(tests.faces - apart[1])).numpy()
        tests.origin["centre"] = str(centre)

    # the report shows the model's own space, which a model that no face taught does not have
    if spaces is not None and not untaught:
        save_spaces(spaces, tests, voices, used)
    if examples is not None and not untaught:
        name = next(n for n in ("acc_match_audio_to_face_h", *questions.sets) if n in questions.sets)
        draw_examples(examples, Path(directory), tests, questions.sets[name][1], voices)

    # every space has its own entries; those of the fitted map stand beside the model's
    origin = tests.origin | {"protocol": str(rule), "sessions": _session_rule(tests, same_session)}
    spaces_of = {} if untaught else {"": Space(voices, tests.faces, origin)}
    if fit is not None:
        fitted = fitted_map(fit, package, tests, rule)
        about = origin | {"fit": f"{fit}, {fitted.people} people, penalty {fitted.penalty:.2g}"}
        known_faces = tests.stored / np.linalg.norm(tests.stored, axis=1, keepdims=True)
        spaces_of["_fit"] = Space(fitted.voices(voices), fitted.faces(known_faces), about)
    entries: dict[str, dict[str, Any]] = {}
    for ending, space in spaces_of.items():
        entries |= _figures(questions, space, tests, ending, replicates=replicates, seed=seed)
        if outcomes is not None:
            _save_outcomes(outcomes, questions, space, tests, "_centred" if centre is not None else ending)
        if pairs is not None and listed is not None:
            name = f"auc_verification_{pairs.stem.replace('.', '_')}{ending}"
            entries[name] = _verification(space, *listed)
    entries |= {name: {"left_out": why, "made": origin} for name, why in questions.left_out.items()}
    if centre is not None:  # beside the plain figures, not in their place
        entries = {f"{name}_centred": entry for name, entry in entries.items()}
    return entries


def _check_genders(tests: TestSet, path: Path) -> None:
    known = tests.gender != ""
    if not known.all():
        missing = "no" if not known.any() else f"{known.size - known.sum()} of {known.size} people without a"
        raise InputError(f"{missing} gender for everyone", path, "write `speaker m|f` lines")


def _session_rule(tests: TestSet, same_session: bool) -> str:
    if same_session:
        return "probe and right option may be of one"
    return "probe and right option of two" if tests.voices.session is not None else "not known"


def _figures(
    questions: Questions, space: Space, tests: TestSet, ending: str, *, replicates: int, seed: int
) -> dict[str, dict[str, Any]]:
    """The entry of every set of questions in a space; ending: of their names, empty in the model's own."""
    known = tests.gender != ""
    entries: dict[str, dict[str, Any]] = {}
    for name, (direction, draws) in questions.sets.items():
        matched = evaluate(draws, *sides(direction, space.voices, space.faces), replicates=replicates, seed=seed)
        entry = _entry(matched, draws.options.shape[1])
        entry |= {"people": np.unique(draws.identity).size, "made": space.origin | {"seed": seed}}
        if name in questions.same_gender and not known.all():
            entry["people_left_out"] = int(known.size - known.sum())
        entries[name + ending] = entry | ({"fitted": True} if ending else {})
    return entries


def _save_outcomes(folder: Path, questions: Questions, space: Space, tests: TestSet, ending: str) -> None:
    for name, (direction, draws) in questions.sets.items():
        right = answered_right(draw_scores(draws, *sides(direction, space.voices, space.faces)))
        save_outcomes(folder / f"{name}{ending}.npz", draws, right, tests.people)


def _verification(space: Space, voices: NDArray, faces: NDArray, labels: NDArray) -> dict[str, Any]:
    """The entry of a verification list, of rows of voices (n,) and faces (n,) and their labels (n,)."""
    scores = np.einsum("nd,nd->n", space.voices[voices], space.faces[faces])
    auc = metrics.auc(metrics.sort_scores(scores, labels))
    return {"auc_percent": 100 * auc, "chance_percent": 50.0, "pairs": len(scores), "made": space.origin}


def _entry(matched: Matched, choices: int) -> dict[str, Any]:
    return {
        "accuracy_percent": 100 * matched.accuracy,
        "interval_percent": None if matched.interval is None else [100 * v for v in asdict(matched.interval).values()],
        "chance_percent": 100 * matched.chance,
        "auc_percent": 100 * matched.auc,
        "questions": matched.count,
        "options": choices,
    }
