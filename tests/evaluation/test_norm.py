"""Score normalisation against the definition, recording by recording."""

import tracemalloc

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.evaluation import norm


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(norm, "ROWS", 7)
    monkeypatch.setattr(norm, "COHORT", 40)
    generator = np.random.default_rng(0)
    return generator.normal(size=(20, 8)), generator.normal(size=(130, 8)) * generator.uniform(1, 5, (130, 1))


def cosines(a, b):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def test_over_the_whole_cohort(tables):
    statistics = norm.cohort_statistics(*tables)
    expected = cosines(*tables)
    np.testing.assert_allclose(statistics.mean, expected.mean(1), atol=1e-12)
    np.testing.assert_allclose(statistics.std, expected.std(1), atol=1e-7)


@pytest.mark.parametrize("top", [2, 10, 41, 130])
def test_over_the_nearest(tables, top):
    statistics = norm.cohort_statistics(*tables, top)
    expected = np.sort(cosines(*tables), axis=1)[:, -top:]
    np.testing.assert_allclose(statistics.mean, expected.mean(1), atol=1e-12)
    np.testing.assert_allclose(statistics.std, expected.std(1), atol=1e-12)


def test_both_sides_count_alike():
    enrol = norm.CohortStatistics(np.array([0.1, 0.2]), np.array([0.5, 0.25]))
    test = norm.CohortStatistics(np.array([0.3]), np.array([0.1]))
    # ((0.5 - 0.2) / 0.25 + (0.5 - 0.3) / 0.1) / 2 = (1.2 + 2) / 2
    assert norm.s_norm(np.array([0.5]), np.array([1]), np.array([0]), enrol, test) == pytest.approx([1.6])


def test_a_small_cohort_is_refused(tables):
    with pytest.raises(InputError, match="a cohort of 130, of which the 131 nearest"):
        norm.cohort_statistics(*tables, 131)
    with pytest.raises(InputError, match="cohort embeddings of shape"):
        norm.cohort_statistics(tables[0], tables[1][:, :5])


def test_the_cohort_is_not_copied():
    generator = np.random.default_rng(0)
    values, cohort = generator.normal(size=(40, 64)).astype("f4"), generator.normal(size=(60_000, 64)).astype("f4")
    tracemalloc.start()
    norm.cohort_statistics(values, cohort, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < cohort.nbytes / 2


def test_the_mean_is_over_all_crops_of_all_recordings():
    values = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    assert norm.mean_embedding(values).tolist() == [4, 5]
