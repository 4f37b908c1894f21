"""Figures of a classifier by hand and against scikit-learn; a wrong one would make every table wrong."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, label_ranking_average_precision_score, top_k_accuracy_score

from speakerkd.errors import InputError
from speakerkd.evaluation.classify import (
    calibration_error,
    class_texts,
    classification_figures,
    matching_figures,
    retrieval,
    text_similarity,
    top_k,
    weighted_f1,
)

LOGITS = np.array([[3.0, 1, 2], [0, 5, 1], [1, 2, 3], [2, 1, 0]])
LABEL = np.array([0, 1, 1, 2])


def test_top_k_by_hand():
    assert top_k(LOGITS, LABEL) == 50
    assert top_k(LOGITS, LABEL, 2) == 75
    assert top_k(LOGITS, LABEL, 3) == 100


def test_top_k_equals_scikit_learn():
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(500, 9)), rng.integers(0, 9, 500)
    for k in (1, 2, 5):
        assert top_k(logits, label, k) == pytest.approx(100 * top_k_accuracy_score(label, logits, k=k))


def test_equal_logits_are_no_success():
    assert top_k(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 0


def test_weighted_f1_by_hand():
    # class 0: precision 1/2, recall 1, F1 2/3, share 1/4; class 1: 1, 1/2, 2/3, share 1/2; class 2: 0
    assert weighted_f1(LABEL, LOGITS.argmax(1)) == pytest.approx(2 / 3 * 0.75)
    assert weighted_f1(LABEL, LOGITS.argmax(1)) == pytest.approx(f1_score(LABEL, LOGITS.argmax(1), average="weighted"))


def test_calibration_error_by_hand():
    # confidences .95 (right), .85 (wrong) and .55 (right) lie in three of ten bins
    probability = np.array([[0.95, 0.05], [0.85, 0.15], [0.45, 0.55]])
    label = np.array([0, 1, 1])
    assert calibration_error(probability, label, bins=10) == pytest.approx(100 * (0.05 + 0.85 + 0.45) / 3)
    # within one bin over- and underconfidence cancel: |2 right - 2.35 confident| of 3
    assert calibration_error(probability, label, bins=1) == pytest.approx(100 * abs(2 - 2.35) / 3)


def test_a_perfect_and_certain_classifier_has_no_calibration_error():
    assert calibration_error(np.eye(4), np.arange(4)) == 0


def test_class_texts_are_means_of_unit_vectors():
    texts = class_texts(np.array([[[10.0, 0], [0, 1]], [[0, 2.0], [0, 3]]]))
    np.testing.assert_allclose(texts, [[0.5**0.5, 0.5**0.5], [0, 1]])


def test_matching_and_retrieval_by_hand():
    texts = np.array([[[1.0, 0]], [[0, 1.0]]])
    images = np.array([[2.0, 1], [1, 3], [4, 3]])
    label = np.array([0, 1, 1])
    figures = matching_figures(images, texts, label)
    assert figures["image_to_text_top1"] == pytest.approx(200 / 3)
    assert figures["chance"] == 50
    # text 0 ranks its picture first (cosines .89, .32, .8); text 1 ranks 1, then 2, then 0: both precisions are 1
    assert figures["text_to_image_map"] == pytest.approx(100)
    assert figures["text_to_image_top1"] == 100
    worse = retrieval(text_similarity(images, np.array([[0, 1.0], [1.0, 0]])), label)
    # text 0 now ranks picture 0 last: 1/3; text 1 ranks 0, 2, 1: (1/2 + 2/3) / 2
    assert worse["text_to_image_map"] == pytest.approx(100 * (1 / 3 + (1 / 2 + 2 / 3) / 2) / 2)
    assert worse["text_to_image_top1"] == 0


def test_retrieval_equals_an_independent_ranking():
    rng = np.random.default_rng(1)
    similarity, label = rng.normal(size=(60, 4)), rng.integers(0, 4, 60)
    relevant = (label[None] == np.arange(4)[:, None]).astype(int)
    expected = label_ranking_average_precision_score(relevant, similarity.T)
    assert retrieval(similarity, label)["text_to_image_map"] == pytest.approx(100 * expected)


def test_spaces_of_different_size():
    with pytest.raises(InputError, match="3 dimensions and texts 2"):
        text_similarity(np.ones((1, 3)), np.ones((1, 2)))


def test_all_figures_are_percentages():
    rng = np.random.default_rng(2)
    figures = classification_figures(rng.normal(size=(200, 10)) * 50, rng.integers(0, 10, 200))
    assert set(figures) == {"top1", "top5", "f1_weighted", "ece"}
    assert all(0 <= value <= 100 for value in figures.values())
    assert 2 < figures["top1"] < 20 < figures["top5"]
    assert figures["ece"] > 60  # certain, and wrong nine times in ten
