"""The questions of `match-test`: drawn from a test set's people, or read from published lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings
from speakerkd.evaluation.match import Draws, Items, draw, read_match_list, read_pairs
from speakerkd.evaluation.match_test_set import TestSet

Direction = Literal["audio_to_face", "face_to_audio"]
DIRECTIONS: tuple[Direction, ...] = ("audio_to_face", "face_to_audio")


@dataclass(frozen=True, slots=True)
class Questions:
    """Sets of questions by the name of their figure, and why a set could not be drawn.

    same_gender: names of the sets whose options are all of the probe's gender.
    """

    sets: dict[str, tuple[Direction, Draws]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    same_gender: set[str] = field(default_factory=set)

    def voices(self) -> NDArray[np.int64]:
        """Rows of the voices that a question asks for, each once, ascending."""
        asked = [
            draws.probe if direction == "audio_to_face" else draws.options for direction, draws in self.sets.values()
        ]
        return np.unique(np.concatenate([rows.ravel() for rows in asked]))


def draw_questions(
    tests: TestSet, where: Path, *, triples: int, seed: int, choices: Sequence[int], hard: bool
) -> Questions:
    """Questions in both directions, original (`_o`) and, as far as genders are known, within one gender (`_h`).

    where: the table of genders, for messages. triples: questions a set. choices: options a question, a set for each.
    Raises InputError where the people are too few; hard: also where it is so within one gender.
    """
    questions = Questions()
    known = tests.gender != ""
    for direction in DIRECTIONS:
        probes, options = sides(direction, tests.voices, tests.shown)
        for many in choices:
            ending = "" if many == 2 else f"_{many}"
            drawn = draw(probes, options, count=triples, seed=seed, choices=many)
            questions.sets[f"acc_match_{direction}_o{ending}"] = direction, drawn

            # a set that cannot be drawn within one gender says why in the place of its figure
            name = f"acc_match_{direction}_h{ending}"
            if not known.any():
                reason = f"no gender of anyone, {where}: write `speaker m|f` lines, or give the meta table"
                questions.left_out[name] = reason
                continue
            try:
                some = _of_known(probes, known), _of_known(options, known)
                drawn = draw(*some, count=triples, seed=seed, choices=many, group=tests.gender)
            except InputError as error:
                if hard:
                    raise
                counts = f"{known.sum()} of {known.size} genders known"
                questions.left_out[name] = f"{error.what} within one gender ({counts})"
                continue
            questions.sets[name] = direction, drawn
            questions.same_gender.add(name)
    return questions


def sides(direction: Direction, voices: Any, faces: Any) -> tuple[Any, Any]:
    """(what is asked with, what is chosen from) of voices and faces."""
    return (voices, faces) if direction == "audio_to_face" else (faces, voices)


def _of_known(items: Items, known: NDArray[np.bool_]) -> Items:
    """The items of people whose gender is known; the others count as unknown people."""
    mine = (items.identity >= 0) & known[items.identity]
    return Items(np.where(mine, items.identity, -1), items.session)


def questions_of_list(path: Path, direction: Direction, tests: TestSet) -> Draws:
    """The questions of a published list, its names looked up among the recordings and the faces."""
    probes, options = read_match_list(path)
    tables = sides(direction, _voice_table(tests), _face_table(tests))
    identity = (tests.shown if direction == "audio_to_face" else tests.voices).identity
    probe = _rows(tables[0], probes, path)
    flat = _rows(tables[1], [name for line in options for name in line], path).reshape(len(options), -1)
    return Draws(probe, flat, identity[flat])


def pairs_of_list(path: Path, tests: TestSet) -> tuple[NDArray, NDArray, NDArray]:
    """(rows of voices (n,), rows of faces (n,), labels (n,)) of a published verification list."""
    voices, faces, labels = read_pairs(path)
    return _rows(_voice_table(tests), voices, path), _rows(_face_table(tests), faces, path), labels


def _voice_table(tests: TestSet) -> tuple[Embeddings, NDArray]:
    keys = tests.recordings.keys
    return Embeddings(keys, np.empty((len(keys), 0))), np.arange(len(keys))


def _face_table(tests: TestSet) -> tuple[Embeddings, NDArray]:
    return Embeddings(tests.face_keys, np.empty((len(tests.face_keys), 0))), tests.face_row


def _rows(table: tuple[Embeddings, NDArray], names: list[str], path: Path) -> NDArray[np.int64]:
    rows = table[0].locate(names)
    if (rows < 0).any():
        first = names[int(np.argmin(rows))]
        line = _line_of(path, first)
        what = f"no embedding of '{first}' ({int((rows < 0).sum())} names of the list have none)"
        raise InputError(what, f"{path}:{line}", "give a list of this data directory's keys")
    return table[1][rows]


def _line_of(path: Path, name: str) -> int:
    with open(path, encoding="utf-8-sig") as stream:
        return next((number for number, line in enumerate(stream, 1) if name in re.split(r"[\s,]+", line)), 0)
