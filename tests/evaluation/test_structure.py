"""Numbers of dimensional structure, worked out by hand on the smallest features."""

import math

import numpy as np
import pytest

from speakerkd.evaluation.structure import dimension_similarity, mean_off_diagonal, uniformity


def test_similarity_of_dimensions_is_the_cosine_of_columns():
    features = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    similarity = dimension_similarity(features)  # columns (1,0,1,0), twice it, and (0,3,3,0)
    assert similarity == pytest.approx(np.array([[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]]))
    assert mean_off_diagonal(similarity) == pytest.approx(2 / 3)


def test_centred_similarity_is_numpys_correlation():
    features = np.random.default_rng(0).random((50, 6))  # not negative, as after a ReLU
    centred = dimension_similarity(features, centre=True)
    assert centred == pytest.approx(np.corrcoef(features.T))
    assert mean_off_diagonal(dimension_similarity(features)) > 0.6 > mean_off_diagonal(centred)


def test_a_dead_dimension_is_like_no_other():
    similarity = dimension_similarity(np.array([[1.0, 0.0], [2.0, 0.0]]))
    assert similarity == pytest.approx(np.array([[1, 0], [0, 0]]))


def test_uniformity_of_opposite_equal_and_orthogonal_pairs():
    assert uniformity(np.array([[3.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-8)  # squared distance 4, t = 2
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)
    three = np.eye(3)  # all pairs at squared distance 2
    assert uniformity(three) == pytest.approx(-4)
    mixed = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # 2, 0, 2
    assert uniformity(mixed) == pytest.approx(math.log((2 * math.exp(-4) + 1) / 3))
