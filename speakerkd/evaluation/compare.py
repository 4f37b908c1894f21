"""Is a system better than another? The difference of every figure, with an interval by resampling people.

Both systems answer the same trials and questions, so a replicate draws people once and both are asked about the same
ones: what makes a list easy or hard for both goes out of the difference (paired bootstrap). With several seeds a
figure is the mean over them, and a replicate draws seeds too, since another training would have given another figure.

In cross-validation the experiments of a system were tested on different people. Those of one seed are then pooled over
the folds: their trials are one list, their questions one set, and people are drawn from all folds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.trials import TrialList, read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation import metrics
from speakerkd.evaluation.bootstrap import BATCH, Resampler, dcf_of_rates, eer_of_rates, speakers_of_trials
from speakerkd.evaluation.results import update_results
from speakerkd.evaluation.scorefile import read_scores
from speakerkd.report.results import split_name, system_of
from speakerkd.report.results_file import read_results_file
from speakerkd.work.arrays import read_npz
from speakerkd.work.files import digest

LEVEL = 0.95
FEWEST = 5  # people; fewer give no interval worth the name
Verdict = Literal["better", "worse", "no difference"]
Replicates = Callable[[NDArray], NDArray]  # times (people, R) each was drawn -> figure (R,)


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours minus the baseline's of a figure, its interval, and what that says of ours; and the two figures."""

    value: float
    ours: float
    baseline: float
    interval: tuple[float, float]
    level: float
    replicates: int
    unit: str  # people, or people and seeds
    folds: int
    verdict: Verdict


def compare(
    experiments: Sequence[Path], baseline: Sequence[Path], *, replicates: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    """Differences of the figures that all experiments have, with paired intervals over the test's people.

    "better" and "worse" are said where the interval leaves out a difference of nought. Written as `differences` into
    each experiment's results.json under the baseline's name, unless they are of several folds.

    Parameters
    ----------
    experiments: folders of one system, one a seed; in cross-validation one a fold and seed, the seeds of a fold in the
        same order.
    baseline: those of the system that it is compared with.
    replicates: of the bootstrap.

    Returns
    -------
    {path in results.json: difference}, such as `scores/trials_original.crops/eer_percent` and
    `match/acc_match_audio_to_face_o_fit/accuracy_percent`, in the figures' own units.

    Raises
    ------
    InputError: where there is nothing to compare, or lists and questions are not the same.
    """
    folders = [*experiments, *baseline]
    all_results = [_results(folder) for folder in folders]
    differences: dict[str, Difference] = {}
    for name in _common(all_results, "scores"):
        read = [_scored(folder, name, results) for folder, results in zip(folders, all_results, strict=True)]
        asked = [list_digest for list_digest, *_ in read]
        scored = [(trials, scores) for _, trials, scores in read]
        ours, theirs = (
            [_pooled_trials([scored[n] for n in of_seed]) for of_seed in system]
            for system in _by_seed(asked, len(experiments), name, experiments[0])
        )
        left, right, people = speakers_of_trials(ours[0][0])
        rates = [Resampler(scores, trials.known_label, left, right, people) for trials, scores in ours + theirs]
        exact = [metrics.sort_scores(scores, trials.known_label) for trials, scores in ours + theirs]
        parts: dict[str, tuple[Callable[[metrics.SortedScores], float], Callable[[Resampler], Replicates]]] = {
            "eer_percent": (lambda s: 100 * metrics.eer(s), _eer)
        }
        for prior in all_results[0]["scores"][name]["min_dcf"]:
            parts[f"min_dcf/{prior}"] = (partial(metrics.min_dcf, prior=float(prior)), _dcf(float(prior)))
        for part, (figure, make) in parts.items():
            values = [figure(one) for one in exact]
            differences[f"scores/{name}/{part}"] = _difference(
                values,
                [make(rate) for rate in rates],
                len(ours),
                people,
                folds=len(set(asked)),
                sign=-1,
                replicates=replicates,
                seed=seed,
            )
    for name in _common(all_results, "match"):
        answered = [_read_answers(folder, name) for folder in folders]
        asked = [one.digest for one in answered]
        our_answers, their_answers = (
            [_pooled_answers([answered[n] for n in of_seed]) for of_seed in system]
            for system in _by_seed(asked, len(experiments), name, experiments[0])
        )
        answers = our_answers + their_answers
        values = [100 * float(one.right.mean()) for one in answers]
        differences[f"match/{name}/accuracy_percent"] = _difference(
            values,
            [_accuracy(one) for one in answers],
            len(our_answers),
            len(answers[0].people),
            folds=len(set(asked)),
            sign=1,
            replicates=replicates,
            seed=seed,
        )
    if not differences:
        fix = "run `speakerkd score` and `match-test` on the same lists for both"
        raise InputError("no figure that all of them have", experiments[0], fix)
    if all(one.folds == 1 for one in differences.values()):  # those of cross-validation are no single fold's
        record = {key: asdict(one) for key, one in differences.items()}
        for folder in experiments:
            update_results(folder / "results.json", "differences", {system_name(baseline): record})
    return differences


def lowest_eer(experiments: Sequence[Path], trials: str = "original") -> Path:
    """The experiment with the lowest EER on the list `trials_<trials>`, of equal ones the first.

    Raises InputError where one of them was not scored on it.
    """

    def eer(folder: Path) -> float:
        for name, entry in _results(folder).get("scores", {}).items():
            listed, _, noise = split_name(name)
            if listed == f"trials_{trials}" and not noise and entry.get("eer_percent") is not None:
                return float(entry["eer_percent"])
        raise InputError(f"no EER on trials_{trials}", folder, "score it, or name another list with --trials")

    return min(experiments, key=eer)


def system_name(folders: Sequence[Path]) -> str:
    """What a system's experiments are called without fold and seed: `exp/sur-fold0-margin-seed1` -> `sur-margin`."""
    return re.sub(r"-(seed|fold)\d+(?=-|$)", "", system_of(folders[0]))


def _difference(
    values: Sequence[float],
    figures: Sequence[Replicates],
    ours: int,
    people: int,
    *,
    folds: int,
    sign: int,
    replicates: int,
    seed: int,
) -> Difference:
    """values, figures: of our seeds, then of the baseline's. sign: 1 where more is better."""
    if people < FEWEST:
        raise InputError(f"{people} people in a list", "compare", f"give a list of {FEWEST} or more")
    theirs = len(values) - ours
    generator = np.random.default_rng(seed)
    drawn = []
    for first in range(0, replicates, BATCH):
        count = min(BATCH, replicates - first)
        times = generator.multinomial(people, np.full(people, 1 / people), size=count).T
        resampled = np.array([figure(times) for figure in figures])
        weights = [generator.multinomial(n, np.full(n, 1 / n), size=count).T / n for n in (ours, theirs)]
        drawn.append((resampled[:ours] * weights[0]).sum(0) - (resampled[ours:] * weights[1]).sum(0))
    low, high = np.nanquantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    means = float(np.mean(values[:ours])), float(np.mean(values[ours:]))
    verdict: Verdict = "no difference"
    if low > 0 or high < 0:
        verdict = "better" if (low > 0) == (sign > 0) else "worse"
    unit = "people and seeds" if max(ours, theirs) > 1 else "people"
    return Difference(means[0] - means[1], *means, (float(low), float(high)), LEVEL, replicates, unit, folds, verdict)


def _by_seed(asked: Sequence[str], ours: int, name: str, where: Path) -> tuple[list[list[int]], list[list[int]]]:
    """Which experiments are one seed of our system, and of the baseline: positions, one of each fold.

    asked: what each experiment was asked, by its digest, the first `ours` being our system's. Raises InputError where
    the two systems were asked different things, or a fold has fewer seeds than another.
    """
    systems = []
    for rows in (range(ours), range(ours, len(asked))):
        folds = {digest: [n for n in rows if asked[n] == digest] for digest in dict.fromkeys(asked)}
        counts = {len(one) for one in folds.values()}
        if 0 in counts:
            raise InputError(
                f"{name} was asked with different lists or questions",
                where,
                "score one list with both, and run match-test with one seed",
            )
        if len(counts) > 1:
            raise InputError(f"{name} has folds of {min(counts)} and of {max(counts)} seeds", where, "give all of each")
        systems.append([list(of_seed) for of_seed in zip(*folds.values(), strict=True)])
    return systems[0], systems[1]


def _pooled_trials(folds: Sequence[tuple[TrialList, NDArray]]) -> tuple[TrialList, NDArray]:
    """The folds' trials as one list, and their scores (n,) one after the other."""
    if len(folds) == 1:
        return folds[0]
    lists = [trials for trials, _ in folds]
    sides = []
    for names, index in ("enrol_names", "enrol"), ("test_names", "test"):
        first = np.cumsum([0, *(len(getattr(one, names)) for one in lists)])
        shifted = [getattr(one, index) + start for one, start in zip(lists, first, strict=False)]
        sides.append((list(chain.from_iterable(getattr(one, names) for one in lists)), np.concatenate(shifted)))
    (enrol_names, enrol), (test_names, test) = sides
    label = np.concatenate([one.known_label for one in lists])
    pooled = TrialList(enrol_names, test_names, enrol.astype(np.int32), test.astype(np.int32), label, lists[0].path)
    return pooled, np.concatenate([scores for _, scores in folds])


@dataclass(frozen=True, slots=True)
class _Answers:
    """right: (n,) bool. identity: (n, N) whose probe and options they were, positions in `people`."""

    right: NDArray
    identity: NDArray
    people: list[str]

    @property
    def digest(self) -> str:
        """Of the questions."""
        return hashlib.sha256(self.identity.tobytes() + "\n".join(self.people).encode()).hexdigest()


def _pooled_answers(folds: Sequence[_Answers]) -> _Answers:
    """The folds' questions as one set."""
    people: dict[str, int] = {}
    identity = []
    for one in folds:
        number = np.array([people.setdefault(name, len(people)) for name in one.people])
        identity.append(number[one.identity])
    return _Answers(np.concatenate([one.right for one in folds]), np.concatenate(identity), list(people))


def _eer(rates: Resampler) -> Replicates:
    return lambda times: 100 * eer_of_rates(*rates.rates(times))


def _dcf(prior: float) -> Callable[[Resampler], Replicates]:
    return lambda rates: lambda times: dcf_of_rates(*rates.rates(times), prior)


def _accuracy(answers: _Answers) -> Replicates:
    """A question weighs how often its probe's person was drawn, times the mean of the others'."""
    right, identity = answers.right.astype(np.float64), answers.identity

    def figure(times: NDArray) -> NDArray:
        weight = times[identity[:, 0]] * times[identity[:, 1:]].mean(1)
        total = weight.sum(0)
        return 100 * np.divide(right @ weight, total, out=np.full(len(total), np.nan), where=total > 0)

    return figure


def _results(folder: Path) -> dict[str, Any]:
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise InputError("no results", path, "make them with `speakerkd score` and `match-test`")
    return read_results_file(path)


def _common(results: Sequence[Mapping[str, Any]], section: str) -> list[str]:
    """Entries of a section that have a figure in all results."""
    wanted = "eer_percent" if section == "scores" else "accuracy_percent"
    entries = [one.get(section, {}) for one in results]
    return [n for n in entries[0] if all(wanted in one.get(n, {}) and one[n][wanted] is not None for one in entries)]


def _scored(folder: Path, name: str, results: Mapping[str, Any]) -> tuple[str, TrialList, NDArray[np.float64]]:
    """The digest of the list that an experiment scored, the list, and its scores (n,)."""
    listed, _, was = results["scores"][name]["made"]["list"].rpartition(" ")
    trials = read_trials(Path(listed))
    if digest(trials.path) != was:
        raise InputError("the list has changed since it was scored", trials.path, "score it again")
    return was, trials, read_scores(Path(folder) / "scores" / f"{name}.txt", trials)


def _read_answers(folder: Path, name: str) -> _Answers:
    stored = read_npz(Path(folder) / "outcomes" / f"{name}.npz")
    return _Answers(stored["right"], stored["identity"], stored["people"].tolist())
