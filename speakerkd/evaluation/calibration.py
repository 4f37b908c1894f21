"""Scores to log likelihood ratios: logistic regression on a development list, with recordings' quality measures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from speakerkd.config import Settings
from speakerkd.data.trials import TrialList
from speakerkd.errors import InputError
from speakerkd.evaluation.settings import Quality
from speakerkd.work.files import digest, write_json
from speakerkd.work.records import read_json


class Calibration(Settings):
    """A fitted map from scores and qualities to natural log likelihood ratios; what it was fitted on is part of it."""

    offset: float = Field(description="log likelihood ratio where all inputs are 0")
    scores: list[float] = Field(min_length=1, description="factor of each system's score")
    qualities: dict[Quality, tuple[float, float]] = Field(
        default_factory=dict, description="factors of each measure's mean over both sides, and of their difference"
    )
    development: str = Field(description="name of the development list")
    digest: str = Field(description="digest of that list")
    trials: int = Field(ge=2, description="its trials")
    prior: float = Field(gt=0, lt=1, description="effective prior at which it was fitted")
    protocol: str = Field("", description="protocol of the scores")
    model: str = Field("", description="digest of the model whose scores they are")

    def apply(self, scores: NDArray, qualities: dict[Quality, tuple[NDArray, NDArray]] | None = None) -> NDArray:
        """Log likelihood ratios (n,) of scores (n,) or (n, systems) and of both sides' qualities {name: (n,), (n,)}."""
        x = np.asarray(scores, np.float64).reshape(len(scores), -1)
        if x.shape[1] != len(self.scores):
            what = f"scores of {x.shape[1]} systems, the calibration is of {len(self.scores)}"
            raise InputError(what, "calibration", "give the systems that it was fitted on, in the same order")
        result = x @ np.array(self.scores) + self.offset
        for name, factors in self.qualities.items():
            if qualities is None or name not in qualities:
                raise InputError(f"no quality measure '{name}'", "calibration", f"score with --quality {name}")
            for factor, column in zip(factors, _combine(*qualities[name]), strict=True):
                result += factor * column
        return result


def _combine(left: NDArray, right: NDArray) -> tuple[NDArray, NDArray]:
    """Two columns that do not change when the sides are swapped."""
    return (left + right) / 2, np.abs(left - right)


def fit(
    scores: NDArray,
    trials: TrialList,
    qualities: dict[Quality, tuple[NDArray, NDArray]] | None = None,
    prior: float = 0.5,
    **record: str,
) -> Calibration:
    """Fit by prior-weighted logistic regression (Brümmer and du Preez 2006) on a labelled development list.

    Parameters
    ----------
    scores: (n,), or (n, systems) to fuse.
    trials: the n trials of the development list.
    qualities: {name: (n,) of the enrolment side, (n,) of the test side}, such as durations.
    prior: of a target trial, in (0, 1).
    record: further fields of the result.

    Raises
    ------
    InputError: where the list has no labels or one class only, or a score is not finite.
    """
    from sklearn.linear_model import LogisticRegression

    label = trials.label
    if label is None or not ((label == 1).any() and (label == 0).any()):
        raise InputError("a development list needs target and non-target trials", trials.path, "give a labelled list")
    scores = np.asarray(scores, np.float64).reshape(len(trials), -1)
    names = list(qualities or {})
    x = np.column_stack([scores, *(column for sides in (qualities or {}).values() for column in _combine(*sides))])
    if not np.isfinite(x).all():
        raise InputError("a score or quality is not finite", trials.path, "leave the recording out of the list")
    centre, spread = x.mean(0), x.std(0)
    spread[spread == 0] = 1  # a constant column explains nothing, and is left to get no weight
    target = label == 1
    weight = np.where(target, prior / target.sum(), (1 - prior) / (~target).sum()) * len(x)
    # the penalty only matters where the classes are separable, and a slope would grow without end
    model = LogisticRegression(C=1e3, tol=1e-8, max_iter=1000).fit((x - centre) / spread, target, weight)
    factors = model.coef_[0] / spread
    offset = float(model.intercept_[0] - factors @ centre) - math.log(prior / (1 - prior))
    systems = scores.shape[1]
    pairs = factors[systems:].reshape(-1, 2)
    return Calibration(
        offset=offset,
        scores=factors[:systems].tolist(),
        qualities={name: tuple(pair.tolist()) for name, pair in zip(names, pairs, strict=True)},
        development=trials.path.name,
        digest=digest(trials.path) if trials.path.is_file() else "",
        trials=len(trials),
        prior=prior,
        **record,
    )


def refuse_test_list(development: TrialList, test: TrialList) -> None:
    """Raises InputError where a development list holds a trial of the list it is to calibrate, in either order."""
    names: dict[str, int] = {}

    def pairs(trials: TrialList) -> NDArray[np.int64]:
        left, right = (
            np.array([names.setdefault(name, len(names)) for name in side], np.int64)[index]
            for side, index in ((trials.enrol_names, trials.enrol), (trials.test_names, trials.test))
        )
        return np.minimum(left, right) << 32 | np.maximum(left, right)

    shared = np.isin(pairs(development), pairs(test))
    if shared.any():
        first = development.line(int(np.argmax(shared)))
        what = f"{int(shared.sum())} trials of the development list are in the test list {test.path}"
        fix = "calibrate on another list: figures of a list that was fitted on mean nothing"
        raise InputError(what, f"{development.path}:{first}", fix)


def save_calibration(path: Path | str, calibration: Calibration) -> None:
    """Write a calibration as JSON."""
    write_json(path, calibration.model_dump())


def load_calibration(path: Path | str) -> Calibration:
    """Read a calibration; raises InputError where the file is not one."""
    return read_json(path, Calibration, "make one with `speakerkd score --calibrate`")
