"""Figures that a reviewer checks: each against hand-worked numbers, a brute-force oracle, or an independent library."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from speakerkd.errors import InputError
from speakerkd.evaluation import metrics, roc_vertices


def of(target, nontarget):
    scores = np.array([*target, *nontarget], float)
    return metrics.sort_scores(scores, np.repeat([1, 0], [len(target), len(nontarget)]))


def brute_points(target, nontarget):
    """(FPR, FNR) at every threshold between distinct scores, found by counting."""
    cuts = [*sorted({*target, *nontarget}), math.inf]
    return [(sum(n >= c for n in nontarget) / len(nontarget), sum(t < c for t in target) / len(target)) for c in cuts]


def brute_eer(target, nontarget):
    points = brute_points(target, nontarget)
    for (fa0, miss0), (fa1, miss1) in itertools.pairwise(points):
        if miss1 >= fa1:
            x = (fa0 - miss0) / ((miss1 - miss0) + (fa0 - fa1))
            return miss0 + x * (miss1 - miss0)
    raise AssertionError


def brute_min_dcf(target, nontarget, prior):
    return min(prior * miss + (1 - prior) * fa for fa, miss in brute_points(target, nontarget)) / min(prior, 1 - prior)


few = st.lists(st.integers(-4, 4), min_size=1, max_size=12)
labelled = st.tuples(few, few)


class TestEER:
    def test_one_error_on_each_side(self):
        # accepting >= 3: one of four non-targets (FPR 1/4), one target of four missed (FNR 1/4)
        assert metrics.eer(of([1, 4, 5, 6], [0, 0.5, 2, 3])) == 0.25

    def test_between_operating_points(self):
        # the tie at 1 takes (FPR, FNR) from (1/2, 0) to (0, 2/3): they meet where 2/3 x = 1/2 - 1/2 x, x = 3/7
        assert metrics.eer(of([1, 1, 2], [0, 1])) == pytest.approx(2 / 7, abs=1e-15)

    def test_all_equal_scores_give_half(self):
        assert metrics.eer(of([0.3] * 7, [0.3] * 2)) == 0.5

    def test_perfect_and_reversed(self):
        assert metrics.eer(of([2, 3], [0, 1])) == 0
        assert metrics.eer(of([0, 1], [2, 3])) == 1

    def test_infinite_scores_are_scores(self):
        assert metrics.eer(of([1, math.inf], [0, -math.inf])) == 0

    @given(labelled)
    @settings(max_examples=300, deadline=None)
    def test_equals_counting(self, data):
        assert metrics.eer(of(*data)) == pytest.approx(brute_eer(*data), abs=1e-12)

    def test_threshold_is_where_both_errors_are_nearest(self):
        s = of([1, 4, 5, 6], [0, 0.5, 2, 3])
        assert metrics.eer_threshold(s) in (3.0, 4.0)
        accepted = metrics.eer_threshold(s)
        assert sum(x >= accepted for x in (0, 0.5, 2, 3)) <= 1


class TestDetectionCost:
    def test_by_hand(self):
        # p = .01: weights 1 and 99. Reject all: 1. Accept >= 5: misses 2 of 4, no false accept: 0.5
        s = of([1, 4, 5, 6], [0, 0.5, 2, 4.5])
        assert metrics.min_dcf(s, 0.01) == pytest.approx(0.5)
        assert metrics.min_dcf_threshold(s, 0.01) == 5
        # p = .5: accept >= 4: misses 1/4, false accepts 1/4 (cost 1/2); accept >= 5: 1/2; accept >= 1: 0 and 2/4
        assert metrics.min_dcf(s, 0.5) == pytest.approx(0.5)

    def test_ties_are_decided_together(self):
        # one distinct score: only all or nothing can be accepted, whatever the order of the trials
        assert metrics.min_dcf(of([1] * 5, [1] * 50), 0.01) == 1

    def test_costs(self):
        # c_miss 10, p .01: weights .1 and .99; accept >= 5 costs .1 * .5 / .1
        assert metrics.min_dcf(of([1, 4, 5, 6], [0, 0.5, 2, 4.5]), 0.01, c_miss=10) == pytest.approx(0.5)

    @given(labelled, st.sampled_from([0.001, 0.01, 0.05, 0.5, 0.9]))
    @settings(max_examples=300, deadline=None)
    def test_equals_counting(self, data, prior):
        s = of(*data)
        assert metrics.min_dcf(s, prior) == pytest.approx(brute_min_dcf(*data, prior), abs=1e-12)
        cut = metrics.min_dcf_threshold(s, prior)
        fa = sum(n >= cut for n in data[1]) / len(data[1])
        miss = sum(t < cut for t in data[0]) / len(data[0])
        cost = (prior * miss + (1 - prior) * fa) / min(prior, 1 - prior)
        assert cost == pytest.approx(metrics.min_dcf(s, prior), abs=1e-12)

    def test_actual_cost_uses_bayes_threshold(self):
        # p = .5: threshold 0, so the target at -1 is missed (1 of 2) and the non-target at 2 accepted (1 of 4)
        assert metrics.act_dcf(of([-1, 3], [-2, -2, -1, 2]), 0.5) == pytest.approx(0.75)
        # p = .01: threshold log 99 = 4.595
        assert metrics.act_dcf(of([4.5, 4.7], [0, 1]), 0.01) == pytest.approx(0.5)

    def test_a_prior_outside_0_to_1_is_refused(self):
        with pytest.raises(InputError, match="prior 1"):
            metrics.min_dcf(of([1], [0]), 1.0)


class TestInvariance:
    @given(labelled, st.randoms(use_true_random=False))
    @settings(max_examples=150, deadline=None)
    def test_order_of_trials_changes_nothing(self, data, random):
        scores = [*data[0], *data[1]]
        labels = [1] * len(data[0]) + [0] * len(data[1])
        pairs = list(zip(scores, labels, strict=True))
        random.shuffle(pairs)
        one = metrics.sort_scores(np.array(scores, float), np.array(labels))
        other = metrics.sort_scores(*(np.array(x) for x in zip(*((float(a), b) for a, b in pairs), strict=True)))
        for figure in (metrics.eer, metrics.cllr, metrics.min_cllr, lambda s: metrics.min_dcf(s, 0.01)):
            assert figure(one) == figure(other)

    @given(labelled, st.floats(0.01, 50), st.floats(-20, 20))
    @settings(max_examples=150, deadline=None)
    def test_increasing_maps_change_nothing(self, data, slope, shift):
        scores = [np.array(side, float) for side in data]
        mapped = [np.arctan(side * 0.3) * slope + shift for side in scores]
        one, other = of(*scores), of(*mapped)
        assert metrics.eer(one) == metrics.eer(other)
        assert metrics.min_dcf(one, 0.01) == metrics.min_dcf(other, 0.01)
        assert metrics.min_dcf(one, 0.05) == metrics.min_dcf(other, 0.05)
        assert metrics.min_cllr(one) == pytest.approx(metrics.min_cllr(other), abs=1e-12)
        assert [p[1:] for p in zip(*metrics.det_points(one), strict=True)] == [
            p[1:] for p in zip(*metrics.det_points(other), strict=True)
        ]


class TestCllr:
    def test_by_hand(self):
        # log2(1 + e^0) = 1 bit on each side
        assert metrics.cllr(of([0], [0])) == pytest.approx(1)
        # targets at log 3: log2(1 + 1/3); non-targets at -log 3: the same
        assert metrics.cllr(of([math.log(3)], [-math.log(3)])) == pytest.approx(math.log2(4 / 3))

    def test_infinite_ratios(self):
        assert metrics.cllr(of([math.inf], [-math.inf])) == 0
        assert metrics.cllr(of([-math.inf], [0])) == math.inf

    def test_minimum_by_hand(self):
        assert metrics.min_cllr(of([2, 3], [0, 1])) == 0
        assert metrics.min_cllr(of([1, 1], [1, 1])) == pytest.approx(1)
        # levels 0: 1 of 2 non-targets; 1: 1 target and 1 non-target (ratio 1/2 : 1/2 = 1); 2: 1 of 2 targets.
        # ratios -inf, 0, inf: only the middle costs, half of each class by 1 bit
        assert metrics.min_cllr(of([1, 2], [0, 1])) == pytest.approx(0.5)

    @given(labelled)
    @settings(max_examples=150, deadline=None)
    def test_minimum_equals_regression_over_single_scores(self, data):
        """Without putting neighbours together first, and with targets last among equal scores made equal by weights."""
        from sklearn.isotonic import IsotonicRegression

        scores = np.array([*data[0], *data[1]], float)
        labels = np.repeat([1.0, 0.0], [len(data[0]), len(data[1])])
        p = IsotonicRegression(y_min=0, y_max=1).fit(scores, labels).predict(scores)
        T, N = len(data[0]), len(data[1])
        with np.errstate(divide="ignore"):
            ratio = np.log(p) - np.log(1 - p) - np.log(T / N)
        expected = np.logaddexp(0, -ratio[:T]).mean() + np.logaddexp(0, ratio[T:]).mean()
        assert metrics.min_cllr(of(*data)) == pytest.approx(expected / 2 / np.log(2), abs=1e-9)

    @given(labelled)
    @settings(max_examples=100, deadline=None)
    def test_minimum_is_below_and_below_any_affine_map(self, data):
        s = of(*data)
        least = metrics.min_cllr(s)
        assert 0 <= least <= 1 + 1e-12
        for slope, shift in ((1, 0), (0.5, 1), (2, -1)):
            mapped = of(np.array(data[0]) * slope + shift, np.array(data[1]) * slope + shift)
            assert least <= metrics.cllr(mapped) + 1e-12


class TestThresholds:
    def test_at_a_false_accept_rate(self):
        s = of([1, 4, 5, 6], [0, 0.5, 2, 3])
        point = metrics.threshold_at_false_accept(s, 0.25)
        assert (point.threshold, point.false_accept, point.false_reject) == (3, 0.25, 0.25)
        point = metrics.threshold_at_false_accept(s, 0.2)  # one of four is too many
        assert (point.threshold, point.false_accept, point.false_reject) == (4, 0, 0.25)
        assert metrics.threshold_at_false_accept(s, 1).false_reject == 0

    def test_infinity_where_the_best_scores_are_non_targets(self):
        point = metrics.threshold_at_false_accept(of([1], [2]), 0)
        assert (point.threshold, point.false_accept, point.false_reject) == (math.inf, 0, 1)

    @given(labelled, st.floats(0, 1))
    @settings(max_examples=150, deadline=None)
    def test_is_the_lowest_that_keeps_the_rate(self, data, rate):
        point = metrics.threshold_at_false_accept(of(*data), rate)
        assert point.false_accept <= rate + 1e-12
        assert point.false_accept == sum(n >= point.threshold for n in data[1]) / len(data[1])
        lower = [s for s in (*data[0], *data[1]) if s < point.threshold]
        if lower:
            assert sum(n >= max(lower) for n in data[1]) / len(data[1]) > rate - 1e-12


class TestCurves:
    @given(labelled)
    @settings(max_examples=150, deadline=None)
    def test_det_points_are_all_operating_points(self, data):
        cuts, fpr, fnr = metrics.det_points(of(*data))
        assert list(zip(fpr, fnr, strict=True)) == brute_points(*data)
        assert len(cuts) == len({*data[0], *data[1]}) + 1

    @given(labelled)
    @settings(max_examples=100, deadline=None)
    def test_a_thinned_curve_holds_true_points(self, data):
        s = of(*data)
        every = set(zip(*metrics.det_points(s), strict=True))
        some = list(zip(*metrics.det_curve(s), strict=True))
        assert set(some) <= every and some[0][1:] == (1, 0) and some[-1][1:] == (0, 1)

    @given(labelled)
    @settings(max_examples=150, deadline=None)
    def test_vertices_equal_scikit_learns(self, data):
        scores = np.array([*data[0], *data[1]], float)
        labels = np.repeat([1, 0], [len(data[0]), len(data[1])])
        fpr, tpr, thresholds = roc_curve(labels, scores)
        ours = roc_vertices.roc_vertices(of(*data))
        np.testing.assert_array_equal(ours[0], thresholds)
        np.testing.assert_allclose(ours[1], fpr, atol=1e-12)
        np.testing.assert_allclose(ours[2], 1 - tpr, atol=1e-12)

    @given(labelled)
    @settings(max_examples=100, deadline=None)
    def test_area_equals_scikit_learns(self, data):
        scores = [*data[0], *data[1]]
        labels = [1] * len(data[0]) + [0] * len(data[1])
        assert metrics.auc(of(*data)) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


class TestBadInput:
    @pytest.mark.parametrize("data", [([1, 2], []), ([], [1, 2]), ([], [])])
    def test_one_class_is_undefined(self, data):
        s = of(*data)
        assert not s.defined
        figures = [metrics.eer(s), metrics.min_dcf(s, 0.01), metrics.act_dcf(s, 0.01), metrics.cllr(s)]
        figures += [metrics.min_cllr(s), metrics.auc(s), metrics.threshold_at_false_accept(s, 0.1).threshold]
        assert all(math.isnan(figure) for figure in figures)

    def test_nan_is_refused(self):
        with pytest.raises(InputError, match="not a number"):
            of([1, math.nan], [0])

    def test_lengths_must_agree(self):
        with pytest.raises(InputError, match="differ in shape"):
            metrics.sort_scores(np.zeros(3), np.zeros(4))

    def test_trials_without_a_label_are_left_out(self):
        s = metrics.sort_scores(np.array([1.0, 5.0, 0.0]), np.array([1, -1, 0]))
        assert s.target.tolist() == [1] and s.nontarget.tolist() == [0]
