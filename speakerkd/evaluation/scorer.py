"""From a trial list and embeddings to scores: protocol, mean subtraction, normalisation, quality measures."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.trials import TrialList
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings
from speakerkd.evaluation.norm import CohortStatistics, cohort_statistics, s_norm
from speakerkd.evaluation.protocol import Protocol, scores, vectors
from speakerkd.evaluation.score import GATHERED
from speakerkd.evaluation.settings import Norm, Quality

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Placed:
    """Trials that can be scored, each with its row in the enrolment and the test table.

    missing: {recording: why it has no embedding} of those that cannot, missing_trials: how many.
    same_trials: how many of the list compare a recording with itself, however its name is spelt.
    """

    trials: TrialList
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    missing: dict[str, str] = field(default_factory=dict)
    missing_trials: int = 0
    same_trials: int = 0


def locate_trials(
    trials: TrialList,
    enrol: Embeddings,
    test: Embeddings,
    skip_missing: bool = False,
    reasons: Mapping[str, str] | None = None,
) -> Placed:
    """Find every trial's embeddings.

    Parameters
    ----------
    enrol, test: the embeddings of either side; the same object where they are of one table.
    skip_missing: leave out trials that lack one; a list of which nothing is left is still refused.
    reasons: {recording: why it has no embedding}, for the message.

    Raises
    ------
    InputError: with file, line and count, for recordings without an embedding.
    """
    same = _of_one_recording(trials) if enrol is test else 0
    left, right = enrol.locate(trials.enrol_names), test.locate(trials.test_names)
    rows, columns = _looked_up(left, trials.enrol), _looked_up(right, trials.test)
    if not ((left < 0).any() or (right < 0).any()):
        return Placed(trials, rows, columns, same_trials=same)
    absent = (rows < 0) | (columns < 0)
    why = reasons or {}
    missing = {
        name: why.get(name) or side.index.explain(name) or "not among the embeddings"
        for side, names, numbers in ((enrol, trials.enrol_names, left), (test, trials.test_names, right))
        for name in (names[i] for i in np.flatnonzero(numbers < 0))
    }
    first = int(np.argmax(absent))
    name = trials.enrol_names[trials.enrol[first]] if rows[first] < 0 else trials.test_names[trials.test[first]]
    many = f"{len(missing)} recordings are missing, which {int(absent.sum())} of {len(trials)} trials name"
    where = f"{trials.path}:{trials.line(first)}"
    because = "" if missing[name] == "not among the embeddings" else f": {missing[name]}"
    if absent.all():
        fix = "check that list, data and model belong together: names are whole relative paths"
        raise InputError(f"no trial has both embeddings, the first lacks '{name}'{because} ({many})", where, fix)
    if not skip_missing:
        fix = "embed them, or score the rest with --skip-missing"
        raise InputError(f"no embedding of '{name}'{because} ({many})", where, fix)
    kept = ~absent
    return Placed(trials.keep(kept), rows[kept], columns[kept], missing, int(absent.sum()), same)


def _of_one_recording(trials: TrialList) -> int:
    """How many trials compare a recording with itself; raises InputError where a list calls one a non-target."""
    same = trials.of_one_recording()
    false = [] if trials.label is None else same[trials.label[same] == 0].tolist()
    if false:
        what = f"a non-target trial compares '{trials.enrol_names[trials.enrol[false[0]]]}' with itself"
        raise InputError(what, f"{trials.path}:{trials.line(false[0])}", "correct the label, or remove the trial")
    if len(same):
        text = "%d trials of %s compare a recording with itself (line %d is the first): they are too easy"
        log.warning(text, len(same), trials.path, trials.line(int(same[0])))
    return len(same)


def _looked_up(rows: NDArray[np.int64], index: NDArray[np.int32]) -> NDArray[np.int32]:
    """rows[index], without a copy of the long index where the table stands in the list's own order."""
    return index if np.array_equal(rows, np.arange(len(rows))) else rows.astype(np.int32)[index]


class Scorer:
    """Scores any list between two tables of embeddings under one protocol and one back-end.

    enrol, test: may be the same table. mean: (D,) subtracted from every embedding. norm: S-norm over the whole cohort,
    or adaptive S-norm over the `top` nearest, for cosine protocols; cohort: (K, D), its mean subtracted too.
    reasons: {recording: why it has no embedding}, for messages.
    """

    def __init__(
        self,
        protocol: Protocol,
        enrol: Embeddings,
        test: Embeddings,
        *,
        mean: NDArray | None = None,
        norm: Norm = "none",
        cohort: NDArray | None = None,
        top: int = 300,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        self.protocol, self.norm, self.top, self.reasons = protocol, norm, top, reasons
        self.sides = (enrol, test)
        tables = {id(side): _less(vectors(protocol, side.values), mean) for side in self.sides}
        self.tables = (tables[id(enrol)], tables[id(test)])
        self.cohort = cohort if cohort is None else _less(cohort, mean)
        if norm != "none":
            if protocol.kind != "cosine":
                what = f"{norm} normalises cosine scores, protocol {protocol.name} gives distances"
                raise InputError(what, "score normalisation", "score with --protocol mean or whole")
            if cohort is None:
                raise InputError(f"{norm} without a cohort", "score normalisation", "name one with --cohort")
        self._statistics: dict[int, CohortStatistics] = {}

    @property
    def kind(self) -> str:
        """The scores' scale: `distance`, `cosine` or `normalised`."""
        return self.protocol.kind if self.norm == "none" else "normalised"

    def locate(self, trials: TrialList, skip_missing: bool = False) -> Placed:
        """The trials in this scorer's tables; see `locate_trials`."""
        return locate_trials(trials, self.sides[0], self.sides[1], skip_missing, self.reasons)

    def scores(self, placed: Placed) -> NDArray:
        """Scores (n,) of placed trials, higher is more alike."""
        raw = scores(self.protocol, self.tables[0], self.tables[1], placed.rows, placed.columns)
        if self.norm == "none":
            return raw
        return s_norm(raw, placed.rows, placed.columns, *self.statistics(placed))

    def statistics(self, placed: Placed) -> tuple[CohortStatistics, CohortStatistics]:
        """Cohort statistics of both tables, computed for the rows that the trials use, once each."""
        if self.cohort is None:
            raise InputError("no cohort", "--quality norm", "name one with --cohort")
        used: dict[int, list[NDArray]] = {}
        for table, rows in zip(self.tables, (placed.rows, placed.columns), strict=True):
            used.setdefault(id(table), []).append(rows)
        for table in self.tables:
            rows = np.unique(np.concatenate(used[id(table)]))
            known = self._statistics.setdefault(id(table), _unknown(len(table)))
            rows = rows[np.isnan(known.mean[rows])]
            if len(rows):
                new = cohort_statistics(table[rows], self.cohort, None if self.norm == "s-norm" else self.top)
                known.mean[rows], known.std[rows] = new.mean, new.std
        return self._statistics[id(self.tables[0])], self._statistics[id(self.tables[1])]

    def qualities(self, placed: Placed, names: Iterable[Quality]) -> dict[Quality, tuple[NDArray, NDArray]]:
        """Quality measures of both sides' recordings, {name: (n,), (n,)}.

        duration: log of seconds. magnitude: log of the embedding's L2 norm before anything is done to it (of crops,
        the mean). norm: mean cosine to the cohort that score normalisation uses.
        """
        result: dict[Quality, tuple[NDArray, NDArray]] = {}
        for name in names:
            if name == "norm":
                left, right = (statistics.mean for statistics in self.statistics(placed))
            else:
                left, right = (_quality(side, name) for side in self.sides)
            result[name] = left[placed.rows], right[placed.columns]
        return result


def _less(values: NDArray, mean: NDArray | None) -> NDArray:
    return values if mean is None else values - mean.astype(values.dtype)


def _unknown(count: int) -> CohortStatistics:
    return CohortStatistics(np.full(count, np.nan), np.full(count, np.nan))


def _quality(side: Embeddings, name: Quality) -> NDArray[np.float64]:
    if name == "duration":
        if side.seconds is None:
            raise InputError(
                "lengths of the recordings are not known", "--quality duration", "give --data with utt2dur"
            )
        return np.log(np.maximum(side.seconds, 0.01))
    result = np.empty(len(side))
    step = max(1, GATHERED // int(np.prod(side.values.shape[1:])))
    for first in range(0, len(side), step):
        norms = np.linalg.norm(side.values[first : first + step], axis=-1)
        result[first : first + step] = norms if norms.ndim == 1 else norms.mean(1)
    return np.log(result)
