"""If these fail, batches repeat a speaker, lose recordings, or differ between runs and numbers of processes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from speakerkd.data.sampler import (
    ShuffleSampler,
    SpeakerSampler,
    identities,
    rank_rows,
    sample_draws,
    uniform_draws,
)
from speakerkd.errors import InputError


def epoch(sampler, turn: int = 0) -> np.ndarray:
    return np.stack([sampler.batch(turn * sampler.batches + n) for n in range(sampler.batches)])


def check_batches(labels: np.ndarray, table: np.ndarray, speakers: int, utterances: int) -> None:
    """Every batch holds `speakers` different speakers with `utterances` different utterances each, side by side."""
    groups = table.reshape(len(table), speakers, utterances)
    owner = labels[groups]
    assert (owner == owner[:, :, :1]).all()
    for batch, of_batch in zip(table, owner[:, :, 0], strict=True):
        assert len(set(of_batch.tolist())) == speakers
        assert len(set(batch.tolist())) == speakers * utterances


def test_two_speakers_of_four_by_hand():
    # speakers 0 and 1 have 4 and 2 utterances: 2 + 1 pairs; batches of 2 speakers: speaker 1's pair comes twice
    labels = np.array([0, 0, 1, 0, 1, 0])
    sampler = SpeakerSampler(labels, speakers=2)
    assert (sampler.batches, sampler.size) == (2, 4)
    table = epoch(sampler)
    check_batches(labels, table, 2, 2)
    assert set(table.ravel().tolist()) == set(range(6))


def test_the_odd_utterance_waits_for_a_later_pass():
    labels = np.array([0, 0, 0, 1, 1, 1])
    sampler = SpeakerSampler(labels, speakers=2)
    assert sampler.batches == 1
    seen = {int(i) for turn in range(20) for i in epoch(sampler, turn).ravel()}
    assert seen == set(range(6))


def test_max_utterances_bounds_what_a_speaker_gives_a_pass():
    labels = np.repeat(np.arange(4), 10)
    sampler = SpeakerSampler(labels, speakers=2, max_utterances=5)
    table = epoch(sampler)
    count = np.bincount(labels[table.ravel()], minlength=4)
    assert count.tolist() == [4, 4, 4, 4]  # two pairs of at most five


def test_a_dominant_speaker_is_cut_to_one_group_a_batch():
    labels = np.r_[np.zeros(100, int), np.repeat([1, 2, 3], 4)]
    sampler = SpeakerSampler(labels, speakers=2)
    table = epoch(sampler)
    check_batches(labels, table, 2, 2)
    assert set(table.ravel().tolist()) >= set(range(100, 112))  # nobody else loses anything
    # the others' 6 pairs fill 6 batches beside speaker 0; a 7th takes one more pair of speaker 0 and repeats another's
    assert sampler.batches == 7


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=40),
    speakers=st.integers(1, 12),
    utterances=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_batches_hold_and_nothing_is_dropped(counts, speakers, utterances, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    groups = np.array(counts) // utterances
    if (groups > 0).sum() < speakers:
        with pytest.raises(InputError, match="a batch wants"):
            SpeakerSampler(labels, speakers, utterances, seed)
        return
    sampler = SpeakerSampler(labels, speakers, utterances, seed)
    table = epoch(sampler)
    check_batches(labels, table, speakers, utterances)
    # everyone with at most one group a batch gives every group: only the remainder of the division is left out
    drawn = np.bincount(labels[np.unique(table)], minlength=len(counts))
    assert (drawn == np.minimum(groups, sampler.batches) * utterances).all()
    assert (table == epoch(SpeakerSampler(labels, speakers, utterances, seed))).all()


def test_voxceleb2_sized_corpus_wastes_under_half_a_per_cent():
    rng = np.random.default_rng(0)
    counts = np.clip(rng.gamma(4, 182 / 4, 5994).astype(int), 25, 440)
    labels = rng.permutation(np.repeat(np.arange(5994), counts))
    sampler = SpeakerSampler(labels, speakers=100)
    table = epoch(sampler)
    owner = labels[table[:, ::2]]
    owner.sort(axis=1)
    assert (owner[:, 1:] != owner[:, :-1]).all()
    pairs = (counts // 2).sum()
    assert len(np.unique(table)) / 2 == pairs  # none is lost
    assert table.size / 2 - pairs < 0.005 * pairs  # and few are seen twice


def test_neighbouring_batches_share_few_speakers():
    # uniform dealing of 1,000 speakers into batches of 50 shares 2.5 on average, dealing in order nearly all
    labels = np.repeat(np.arange(1000), 40)
    table = labels[epoch(SpeakerSampler(labels, speakers=50))][:, ::2]
    shared = [len(np.intersect1d(a, b)) for a, b in zip(table[:-1], table[1:], strict=True)]
    assert 2.0 < np.mean(shared) < 3.0


def test_passes_seeds_and_steps():
    labels = np.repeat(np.arange(8), 6)
    first, other = SpeakerSampler(labels, 4, seed=1), SpeakerSampler(labels, 4, seed=2)
    assert (epoch(first, 0) != epoch(first, 1)).any()
    assert (epoch(first) != epoch(other)).any()
    late = SpeakerSampler(labels, 4, seed=1).batch(3 * first.batches + 2)  # a resumed run starts anywhere
    assert (late == epoch(first, 3)[2]).all()


def test_shuffle_sampler_sees_everything_once():
    sampler = ShuffleSampler(10, 4, seed=0)
    assert sampler.batches == 3
    table = epoch(sampler)
    assert sorted(table.ravel()[:10].tolist()) == list(range(10))
    assert table.ravel()[10:].tolist() == table.ravel()[:2].tolist()
    assert (epoch(sampler, 1) != table).any()


def test_ranks_split_a_batch_without_tearing_speakers():
    assert [rank_rows(12, 2, rank, 3) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(InputError, match="does not split over 4 processes"):
        rank_rows(12, 2, 0, 4)


def test_chance_is_of_seed_and_number_alone():
    a = uniform_draws(5, 17, 8, 3)
    assert a.shape == (8, 3)
    assert (a == uniform_draws(5, 17, 8, 3)).all()
    assert (a != uniform_draws(5, 18, 8, 3)).any() and (a != uniform_draws(6, 17, 8, 3)).any()


def test_too_few_speakers_names_a_number_that_works():
    with pytest.raises(InputError, match=r"set train\.speakers to 2 or less"):
        SpeakerSampler(np.array([0, 0, 1, 1, 2]), speakers=3)


def test_a_batch_of_one_speaker_is_not_advised():
    with pytest.raises(InputError, match="give more speakers 2 recordings, or set loss.name: softmax and train.batch"):
        SpeakerSampler(np.array([0, 0, 1, 2]), speakers=2)


def test_draws_by_sample_follow_from_seed_pass_and_key_alone():
    keys = identities([f"train/{n}.png" for n in range(2000)])
    whole = sample_draws(3, 5, keys, 6)
    assert (whole[700:703] == sample_draws(3, 5, keys[700:703], 6)).all()
    for other in (sample_draws(4, 5, keys, 6), sample_draws(3, 6, keys, 6), sample_draws(5, 3, keys, 6)):
        assert not (whole == other).any()
    assert kstest(whole.ravel(), "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(whole.T) - np.eye(6)).max() < 0.1
