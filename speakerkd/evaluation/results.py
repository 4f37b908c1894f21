"""Figures of a scored list: computed once, kept in `results.json`, told in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.names import plain_name
from speakerkd.data.trials import TrialList
from speakerkd.evaluation import metrics
from speakerkd.evaluation.bootstrap import intervals
from speakerkd.evaluation.metrics import SortedScores
from speakerkd.evaluation.settings import FALSE_ACCEPTS, PRIORS
from speakerkd.report.results_file import read_results_file
from speakerkd.work.files import naming, whole_file, write_json
from speakerkd.work.lock import WAIT, locked


def figures(
    scores: NDArray,
    trials: TrialList,
    *,
    priors: Sequence[float] = PRIORS,
    false_accepts: Sequence[float] = FALSE_ACCEPTS,
    replicates: int = 1000,
    seed: int = 0,
    utt2spk: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Every figure of a list's scores, as plain numbers for JSON; None where one is undefined.

    Parameters
    ----------
    scores: (n,), higher is more alike; natural log likelihood ratios, where actDCF and Cllr are to mean something.
    trials: the n trials, labelled or not.
    priors: of a target trial, in (0, 1), for minDCF and actDCF.
    false_accepts: rates in [0, 1] for which thresholds are given.
    replicates: of the bootstrap by speaker that gives 95 % intervals and the DET band; 0: none.
    utt2spk: speakers of the recordings; None reads them off the names.

    Returns
    -------
    EER in percent and its threshold, minDCF, actDCF (at Bayes' threshold), Cllr and least Cllr in bits, thresholds,
    histogram, intervals; of a list without labels the number of trials and `undefined`, the reason.

    Raises
    ------
    InputError: for a score that is nan.
    """
    entry: dict[str, Any] = {"trials": len(trials), "labels": trials.label is not None}
    if trials.label is None:
        return entry | {"undefined": "the list has no labels"}
    s = metrics.sort_scores(scores, trials.label)
    entry |= {"targets": s.target.size, "nontargets": s.nontarget.size}
    if not s.defined:
        entry["undefined"] = f"the list has no {'non-target' if s.target.size else 'target'} trials"
    entry |= {
        "eer_percent": _number(100 * metrics.eer(s)),
        "eer_threshold": _number(metrics.eer_threshold(s)),
        "min_dcf": {f"{p:g}": _number(metrics.min_dcf(s, p)) for p in priors},
        "act_dcf": {f"{p:g}": _number(metrics.act_dcf(s, p)) for p in priors},
        "cllr": _number(metrics.cllr(s)),
        "min_cllr": _number(metrics.min_cllr(s)),
        "thresholds": {},
    }
    for rate in false_accepts:
        point = metrics.threshold_at_false_accept(s, rate)
        entry["thresholds"][f"{rate:g}"] = {
            "threshold": _number(point.threshold),
            "false_accept": _number(point.false_accept),
            "false_reject": _number(point.false_reject),
        }
    spread = (
        intervals(scores, trials, list(priors), replicates=replicates, seed=seed, utt2spk=utt2spk)
        if replicates
        else None
    )
    if s.defined:
        entry["histogram"] = histogram(s)
    if spread is not None:
        of = spread.figures
        entry["interval"] = {
            "level": 0.95,
            "replicates": replicates,
            "seed": seed,
            "eer_percent": [100 * of["eer"].low, 100 * of["eer"].high],
            "min_dcf": {f"{p:g}": [of[f"min_dcf_{p:g}"].low, of[f"min_dcf_{p:g}"].high] for p in priors},
        }
        band = spread.band
        entry["det_band"] = {
            name: [float(f"{value:.4g}") for value in values]
            for name, values in (("false_accept", band.accept), ("low", band.low), ("high", band.high))
        }
    return entry


def histogram(s: SortedScores, bins: int = 60) -> dict[str, Any]:
    """Counts of target and non-target scores in bins of one width, from the least score to the greatest.

    For pictures: {"low", "high": the range's ends, "target", "nontarget": counts (bins,)}.
    """
    low, high = min(s.target[0], s.nontarget[0]), max(s.target[-1], s.nontarget[-1])
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        low, high = float(np.nan_to_num(low)) - 0.5, float(np.nan_to_num(low)) + 0.5
    edges = np.linspace(float(low), float(high), bins + 1)[1:-1]
    counts = {}
    for name, ordered in (("target", s.target), ("nontarget", s.nontarget)):
        places = np.concatenate([[0], np.searchsorted(ordered, edges, "left"), [ordered.size]])
        counts[name] = np.diff(places).tolist()
    return {"low": float(low), "high": float(high), **counts}


def by_group(scores: NDArray, trials: TrialList, group: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Figures of the trials whose test recording is of one group, such as a genre, a group each.

    Parameters
    ----------
    scores: (n,), higher is more alike.
    trials: the n trials; without labels there are no figures.
    group: {recording: group}; recordings that it does not name are of group `-`.

    Returns
    -------
    {group: trials, targets, EER in percent, minDCF(p=.01)}; EER and minDCF are None where a group has targets alone, or
    none.
    """
    if trials.label is None:
        return {}
    known = {plain_name(name): value for name, value in group.items()}
    of_test = np.array([known.get(plain_name(name), "-") for name in trials.test_names])
    names, group_of = np.unique(of_test, return_inverse=True)
    entries: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(names.tolist()):
        mine = group_of[trials.test] == number
        s = metrics.sort_scores(scores[mine], trials.label[mine])
        entries[name] = {
            "trials": int(mine.sum()),
            "targets": s.target.size,
            "eer_percent": _number(100 * metrics.eer(s)),
            "min_dcf": _number(metrics.min_dcf(s, 0.01)),
        }
    return entries


def _number(value: float) -> float | None:
    """JSON has no nan and no infinity."""
    return value if math.isfinite(value) else None


def line(name: str, entry: Mapping[str, Any], calibrated: bool = False) -> str:
    """The entry in one line; actual costs are told of calibrated scores only, of others they say nothing."""
    words = [name, f"{entry['trials']:,} trials"]
    if entry.get("missing_trials"):
        words.append(f"({entry['missing_trials']:,} skipped, {entry['missing_recordings']:,} recordings missing)")
    if "undefined" in entry:
        return "  ".join([*words, f"figures undefined: {entry['undefined']}"])
    interval = entry.get("interval")

    def ends(pair: Sequence[float] | None, digits: int) -> str:
        return f" [{pair[0]:.{digits}f}, {pair[1]:.{digits}f}]" if pair else ""

    words.append(f"EER {entry['eer_percent']:.4f} %" + ends(interval and interval["eer_percent"], 2))
    for prior, cost in entry["min_dcf"].items():
        words.append(f"minDCF(p={prior}) {cost:.4f}" + ends(interval and interval["min_dcf"][prior], 3))
    if calibrated:
        words += [f"actDCF(p={prior}) {cost:.4f}" for prior, cost in entry["act_dcf"].items()]
        words.append(f"Cllr {entry['cllr']:.4f} (min {entry['min_cllr']:.4f})")
    return "  ".join(words)


def write_det(path: Path | str, scores: NDArray, labels: NDArray) -> None:
    """Write `threshold FPR FNR` lines of some 400 operating points, for a DET plot."""
    with whole_file(path) as stream:
        stream.write("# threshold false-accept-rate false-reject-rate\n")
        for cut, fpr, fnr in zip(*metrics.det_curve(metrics.sort_scores(scores, labels)), strict=True):
            stream.write(f"{cut:.9g} {fpr:.9g} {fnr:.9g}\n")


def update_results(path: Path | str, section: str, entries: Mapping[str, Any]) -> None:
    """Put entries into a section of `results.json`, keeping what else stands there, and what others write."""
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), "writing figures", WAIT):
        results = read_results_file(path) if path.is_file() else {}
        results[section] = {**results.get(section, {}), **entries}
        write_json(path, results)
