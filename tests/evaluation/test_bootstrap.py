"""Intervals are as wide as the speakers are few, and centred on the exact figures."""

import numpy as np
import pytest

from speakerkd.data.trials import TrialList
from speakerkd.evaluation import bootstrap, metrics


def simulated(speakers, each, seed=0, spread=1.0):
    """Every pair of recordings; scores depend on how hard the speakers are."""
    generator = np.random.default_rng(seed)
    names = [f"s{s}/{r}" for s in range(speakers) for r in range(each)]
    owner = np.repeat(np.arange(speakers), each)
    a, b = np.triu_indices(len(names), 1)
    label = (owner[a] == owner[b]).astype(np.int8)
    hard = generator.normal(size=speakers) * spread
    scores = generator.normal(size=len(a)) + np.where(label == 1, 3 + hard[owner[a]], 0)
    trials = TrialList(names, names, a.astype(np.int32), b.astype(np.int32), label)
    return trials, scores, {name: name.split("/")[0] for name in names}


def test_speakers_follow_from_target_trials():
    trials, _, utt2spk = simulated(4, 3)
    for known in (None, utt2spk):
        left, right, count = bootstrap.speakers_of_trials(trials, known)
        assert count == 4
        np.testing.assert_array_equal(left == right, trials.label == 1)


def test_names_of_a_list_may_have_extensions_and_models_are_known_by_their_trials():
    trials, _, utt2spk = simulated(4, 3)
    trials.test_names = [f"{name}.wav" for name in trials.test_names]
    for side in ("enrol_names", "test_names"):
        left, right, _ = bootstrap.speakers_of_trials(trials, utt2spk)
        np.testing.assert_array_equal(left == right, trials.label == 1)
        setattr(trials, side, [f"model-{i}" for i in range(12)])


def test_every_speaker_once_gives_the_exact_figures():
    trials, scores, _ = simulated(8, 6)
    left, right, count = bootstrap.speakers_of_trials(trials)
    sample = bootstrap.Resampler(scores, trials.label, left, right, count)
    fpr, fnr = sample.rates(np.ones((count, 1)))
    s = metrics.sort_scores(scores, trials.label)
    assert bootstrap.eer_of_rates(fpr, fnr)[0] == pytest.approx(metrics.eer(s), abs=2e-4)
    for prior in (0.01, 0.05):
        assert bootstrap.dcf_of_rates(fpr, fnr, prior)[0] == pytest.approx(metrics.min_dcf(s, prior), abs=2e-3)


def test_a_speaker_drawn_twice_counts_as_two_people():
    """Against the list written out: a copy's target trials once each, non-target trials between all others."""
    trials, scores, _ = simulated(5, 3)
    left, right, count = bootstrap.speakers_of_trials(trials)
    times = np.array([2, 0, 1, 1, 1])
    weight = np.where(trials.label == 1, times[left], times[left] * times[right])
    written_out = metrics.sort_scores(np.repeat(scores, weight), np.repeat(trials.label, weight))
    fpr, fnr = bootstrap.Resampler(scores, trials.label, left, right, count).rates(times[:, None])
    assert bootstrap.eer_of_rates(fpr, fnr)[0] == pytest.approx(metrics.eer(written_out), abs=1e-6)
    assert bootstrap.dcf_of_rates(fpr, fnr, 0.01)[0] == pytest.approx(metrics.min_dcf(written_out, 0.01), abs=1e-6)


def test_intervals_hold_the_figure_and_shrink_with_speakers():
    widths = []
    for speakers in (8, 60):
        trials, scores, _ = simulated(speakers, 4)
        intervals = bootstrap.intervals(scores, trials, [0.01], replicates=300)
        exact = metrics.eer(metrics.sort_scores(scores, trials.label))
        assert intervals.figures["eer"].low < exact < intervals.figures["eer"].high
        widths.append(intervals.figures["eer"].high - intervals.figures["eer"].low)
    assert widths[1] < 0.6 * widths[0]


def test_intervals_are_wider_than_resampled_trials_give():
    """Speakers differ, so trials are not independent; an interval that ignores it is too narrow."""
    trials, scores, _ = simulated(12, 8, spread=1.5)
    intervals = bootstrap.intervals(scores, trials, [0.01], replicates=300)
    generator = np.random.default_rng(0)
    eers = []
    for _ in range(100):
        drawn = generator.integers(len(scores), size=len(scores))
        eers.append(metrics.eer(metrics.sort_scores(scores[drawn], trials.label[drawn])))
    low, high = np.quantile(eers, [0.025, 0.975])
    assert intervals.figures["eer"].high - intervals.figures["eer"].low > 1.5 * (high - low)


def test_the_seed_decides():
    trials, scores, _ = simulated(8, 4)
    one, same, other = (bootstrap.intervals(scores, trials, [0.01], replicates=50, seed=s) for s in (1, 1, 2))
    assert one.figures == same.figures != other.figures


def test_too_few_speakers_or_one_class_have_no_interval():
    trials, scores, _ = simulated(4, 4)
    assert bootstrap.intervals(scores, trials, [0.01]) is None
    trials, scores, _ = simulated(8, 4)
    assert bootstrap.intervals(scores, trials.keep(trials.label == 1), [0.01]) is None
