"""Angular prototypical and softmax losses by hand."""

import math

import pytest
import torch

from speakerkd.errors import InputError
from speakerkd.losses import build_loss, parse_loss

# two speakers, two utterances each: queries at 0 and 90 degrees, prototypes at 0 and 60
ROWS = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.5, math.sqrt(0.75)]])
LABELS = torch.tensor([0, 0, 1, 1])


def entropy(scores, target):
    return math.log(sum(math.exp(s) for s in scores)) - scores[target]


def test_prototypical_by_hand():
    loss = build_loss({"name": "prototypical", "scale": 2.0, "offset": -1.0}, 2, 2)
    terms, logits = loss(ROWS, LABELS)
    rows = [[2 * 1 - 1, 2 * 0.5 - 1], [2 * 0 - 1, 2 * math.sqrt(0.75) - 1]]
    expected = (entropy(rows[0], 0) + entropy(rows[1], 1)) / 2
    assert terms["prototypical"].item() == pytest.approx(expected, abs=1e-6)
    assert (logits, loss.classifier) == (None, None)


def test_the_prototype_is_the_mean_of_the_other_utterances():
    """Utterances 2 and 3 at 0 and 90 degrees have their mean at 45, where the query is."""
    rows = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0], [-1.0, 0.0], [0.0, -1.0]])
    loss = build_loss({"name": "prototypical", "utterances": 3}, 2, 2)
    torch.testing.assert_close(loss.similarities(rows), torch.tensor([[5.0, -15.0], [-15.0, 5.0]]))


@pytest.mark.parametrize("first", [-3.0, 0.0])
def test_the_scale_stays_positive_and_can_come_back(first):
    """A negative scale would reward confusing speakers; the reference's clamp has no effect."""
    loss = build_loss({"name": "prototypical"}, 2, 2)
    loss.scale.data.fill_(first)
    assert (loss.similarities(ROWS) - loss.offset).detach().abs().max() <= 1.01e-6
    loss(ROWS, LABELS)[0]["prototypical"].backward()
    assert loss.scale.grad < 0  # the right speaker is the nearest here, so a step down the loss raises the scale


def test_a_batch_that_does_not_hold_pairs_is_named():
    with pytest.raises(InputError, match="3 utterances does not hold 2 of each"):
        build_loss({"name": "prototypical"}, 2, 2)(ROWS[:3], LABELS[:3])


def test_softmax_prototypical_adds_both():
    torch.manual_seed(0)
    loss = build_loss({"name": "softmax_prototypical", "softmax_weight": 0.5, "prototypical_weight": 2.0}, 2, 3)
    terms, logits = loss(ROWS, LABELS)
    alone, _ = build_loss({"name": "prototypical"}, 2, 3)(ROWS, LABELS)
    torch.testing.assert_close(terms["prototypical"], 2 * alone["prototypical"])
    torch.testing.assert_close(logits, ROWS @ loss.classifier.weight.T + loss.classifier.bias)
    torch.testing.assert_close(terms["softmax"], 0.5 * torch.nn.functional.cross_entropy(logits, LABELS))
    assert build_loss({"bias": False}, 2, 3).classifier.bias is None


def test_aam_prototypical_adds_both_and_grows_its_margin():
    settings = {"margin": 0.3, "margin_from": 1, "margin_full": 3}
    torch.manual_seed(0)
    loss = build_loss({"name": "aam_prototypical", "prototypical_weight": 2.0, **settings}, 2, 3)
    torch.manual_seed(0)
    margin = build_loss({"name": "aam", **settings}, 2, 3)
    alone, _ = build_loss({"name": "prototypical"}, 2, 3)(ROWS, LABELS)
    for epoch in (0.0, 2.0, 5.0):
        loss.start_step(epoch)
        margin.start_step(epoch)
        terms, logits = loss(ROWS, LABELS)
        expected, plain = margin(ROWS, LABELS)
        torch.testing.assert_close(terms, {"aam": expected["aam"], "prototypical": 2 * alone["prototypical"]})
        torch.testing.assert_close(logits, plain)


@pytest.mark.parametrize("rows", [torch.zeros(4, 2), torch.ones(4, 2), ROWS[[0, 0, 0, 0]]])
@pytest.mark.parametrize("name", ["softmax_prototypical", "prototypical", "softmax", "aam_prototypical", "aam", "am"])
def test_zero_and_repeated_embeddings_give_finite_gradients(name, rows):
    loss = build_loss({"name": name}, 2, 3)
    x = rows.clone().requires_grad_()
    total = sum(loss(x, torch.zeros(4, dtype=torch.int64))[0].values())
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters())


def test_a_wrong_name_or_setting_is_named():
    with pytest.raises(InputError, match="did you mean 'prototypical'"):
        parse_loss({"name": "prototipical"})
    with pytest.raises(InputError, match="did you mean 'scale'"):
        parse_loss({"name": "aam", "scael": 3})
    assert parse_loss({}).name == "softmax_prototypical"
