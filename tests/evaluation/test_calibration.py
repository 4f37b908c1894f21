"""Calibrated scores are log likelihood ratios of the development list, and never of the test list."""

import numpy as np
import pytest
from scipy.stats import norm as gauss

from speakerkd.data.trials import TrialList, read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation import metrics
from speakerkd.evaluation.calibration import Calibration, fit, load_calibration, refuse_test_list, save_calibration
from speakerkd.evaluation.fusion import mean_scores


def gaussians(n=40_000, seed=0):
    """Targets N(2, 1), non-targets N(0, 1): the log likelihood ratio of s is 2 s - 2."""
    generator = np.random.default_rng(seed)
    label = (np.arange(n) % 10 == 0).astype(np.int8)
    scores = generator.normal(size=n) + 2 * label
    names = [f"r{i}" for i in range(n)]
    index = np.arange(n, dtype=np.int32)
    return scores, TrialList(names, names, index, index, label)


def test_finds_the_log_likelihood_ratio():
    scores, trials = gaussians()
    for prior in (0.5, 0.05):
        fitted = fit(scores * 3 + 7, trials, prior=prior)
        x = np.array([-1.0, 1.0, 3.0])
        np.testing.assert_allclose(fitted.apply(x * 3 + 7), 2 * x - 2, atol=0.25)


def test_calibrated_costs_are_near_their_minimum():
    scores, trials = gaussians()
    fitted = fit(scores, trials)
    others, test = gaussians(seed=1)
    s = metrics.sort_scores(fitted.apply(others), test.label)
    assert metrics.cllr(s) == pytest.approx(metrics.min_cllr(s), abs=0.02)
    assert metrics.act_dcf(s, 0.05) == pytest.approx(metrics.min_dcf(s, 0.05), abs=0.03)
    raw = metrics.sort_scores(others * 0.1, test.label)
    assert metrics.cllr(raw) > metrics.cllr(s) + 0.2


def test_a_quality_measure_helps_where_it_tells_something():
    scores, trials = gaussians()
    generator = np.random.default_rng(2)
    offset = generator.normal(size=len(scores)) * 2  # a known shift of each score
    qualities = {"duration": (offset, offset)}
    plain, informed = fit(scores + offset, trials), fit(scores + offset, trials, qualities)
    costs = [
        metrics.cllr(metrics.sort_scores(f.apply(scores + offset, q), trials.label))
        for f, q in ((plain, None), (informed, qualities))
    ]
    assert costs[1] < costs[0] - 0.1
    swapped = {"duration": (offset, offset + 1)}, {"duration": (offset + 1, offset)}
    np.testing.assert_allclose(*(informed.apply(scores, q) for q in swapped))
    with pytest.raises(InputError, match="no quality measure 'duration'"):
        informed.apply(scores)


def test_separable_lists_get_a_finite_slope():
    trials = TrialList(["a"] * 4, ["b"] * 4, *(np.arange(4, dtype=np.int32),) * 2, np.array([0, 0, 1, 1], np.int8))
    assert np.isfinite(fit(np.array([0.0, 1.0, 2.0, 3.0]), trials).apply(np.array([9.0]))).all()


def test_two_systems_are_weighed():
    scores, trials = gaussians()
    noise = np.random.default_rng(5).normal(size=len(scores))
    fitted = fit(np.column_stack([scores, noise]), trials)
    assert abs(fitted.scores[1]) < 0.1 < fitted.scores[0]
    with pytest.raises(InputError, match="scores of 1 systems"):
        fitted.apply(scores)


def test_a_list_without_both_classes_is_refused():
    scores, trials = gaussians(100)
    for label in (None, np.ones(100, np.int8)):
        trials.label = label
        with pytest.raises(InputError, match="target and non-target"):
            fit(scores, trials)


def test_the_test_list_is_refused(tmp_path):
    (tmp_path / "test").write_text("1 a b\n0 a c\n")
    (tmp_path / "dev").write_text("1 x y\n0 c a\n")
    (tmp_path / "other").write_text("1 x y\n0 x z\n")
    test, dev, other = (read_trials(tmp_path / name) for name in ("test", "dev", "other"))
    with pytest.raises(InputError, match="1 trials of the development list") as error:
        refuse_test_list(dev, test)
    assert error.value.where == f"{tmp_path / 'dev'}:2"
    refuse_test_list(other, test)


def test_round_trip(tmp_path):
    scores, trials = gaussians(1000)
    fitted = fit(scores, trials, {"norm": (scores, scores)}, protocol="crops", model="abc")
    save_calibration(tmp_path / "c.json", fitted)
    assert load_calibration(tmp_path / "c.json") == fitted and isinstance(fitted, Calibration)
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(InputError):
        load_calibration(tmp_path / "c.json")


class TestFusion:
    def test_mean_of_two_distances(self):
        # a face cosine of .5 is a distance of 1
        scores, kind = mean_scores([np.array([-0.4]), np.array([0.5])], ["distance", "cosine"])
        assert kind == "distance" and scores == pytest.approx([-0.7])

    def test_ratios_and_distances_have_no_mean(self):
        with pytest.raises(InputError, match="different kinds"):
            mean_scores([np.zeros(1)] * 2, ["llr", "distance"])

    def test_two_voices_are_better_than_one(self):
        one, trials = gaussians()
        other, _ = gaussians(seed=9)
        fused, _ = mean_scores([one, other], ["llr", "llr"])
        eers = [metrics.eer(metrics.sort_scores(s, trials.label)) for s in (one, fused)]
        assert eers[0] == pytest.approx(gauss.sf(1), abs=0.01)
        assert eers[1] == pytest.approx(gauss.sf(2**0.5), abs=0.01)
