"""Cross-modal matching: which of several faces belongs to a voice (A-F), which of several voices to a face (F-A).

A table of items (voices or faces) has one identity each. A draw is rows of the probe's table and of the options'; the
right option stands first, and an option that ties with it is an error, so that equal scores never count as found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.text import fields_of, numbered_lines
from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation import metrics
from speakerkd.evaluation.bootstrap import Interval
from speakerkd.work.files import whole_file

STEP = 1 << 14  # draws scored at a time


@dataclass(frozen=True, slots=True)
class Items:
    """Items of one modality: identity (n,) int of each, in [0, identities); negative where it is not known.

    session: (n,) int of each, numbered alike in both modalities, negative where it is not known; None: not kept apart.
    """

    identity: NDArray[np.int64]
    session: NDArray[np.int64] | None = None

    def by_identity(self, identities: int) -> tuple[NDArray, NDArray, NDArray]:
        """Rows in the order of their identities, each identity's first place in it, and how many it has."""
        order = np.argsort(self.identity, kind="stable")[np.count_nonzero(self.identity < 0) :]
        counts = np.bincount(self.identity[self.identity >= 0], minlength=identities)
        return order, np.cumsum(counts) - counts, counts


@dataclass(frozen=True, slots=True)
class Draws:
    """n questions: probe (n,) rows of the probes; options (n, N) rows of the options, the right one first.

    identity: (n, N) the options' identities, the probe's first.
    """

    probe: NDArray[np.int64]
    options: NDArray[np.int64]
    identity: NDArray[np.int64]


def draw(
    probes: Items,
    options: Items,
    *,
    count: int = 10_000,
    seed: int = 0,
    choices: int = 2,
    group: NDArray | None = None,
) -> Draws:
    """Draw questions: an identity, one of its probes, one of its options, and options of choices - 1 other identities.

    Everything is drawn uniformly and follows from the seed. Where the items have sessions, the probe and its right
    option are never of one: a recording and the picture of that very video share more than a person.

    Parameters
    ----------
    probes, options: the items of both sides, with identities and, where known, sessions.
    count: of questions n.
    choices: options a question N, from 2; chance is 1 / N.
    group: (identities,) such as gender; wrong options are then of the probe's group (the hard set).

    Returns
    -------
    Rows of the probes (n,), of the options (n, N), the right one first, and the options' identities (n, N).

    Raises
    ------
    InputError: where there are too few identities.
    """
    identities = int(max(probes.identity.max(initial=-1), options.identity.max(initial=-1))) + 1
    own, first, many = options.by_identity(identities)
    probe_order, probe_first, probe_many = probes.by_identity(identities)
    group = np.zeros(identities, np.int64) if group is None else np.unique(group, return_inverse=True)[1][:identities]
    able = np.flatnonzero(many > 0)  # who can be an option
    able = able[np.argsort(group[able], kind="stable")]
    sizes = np.bincount(group[able], minlength=group.max(initial=0) + 1)
    starts = np.cumsum(sizes) - sizes
    asked = np.flatnonzero((probe_many > 0) & (many > 0) & (sizes[group] >= choices))
    if len(asked) and (apart := _sessions_apart(probes, options, identities)) is not None:
        asked = asked[apart[asked]]
        if len(asked) == 0:
            what = "nobody has a voice and a face of two sessions"
            raise InputError(what, "matching", "give more sessions a person, or allow one with --same-session")
    if len(asked) == 0:
        what = f"no identity has a voice, a face and {choices - 1} others to be told from"
        raise InputError(what, "matching", "give a test set with more identities, or fewer options")
    generator = np.random.default_rng(seed)
    identity = np.empty((count, choices), np.int64)
    identity[:, 0] = asked[generator.integers(len(asked), size=count)]
    places = np.empty(identities, np.int64)
    places[able] = np.arange(len(able))
    mine = group[identity[:, 0]]
    taken = (places[identity[:, 0]] - starts[mine])[:, None]  # places within the group that are used up, ascending
    for column in range(1, choices):
        pick = generator.integers(sizes[mine] - column)
        for other in taken.T:  # counting past those already taken leaves each of the rest equally likely
            pick = pick + (pick >= other)
        identity[:, column] = able[starts[mine] + pick]
        taken = np.sort(np.column_stack([taken, pick]), axis=1)
    rows = own[first[identity] + (generator.random(identity.shape) * many[identity]).astype(np.int64)]
    asking = identity[:, 0]
    probe = probe_order[probe_first[asking] + (generator.random(count) * probe_many[asking]).astype(np.int64)]
    if probes.session is not None and options.session is not None:
        again = np.flatnonzero(_one_session(probes.session[probe], options.session[rows[:, 0]]))
        while len(again):  # both anew, so that every allowed pair of a person is equally likely
            who = asking[again]
            rows[again, 0] = own[first[who] + (generator.random(len(who)) * many[who]).astype(np.int64)]
            position = probe_first[who] + (generator.random(len(who)) * probe_many[who]).astype(np.int64)
            probe[again] = probe_order[position]
            again = again[_one_session(probes.session[probe[again]], options.session[rows[again, 0]])]
    return Draws(probe, rows, identity)


def _one_session(one: NDArray, other: NDArray) -> NDArray[np.bool_]:
    return (one == other) & (one >= 0)


def _sessions_apart(probes: Items, options: Items, identities: int) -> NDArray[np.bool_] | None:
    """Whether an identity (identities,) has a probe and an option of different sessions; None where none are known."""
    if probes.session is None or options.session is None:
        return None
    identity = np.concatenate([probes.identity, options.identity])
    session = np.concatenate([probes.session, options.session])
    known = identity >= 0
    low, high = np.full(identities, np.iinfo(np.int64).max), np.full(identities, -1)
    np.minimum.at(low, identity[known], session[known])
    np.maximum.at(high, identity[known], session[known])
    return (low < high) | (low < 0)


def draw_scores(draws: Draws, probes: NDArray, options: NDArray) -> NDArray:
    """Cosines (n, N) between each probe and its options; probes (P, D) and options (O, D) of length 1."""
    result = np.empty(draws.options.shape, probes.dtype)
    step = max(1, STEP // draws.options.shape[1])
    for start in range(0, len(result), step):
        part = slice(start, start + step)
        result[part] = np.einsum("nd,nkd->nk", probes[draws.probe[part]], options[draws.options[part]])
    return result


def answered_right(scores: NDArray) -> NDArray[np.bool_]:
    """Which questions (n,) are answered right: the first option's score is above every other's; a tie is wrong."""
    return scores[:, 0] > scores[:, 1:].max(1)


def save_outcomes(path: Path, draws: Draws, right: NDArray[np.bool_], people: list[str]) -> None:
    """Keep which questions were answered right, and whose they were: `right` (n,), `identity` (n, N), `people`."""
    with whole_file(path, "wb") as stream:
        np.savez_compressed(stream, right=right, identity=draws.identity.astype(np.int32), people=np.array(people))


@dataclass(frozen=True, slots=True)
class Matched:
    """Accuracy in [0, 1] with its 95 % interval (None with fewer than 5 identities), chance, and verification AUC."""

    accuracy: float
    interval: Interval | None
    chance: float
    auc: float
    count: int


def evaluate(draws: Draws, probes: NDArray, options: NDArray, *, replicates: int = 1000, seed: int = 0) -> Matched:
    """Accuracy of questions, and the AUC of telling the pairs of one identity from all others among them.

    Parameters
    ----------
    draws: n questions of N options each.
    probes, options: embeddings (P, D) and (O, D) of length 1.
    replicates: of the bootstrap over identities that gives the interval; 0: no interval.

    Returns
    -------
    Accuracy, chance, AUC and the interval's ends as shares in [0, 1].
    """
    scores = draw_scores(draws, probes, options)
    right = answered_right(scores)
    pairs = metrics.sort_scores(scores.ravel(), np.tile([1] + [0] * (scores.shape[1] - 1), len(scores)))
    interval = _interval(right, draws.identity, replicates, seed) if replicates else None
    return Matched(float(right.mean()), interval, 1 / scores.shape[1], metrics.auc(pairs), len(right))


def _interval(right: NDArray, identity: NDArray, replicates: int, seed: int, level: float = 0.95) -> Interval | None:
    """Identities are drawn with replacement; a question weighs how often its probe's was, times the others' mean."""
    known, index = np.unique(identity, return_inverse=True)
    if len(known) < 5:
        return None
    index = index.reshape(identity.shape)
    generator = np.random.default_rng(seed)
    values = np.full(replicates, np.nan)
    for number in range(replicates):
        times = generator.multinomial(len(known), np.full(len(known), 1 / len(known))).astype(np.float64)
        weight = times[index[:, 0]] * times[index[:, 1:]].mean(1)
        if (total := weight.sum()) > 0:
            values[number] = weight @ right / total
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def read_match_list(path: Path | str) -> tuple[list[str], list[list[str]]]:
    """Read `probe positive negative [negative ...]` lines: the probes, and each one's options, the right one first.

    Raises InputError with file and line where a line has fewer than two options or another number than the first.
    """
    form = "write `probe positive negative` on every line"
    probes: list[str] = []
    options: list[list[str]] = []
    for number, line in numbered_lines(path, "matching list", form):
        fields = fields_of(line)
        if len(fields) < 3 or (options and len(fields) != 1 + len(options[0])):
            raise InputError(f"{len(fields)} fields ('{line.strip()[:80]}')", f"{path}:{number}", form)
        probes.append(fields[0])
        options.append(fields[1:])
    if not probes:
        raise InputError("no question in the list", path, form)
    return probes, options


def read_pairs(path: Path | str) -> tuple[list[str], list[str], NDArray[np.int8]]:
    """Voices, faces and labels (n,) of a verification list between modalities.

    Read are CSV with a header that names `label`, `voice-path` and `face-path`, and any trial list of `read_trials`
    with the voice first. Raises InputError with file and line.
    """
    lines = numbered_lines(path, "verification list", "give a CSV or a trial list")
    first, header = next(lines, (0, ""))
    head = [name.strip().lower() for name in header.split(",")]
    if len(head) < 3:
        trials = read_trials(path)
        if trials.label is None:
            raise InputError("the list has no labels", path, "write `1 voice face` or `0 voice face`")
        names = [trials.enrol_names[i] for i in trials.enrol], [trials.test_names[i] for i in trials.test]
        return *names, trials.label
    wanted = ("voice-path", "face-path", "label")
    absent = next((name for name in wanted if name not in head), None)
    if absent:
        raise InputError(f"no column '{absent}'", f"{path}:{first}", f"name the columns {', '.join(wanted)}")
    columns: list[list[str]] = [[], [], []]
    for number, line in lines:
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(head) or fields[head.index("label")] not in ("0", "1"):
            raise InputError(f"not a pair ('{line.strip()[:80]}')", f"{path}:{number}", "correct the line")
        for column, name in zip(columns, wanted, strict=True):
            column.append(fields[head.index(name)])
    return columns[0], columns[1], np.array(columns[2], np.int8)
