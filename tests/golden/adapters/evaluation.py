"""Golden adapters of speakerkd.evaluation, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py."""

from __future__ import annotations

import math

import numpy as np
from case import Case

from speakerkd.evaluation import classify, metrics, roc_vertices, score


def figures(arrays: Case, case: str) -> None:
    """Exact figures where the references are exact, their own definitions where they are not.

    The first reference takes its EER at a vertex of the ROC and walks single trials for minDCF, so that equal scores
    are split: its numbers are ours wherever scores differ, and at the end of every group of equal scores.
    """
    scores, labels = arrays["scores"], arrays["labels"]
    s = metrics.sort_scores(scores, labels)

    arrays.check("eer", 100 * roc_vertices.eer_at_vertex(s))
    _, fpr, fnr = roc_vertices.roc_vertices(s)
    arrays.check("fpr", fpr)
    arrays.check("fnr", fnr)
    tuned = [roc_vertices.vertex_near_false_reject(s, 0.05)]
    tuned += [roc_vertices.vertex_near_false_accept(s, rate) for rate in (1, 0.1, 0.01)]
    rows = [(min(p.threshold, 1e30), p.false_accept, p.false_reject) for p in tuned]  # stored: 1e30 for infinity
    arrays.check("tuned", rows)

    if "eer_wespeaker" in arrays:
        arrays.check("eer_wespeaker", metrics.eer(s))
    ordered = np.sort(scores)
    ends = np.append(ordered[1:] != ordered[:-1], True)
    _, fpr, fnr = metrics.det_points(s)
    np.testing.assert_allclose(fpr[1:], arrays["fprs_all"][ends], atol=1e-9)
    np.testing.assert_allclose(fnr[1:], arrays["fnrs_all"][ends], atol=1e-9)
    for prior in (0.01, 0.05):
        ours = metrics.min_dcf(s, prior)
        arrays.check(f"mindcf_tiecorrect_p{prior:g}", ours)
        if f"mindcf_wespeaker_p{prior:g}" in arrays:
            arrays.check(f"mindcf_wespeaker_p{prior:g}", ours)
        if ends.all():
            arrays.check(f"mindcf_p{prior:g}", ours)
            _check_cost_above(s, arrays.scalar(f"mindcf_threshold_p{prior:g}"), prior, ours)
        else:
            # best or worst order of the equal scores: never above the cost of a threshold between distinct scores
            walked = arrays.scalar(f"mindcf_p{prior:g}")
            assert walked <= ours + 1e-9
            arrays.unused(f"mindcf_threshold_p{prior:g}", why="lies inside a group of equal scores")


def _check_cost_above(s: metrics.SortedScores, threshold: float, prior: float, cost: float) -> None:
    """The reference rejects what is at or below its threshold; ours accepts what is at or above."""
    cuts, fpr, fnr = metrics.det_points(s)
    row = int(np.searchsorted(cuts, threshold, "right"))
    recomputed = (prior * fnr[row] + (1 - prior) * fpr[row]) / min(prior, 1 - prior)
    assert math.isclose(recomputed, cost, rel_tol=1e-9, abs_tol=1e-12)


def scoring(arrays: Case, case: str) -> None:
    first, second = arrays["emb1"][None], arrays["emb2"][None]
    one = np.zeros(1, np.int64)
    arrays.check("score", score.score_crops(first, second, one, one))
    # the mean of all cosines of crops is the inner product of the means of the unit vectors
    means = score.mean_crops(first)[0], score.mean_crops(second)[0]
    arrays.check("score_cosine", means[0] @ means[1])


def f1(arrays: Case, case: str) -> None:
    labels, predictions = arrays["labels"], arrays["preds"]
    arrays.check("f1_weighted", classify.weighted_f1(labels, predictions))
    arrays.check("f1_macro", classify.macro_f1(labels, predictions))
    logits = np.eye(int(max(labels.max(), predictions.max())) + 1)[predictions]
    arrays.check("accuracy", classify.top_k(logits, labels) / 100)


ADAPTERS = {"metrics": figures, "scoring": scoring, "f1": f1}
