"""Margin softmax by hand: the margin, its schedule, sub-centres, and the ends of the cosine."""

import math

import pytest
import torch

from speakerkd.errors import InputError
from speakerkd.losses import build_loss
from speakerkd.losses.margin_softmax import CosineClassifier, angular_margin


def at(*degrees):
    return torch.tensor([math.cos(math.radians(d)) for d in degrees], dtype=torch.float64)


def test_the_margin_is_an_angle():
    cosines = angular_margin(at(10, 45, 100), math.radians(20))
    torch.testing.assert_close(cosines, at(30, 65, 120))


def test_beyond_the_turning_point_it_goes_on_falling():
    """cos(theta + m) rises again where theta + m passes 180 degrees; both codes take a line instead."""
    margin = math.radians(20)
    degrees = torch.linspace(0, 180, 721, dtype=torch.float64)
    for beyond in ("sine", "cosine"):
        curve = angular_margin(torch.cos(torch.deg2rad(degrees)), margin, beyond=beyond)
        assert (curve.diff()[degrees[1:] > 160.5] < 0).all()
    torch.testing.assert_close(angular_margin(at(170), margin), at(170) - margin * math.sin(margin))
    torch.testing.assert_close(angular_margin(at(170), margin, beyond="cosine"), at(170) - 1 + math.cos(margin))


def test_easy_leaves_obtuse_angles_alone():
    cosines = angular_margin(at(45, 120), math.radians(20), easy=True)
    torch.testing.assert_close(cosines, at(65, 120))


@pytest.mark.parametrize("end", [1.0, -1.0])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_gradient_is_finite_at_both_ends(end, kind):
    """sqrt(1 - cos^2) has an infinite slope there; an embedding on its centre would turn a run to NaN."""
    cosine = torch.tensor([end], dtype=kind, requires_grad=True)
    angular_margin(cosine, 0.2).sum().backward()
    assert torch.isfinite(cosine.grad).all()
    loss = build_loss({"name": "aam"}, 2, 2).to(kind)
    x = (end * loss.classifier.weight[:1].detach()).clone().requires_grad_()
    loss(x, torch.tensor([0]))[0]["aam"].backward()
    assert torch.isfinite(x.grad).all()


def test_both_margins_by_hand():
    """Class centres on the axes, one embedding at 30 degrees of its own: scores s cos 30 and s cos 60."""
    x = torch.tensor([[math.sqrt(3), 1.0]])
    own = {"aam": math.cos(math.radians(30) + 0.2), "am": math.cos(math.radians(30)) - 0.2}
    for name, moved in own.items():
        loss = build_loss({"name": name, "scale": 4.0}, 2, 2)
        loss.classifier.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.1]]))
        terms, logits = loss(x, torch.tensor([0]))
        expected = math.log(1 + math.exp(4 * 0.5 - 4 * moved))
        assert terms[name].item() == pytest.approx(expected, abs=1e-6)
        torch.testing.assert_close(logits, torch.tensor([[4 * math.sqrt(0.75), 2.0]]))  # without the margin


def test_the_nearest_sub_centre_counts():
    layer = CosineClassifier(2, 2, scale=1.0, sub_centres=2)
    layer.weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    torch.testing.assert_close(layer(torch.tensor([[0.0, 2.0], [-3.0, 0.0]])), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    loss = build_loss({"name": "aam", "sub_centres": 3}, 2, 5)
    assert loss(torch.randn(4, 2), torch.arange(4))[1].shape == (4, 5)


@pytest.mark.parametrize(("epoch", "share"), [(0.0, 0.0), (20.0, 0.0), (25.0, 0.25), (40.0, 1.0), (90.0, 1.0)])
def test_the_margin_grows_over_its_epochs(epoch, share):
    loss = build_loss({"name": "aam", "margin": 0.4, "margin_from": 20, "margin_full": 40}, 2, 2)
    assert loss.margin == 0.0
    loss.start_step(epoch)
    assert loss.margin == pytest.approx(0.4 * share)


def test_without_a_schedule_it_is_whole_at_once():
    loss = build_loss({"name": "aam", "margin": 0.4}, 2, 2)
    assert loss.margin == 0.4
    loss.start_step(0.0)
    assert loss.margin == 0.4
    step = build_loss({"name": "aam", "margin": 0.4, "margin_from": 5, "margin_full": 5}, 2, 2)
    step.start_step(4.9)
    assert step.margin == 0.0
    step.start_step(5.0)
    assert step.margin == 0.4


def test_a_schedule_that_ends_before_it_starts_is_refused():
    with pytest.raises(InputError, match="margin_full comes before margin_from"):
        build_loss({"name": "aam", "margin_from": 5, "margin_full": 2}, 2, 2)


def test_a_cosine_classifier_can_be_shared_with_the_teacher():
    """The first paper's classifier level over a margin loss: both networks' logits are scaled cosines."""
    from speakerkd.distill import Pair, build
    from speakerkd.tensors import Output, Samples

    loss = build_loss({"name": "aam"}, 4, 3)
    objectives = build([{"name": "classifier"}], Pair(4, 4, 3, 10, 6, task_classifier=loss.classifier))
    student, teacher = Output(torch.randn(6, 4)), Output(torch.randn(6, 4))
    terms = objectives(student, teacher, Samples(torch.arange(6) % 3, torch.arange(6)))
    terms["classifier"].backward()
    assert loss.classifier.weight.grad.abs().sum() > 0
