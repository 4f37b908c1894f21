"""Is a system better than another? The difference of every figure, with an interval by resampling people.

Both systems answer the same trials and questions, so a replicate draws people once and both are asked about the same
ones: what makes a list easy or hard for both goes out of the difference (paired bootstrap). With several seeds a
figure is the mean over them, and a replicate draws seeds too, since another training would have given another figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.trials import TrialList, read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation.bootstrap import BATCH, Resampler, dcf_of_rates, eer_of_rates, speakers_of_trials
from speakerkd.evaluation.results import update_results
from speakerkd.evaluation.scorefile import read_scores
from speakerkd.work.arrays import read_npz
from speakerkd.work.files import digest
from speakerkd.work.records import read_json

LEVEL = 0.95
FEWEST = 5  # people; fewer give no interval worth the name
Verdict = Literal["better", "worse", "no difference"]
Replicates = Callable[[NDArray], NDArray]  # times (people, R) each was drawn -> figure (R,)


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours minus the baseline's of a figure, its interval, and what that says of ours."""

    value: float
    interval: tuple[float, float]
    level: float
    replicates: int
    unit: str  # people, or people and seeds
    verdict: Verdict


def compare(
    experiments: Sequence[Path], baseline: Sequence[Path], *, replicates: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    """Differences of the figures that all experiments have: one experiment a seed of either system.

    Keys are paths in results.json: `scores/trials_original.crops/eer_percent`,
    `match/acc_match_audio_to_face_o_fit/accuracy_percent`. Written as `differences` into each experiment's results.json
    under the baseline's name. "better" and "worse" are said where the interval leaves out nothing at all.

    Raises InputError where there is nothing to compare, or lists and questions are not the same.
    """
    ours, theirs = [_results(folder) for folder in experiments], [_results(folder) for folder in baseline]
    found: dict[str, Difference] = {}
    for name in _common(ours + theirs, "scores"):
        lists = [_scored(folder, name, entry) for folder, entry in _entries([*experiments, *baseline], "scores", name)]
        trials = lists[0][0]
        if any(digest(other.path) != digest(trials.path) for other, _ in lists):
            raise InputError(f"{name} was scored on different lists", experiments[0], "score one list with both")
        left, right, people = speakers_of_trials(trials)
        rates = [Resampler(scores, trials.known_label, left, right, people) for _, scores in lists]
        priors = [float(prior) for prior in ours[0]["scores"][name]["min_dcf"]]
        parts: dict[str, Callable[[Resampler], Replicates]] = {"eer_percent": _eer}
        parts |= {f"min_dcf/{prior:g}": _dcf(prior) for prior in priors}
        for part, make in parts.items():
            values = [_value(results["scores"][name], part) for results in ours + theirs]
            found[f"scores/{name}/{part}"] = _difference(
                values, [make(rate) for rate in rates], len(ours), people, sign=-1, replicates=replicates, seed=seed
            )
    for name in _common(ours + theirs, "match"):
        answers = [_answers(folder, name) for folder in [*experiments, *baseline]]
        if any(not np.array_equal(other["identity"], answers[0]["identity"]) for other in answers):
            raise InputError(
                f"{name} was asked with different questions", experiments[0], "run match-test with one seed"
            )
        values = [results["match"][name]["accuracy_percent"] for results in ours + theirs]
        found[f"match/{name}/accuracy_percent"] = _difference(
            values,
            [_accuracy(one) for one in answers],
            len(ours),
            len(answers[0]["people"]),
            sign=1,
            replicates=replicates,
            seed=seed,
        )
    if not found:
        fix = "run `speakerkd score` and `match-test` on the same lists for both"
        raise InputError("no figure that all of them have", experiments[0], fix)
    for folder in experiments:
        told = {key: asdict(difference) for key, difference in found.items()}
        update_results(folder / "results.json", "differences", {system_name(baseline): told})
    return found


def system_name(folders: Sequence[Path]) -> str:
    """What the experiments of a system are called without their seeds: `exp/mini-margin-seed1` -> `mini-margin`."""
    return folders[0].name.rpartition("-seed")[0] if "-seed" in folders[0].name else folders[0].name


def _difference(
    values: Sequence[float],
    figures: Sequence[Replicates],
    ours: int,
    people: int,
    *,
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
        told = np.array([figure(times) for figure in figures])
        weights = [generator.multinomial(n, np.full(n, 1 / n), size=count).T / n for n in (ours, theirs)]
        drawn.append((told[:ours] * weights[0]).sum(0) - (told[ours:] * weights[1]).sum(0))
    low, high = np.nanquantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(np.mean(values[:ours]) - np.mean(values[ours:]))
    verdict: Verdict = "no difference"
    if low > 0 or high < 0:
        verdict = "better" if (low > 0) == (sign > 0) else "worse"
    unit = "people and seeds" if max(ours, theirs) > 1 else "people"
    return Difference(value, (float(low), float(high)), LEVEL, replicates, unit, verdict)


def _eer(rates: Resampler) -> Replicates:
    return lambda times: 100 * eer_of_rates(*rates.rates(times))


def _dcf(prior: float) -> Callable[[Resampler], Replicates]:
    return lambda rates: lambda times: dcf_of_rates(*rates.rates(times), prior)


def _accuracy(answers: Mapping[str, NDArray]) -> Replicates:
    """A question weighs how often its probe's person was drawn, times the mean of the others'."""
    right, identity = answers["right"].astype(np.float64), answers["identity"]

    def figure(times: NDArray) -> NDArray:
        weight = times[identity[:, 0]] * times[identity[:, 1:]].mean(1)
        total = weight.sum(0)
        return 100 * np.divide(right @ weight, total, out=np.full(len(total), np.nan), where=total > 0)

    return figure


def _results(folder: Path) -> dict[str, Any]:
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise InputError("no results", path, "make them with `speakerkd score` and `match-test`")
    return read_json(path, dict[str, Any], "score the experiment again")


def _common(results: Sequence[Mapping[str, Any]], section: str) -> list[str]:
    """Entries of a section that have a figure in all results."""
    wanted = "eer_percent" if section == "scores" else "accuracy_percent"
    entries = [one.get(section, {}) for one in results]
    return [n for n in entries[0] if all(wanted in one.get(n, {}) and one[n][wanted] is not None for one in entries)]


def _entries(folders: Sequence[Path], section: str, name: str) -> list[tuple[Path, Mapping[str, Any]]]:
    return [(folder, _results(folder)[section][name]) for folder in folders]


def _scored(folder: Path, name: str, entry: Mapping[str, Any]) -> tuple[TrialList, NDArray[np.float64]]:
    listed, _, was = entry["made"]["list"].rpartition(" ")
    trials = read_trials(Path(listed))
    if digest(trials.path) != was:
        raise InputError("the list has changed since it was scored", trials.path, "score it again")
    return trials, read_scores(Path(folder) / "scores" / f"{name}.txt", trials)


def _answers(folder: Path, name: str) -> Mapping[str, NDArray]:
    path = Path(folder) / "outcomes" / f"{name}.npz"
    return read_npz(path)


def _value(entry: Mapping[str, Any], part: str) -> float:
    """The figure at `a` or `a/b`."""
    name, _, key = part.partition("/")
    return entry[name][key] if key else entry[name]
