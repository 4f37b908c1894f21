"""Confidence intervals by resampling speakers, for trials share speakers and are not independent.

A replicate draws as many speakers as there are, with replacement. A speaker drawn m times counts as m people: their
target trials weigh m, non-target trials between two speakers m m'. (Resampling trials gives intervals far too narrow.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.names import plain_name
from speakerkd.data.trials import TrialList

NODES = 1000  # thresholds a class at which a replicate's error rates are taken
BATCH = 32  # replicates at a time
# false-accept rates at which the band of a DET curve is told, even on its normal-deviate axis
BAND_LEVELS = np.concatenate([np.geomspace(1e-4, 0.1, 24), np.linspace(0.12, 0.5, 8)])


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Band:
    """The interval of a DET curve: of the false-reject rates (P,) at each of the false-accept rates (P,)."""

    accept: NDArray
    low: NDArray
    high: NDArray


@dataclass(frozen=True, slots=True)
class Intervals:
    """What resampling speakers tells: an interval a figure, and the band around the DET curve."""

    figures: dict[str, Interval]
    band: Band


def speakers_of_trials(trials: TrialList, utt2spk: dict[str, str] | None = None) -> tuple[NDArray, NDArray, int]:
    """The speaker of each trial's two sides, (n,) int each, and how many speakers there are.

    Without utt2spk {recording: speaker}, or where a name is not in it (an enrolment model), recordings that target
    trials connect are of one speaker.
    """
    if utt2spk:
        stems = {plain_name(key): speaker for key, speaker in utt2spk.items()}
        known: dict[str | None, int] = {}
        sides = [
            np.array([known.setdefault(stems.get(plain_name(name)), len(known)) for name in names])
            for names in (trials.enrol_names, trials.test_names)
        ]
        if None not in known:
            return sides[0][trials.enrol], sides[1][trials.test], len(known)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names: dict[str, int] = {}
    enrols, tests = (
        np.array([names.setdefault(plain_name(name), len(names)) for name in side], np.int64)
        for side in (trials.enrol_names, trials.test_names)
    )
    target = trials.label == 1
    a, b = enrols[trials.enrol[target]], tests[trials.test[target]]
    links = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(len(names), len(names)))
    count, speaker = connected_components(links, directed=False)
    return speaker[enrols[trials.enrol]], speaker[tests[trials.test]], count


class Resampler:
    """Error rates of a labelled list under resampled speakers.

    scores, label: (n,). left, right: (n,) speakers of the two sides, in [0, speakers).
    """

    def __init__(self, scores: NDArray, label: NDArray, left: NDArray, right: NDArray, speakers: int) -> None:
        from scipy.sparse import coo_matrix

        self.speakers = speakers
        self.tables, self.pairs = [], []
        target, other = scores[label == 1], scores[label == 0]
        self.nodes = _nodes(target, other)
        for mask in (label == 1, label == 0):
            bins = np.searchsorted(self.nodes, scores[mask], "right")  # how many nodes accept the trial
            low, high = np.minimum(left[mask], right[mask]), np.maximum(left[mask], right[mask])
            pairs, column = np.unique(low.astype(np.int64) * speakers + high, return_inverse=True)
            shape = (len(self.nodes) + 1, len(pairs))
            counts = coo_matrix((np.ones(len(bins), np.float32), (bins, column.ravel())), shape=shape)
            self.tables.append(counts.tocsr())
            self.pairs.append((pairs // speakers, pairs % speakers))

    def rates(self, times: NDArray) -> tuple[NDArray, NDArray]:
        """FPR and FNR (nodes + 2, R) of R replicates, thresholds ascending from accept-all to reject-all.

        times: (speakers, R) how often each speaker was drawn.
        """
        result = []
        for table, (a, b), accepted in zip(self.tables, self.pairs, (False, True), strict=True):
            weight = np.where((a == b)[:, None], times[a], times[a] * times[b]).astype(np.float32)
            below = np.cumsum(table @ weight, axis=0, dtype=np.float64)
            total = below[-1]
            with np.errstate(invalid="ignore", divide="ignore"):
                rejected = np.concatenate([np.zeros((1, times.shape[1])), below]) / total
            result.append(1 - rejected if accepted else rejected)
        return result[1], result[0]


def _nodes(target: NDArray, other: NDArray) -> NDArray:
    """Thresholds at quantiles of either class, finer towards the tail that decides; all scores where they are few."""
    levels = np.concatenate([np.geomspace(1e-5, 0.5, NODES // 2), 1 - np.geomspace(1e-5, 0.5, NODES // 2)])
    nodes = [np.unique(x) if len(x) <= NODES else np.quantile(x, levels, method="nearest") for x in (target, other)]
    return np.unique(np.concatenate(nodes))


def eer_of_rates(fpr: NDArray, fnr: NDArray) -> NDArray:
    """Interpolated EER (R,) of curves (points, R), thresholds ascending; nan where a class has no weight."""
    gap = fnr - fpr
    after = np.argmax(gap >= 0, axis=0)
    column = np.arange(gap.shape[1])
    before = np.maximum(after - 1, 0)
    g0, g1 = gap[before, column], gap[after, column]
    with np.errstate(invalid="ignore", divide="ignore"):
        x = np.where(g1 > g0, -g0 / (g1 - g0), 0)
        return fnr[before, column] + x * (fnr[after, column] - fnr[before, column])


def dcf_of_rates(fpr: NDArray, fnr: NDArray, prior: float) -> NDArray:
    """Minimum normalised detection cost (R,) of curves (points, R), both costs 1."""
    return (prior * fnr + (1 - prior) * fpr).min(0) / min(prior, 1 - prior)


def intervals(
    scores: NDArray,
    trials: TrialList,
    priors: list[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    utt2spk: dict[str, str] | None = None,
    level: float = 0.95,
) -> Intervals | None:
    """Percentile intervals of the EER, the minimum detection costs and the DET curve, by resampling speakers.

    Parameters
    ----------
    scores: (n,) of a labelled list. priors: of a target, in (0, 1), one cost each.
    replicates: bootstrap samples. seed: of the samples. level: of confidence, in (0, 1).
    utt2spk: {recording: speaker}; without it the target trials tell who is who.

    Returns
    -------
    The intervals of `eer` (fractions) and `min_dcf_<prior>`; None with fewer than 5 speakers or one class only.
    """
    left, right, speakers = speakers_of_trials(trials, utt2spk)
    present = np.unique(np.concatenate([left, right]))
    label = trials.label
    if label is None or len(present) < 5 or not ((label == 1).any() and (label == 0).any()):
        return None
    position = np.zeros(speakers, np.int64)
    position[present] = np.arange(len(present))
    sample = Resampler(scores, label, position[left], position[right], len(present))
    generator = np.random.default_rng(seed)
    levels = BAND_LEVELS[BAND_LEVELS * (label == 0).sum() >= 1]  # where there is a trial to be accepted
    samples: dict[str, list[NDArray]] = {"eer": [], **{f"min_dcf_{p:g}": [] for p in priors}}
    curves: list[NDArray] = []
    for first in range(0, replicates, BATCH):
        count = min(BATCH, replicates - first)
        drawn = generator.multinomial(len(present), np.full(len(present), 1 / len(present)), size=count)
        fpr, fnr = sample.rates(drawn.T)
        samples["eer"].append(eer_of_rates(fpr, fnr))
        for prior in priors:
            samples[f"min_dcf_{prior:g}"].append(dcf_of_rates(fpr, fnr, prior))
        curves += [np.interp(levels, fpr[::-1, r], fnr[::-1, r]) for r in range(count)]

    tail = (1 - level) / 2
    figures = {}
    for name, values in samples.items():
        low, high = np.nanquantile(np.concatenate(values), [tail, 1 - tail])
        figures[name] = Interval(float(low), float(high))
    low, high = np.nanquantile(np.stack(curves), [tail, 1 - tail], axis=0)
    return Intervals(figures, Band(levels, low, high))
