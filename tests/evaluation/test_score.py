"""Scores are the reference's to the last digits, whichever way the trials lie in the tables."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from speakerkd.evaluation import score


def reference_crops(enrol, test, rows, columns):
    """Trial by trial, as the definition says."""
    result = []
    for row, column in zip(rows, columns, strict=True):
        x, y = (normalize(torch.from_numpy(side).double(), dim=-1) for side in (enrol[row], test[column]))
        result.append(-(x[:, None] - y[None]).square().sum(-1).sqrt().mean().item())
    return np.array(result)


@pytest.fixture
def tables():
    generator = np.random.default_rng(3)
    return generator.normal(size=(23, 10, 12)), generator.normal(size=(31, 10, 12))


@pytest.mark.parametrize("dense", [0.0, 2.0], ids=["by block", "by group"])
@pytest.mark.parametrize("dtype,atol", [(np.float64, 1e-13), (np.float32, 2e-6)])
class TestCrops:
    def test_equals_the_definition(self, tables, dense, dtype, atol, monkeypatch):
        monkeypatch.setattr(score, "DENSE", dense)
        enrol, test = (t.astype(dtype) for t in tables)
        generator = np.random.default_rng(0)
        rows, columns = generator.integers(0, 23, 700), generator.integers(0, 31, 700)
        scores = score.score_crops(enrol, test, rows, columns)
        assert scores.dtype == dtype
        np.testing.assert_allclose(scores, reference_crops(enrol, test, rows, columns), atol=atol)

    def test_a_recording_against_itself_keeps_its_digits(self, tables, dense, dtype, atol, monkeypatch):
        """2 - 2 cos of equal vectors is rounding noise, whose root is far from 0."""
        monkeypatch.setattr(score, "DENSE", dense)
        crops = tables[0].astype(dtype)
        crops[4] = crops[4, :1]  # a short recording: ten equal crops
        rows = np.array([4, 4, 7, 7])
        columns = np.array([4, 7, 7, 2])
        scores = score.score_crops(crops, crops, rows, columns)
        assert scores[0] == 0
        np.testing.assert_allclose(scores, reference_crops(crops, crops, rows, columns), atol=atol)

    def test_sides_may_have_different_numbers_of_crops(self, tables, dense, dtype, atol, monkeypatch):
        monkeypatch.setattr(score, "DENSE", dense)
        enrol, test = tables[0].astype(dtype), tables[1][:, :3].copy().astype(dtype)
        rows, columns = np.arange(20), np.arange(20)
        scores = score.score_crops(enrol, test, rows, columns)
        np.testing.assert_allclose(scores, reference_crops(enrol, test, rows, columns), atol=atol)


@pytest.mark.parametrize("dense", [0.0, 2.0], ids=["by block", "by trial"])
def test_cosine_equals_scikit_learns(dense, monkeypatch):
    from sklearn.metrics.pairwise import cosine_similarity

    monkeypatch.setattr(score, "DENSE_COSINE", dense)
    monkeypatch.setattr(score, "PART", 17)
    monkeypatch.setattr(score, "COSINES", 100)
    generator = np.random.default_rng(1)
    enrol, test = generator.normal(size=(9, 20)), generator.normal(size=(40, 20))
    rows, columns = generator.integers(0, 9, 300), generator.integers(0, 40, 300)
    expected = cosine_similarity(enrol, test)[rows, columns]
    np.testing.assert_allclose(score.score_cosine(enrol, test, rows, columns), expected, atol=1e-14)


def test_a_million_repeated_trials(tables):
    rows, columns = np.zeros(1_000_000, np.int32), np.full(1_000_000, 5, np.int32)
    vectors = tables[0][:, 0].copy()
    scores = score.score_cosine(vectors, vectors, rows, columns)
    assert np.ptp(scores) == 0
    assert len(np.unique(score.score_crops(*tables, rows[:100_000], columns[:100_000]))) == 1


def test_order_of_trials_is_kept(tables):
    generator = np.random.default_rng(5)
    rows, columns = generator.integers(0, 23, 200), generator.integers(0, 31, 200)
    mixed = generator.permutation(200)
    scores = score.score_crops(*tables, rows, columns)
    np.testing.assert_allclose(score.score_crops(*tables, rows[mixed], columns[mixed]), scores[mixed], atol=1e-14)


def test_mean_of_crops_is_of_normalised_ones():
    crops = np.array([[[3.0, 4.0], [0.0, 2.0]]])
    np.testing.assert_allclose(score.mean_crops(crops), [[0.3, 0.9]])


def test_tables_are_not_copied_or_changed(tables):
    enrol = tables[0].astype(np.float32)
    before = enrol.copy()
    score.score_crops(enrol, enrol, np.arange(23), np.arange(23)[::-1].copy())
    np.testing.assert_array_equal(enrol, before)
