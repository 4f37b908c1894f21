"""ALKD and AFKD have no reference code: hand-worked numbers, and a student that they must bring to its teacher."""

import math

import pytest
import torch
import toys
from torch import nn

from speakerkd.distill.alkd import likelihood
from speakerkd.distill.discriminator import Discriminator
from speakerkd.tensors import Output, Samples

LABEL = torch.tensor([0, 1])


def answer_of(objective, weights):
    """Make the objective's discriminator one linear layer that answers `weights` x."""
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data.copy_(weights)
    objective.discriminator = Discriminator(layer, lr=1e-4)


def test_what_the_discriminator_of_alkd_is_told():
    """Classes (ln 3, 0) and origin (0, ln 4): P(y=0) = 3/4, P(real) = 4/5."""
    answer = torch.tensor([[math.log(3), 0.0, 0.0, math.log(4)]] * 2)
    expected = 0.5 * (math.log(4 / 5) + (math.log(3 / 4) + math.log(1 / 4)) / 2)
    assert likelihood(answer, True, LABEL).item() == pytest.approx(expected, abs=1e-6)
    fake = 0.5 * (math.log(1 / 5) + (math.log(3 / 4) + math.log(1 / 4)) / 2)
    assert likelihood(answer, False, LABEL).item() == pytest.approx(fake, abs=1e-6)


def test_alkd_on_two_samples():
    """A discriminator that answers with the class scores themselves, and with their sum as the score of real."""
    objective = toys.make("alkd", toys.pair(classes=2, teacher_classes=2), adversarial=0.5)
    answer_of(objective, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]))
    objective.eval()  # the discriminator does not move
    z_s, z_t = torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    terms = objective(Output(z_s, z_s), Output(z_t, z_t), Samples(LABEL, LABEL))
    assert terms["alkd_l1"].item() == pytest.approx((2 + 0 + 0 + 2) / 4)
    # P(real) = sigmoid(1) and sigmoid(-1); P(y) = sigmoid(1) and, for scores 0 and -1 of class 1, sigmoid(-1)
    log = [math.log(1 / (1 + math.exp(-s))) for s in (1, -1)]
    assert terms["alkd_adversarial"].item() == pytest.approx(-0.5 * 0.5 * (sum(log) + sum(log)) / 2, abs=1e-6)


def test_afkd_on_two_samples():
    """Features 1 and -2 under D(f) = sigmoid(f)."""
    features = torch.tensor([[1.0], [-2.0]])
    soft = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(2))]
    hard = [-math.log(1 + math.exp(1)), -math.log(1 + math.exp(-2))]
    for form, expected in (("non_saturating", sum(soft) / 2), ("minimax", sum(hard) / 2)):
        objective = toys.make("afkd", toys.pair(student_dim=1, teacher_dim=1), form=form)
        answer_of(objective, torch.ones(1, 1))
        objective.eval()
        terms = objective(Output(features), Output(features + 1), Samples(LABEL, LABEL))
        assert terms["afkd"].item() == pytest.approx(expected, abs=1e-6)


def test_the_discriminators_step_is_that_of_adam():
    """Against torch.optim.Adam on the same loss, three steps, and the run's optimiser sees none of it."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
    twin = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
    twin.load_state_dict(network.state_dict())
    ours = Discriminator(network, lr=1e-2, betas=(0.5, 0.999))
    theirs = torch.optim.Adam(twin.parameters(), lr=1e-2, betas=(0.5, 0.999))
    assert not list(ours.parameters())
    for _ in range(3):
        x = torch.randn(5, 3)
        ours.improve(lambda net, x=x: net(x).pow(2).mean())
        theirs.zero_grad()
        twin(x).pow(2).mean().backward()
        theirs.step()
    x = torch.randn(5, 3, requires_grad=True)
    torch.testing.assert_close(ours(x), twin(x))
    ours(x).sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["alkd", "afkd"])
def test_the_student_comes_to_look_like_the_teacher(name):
    """Free student outputs, taught by the adversarial term alone, end nearer to the teacher's distribution."""
    torch.manual_seed(0)
    label = torch.arange(64) % 2
    teacher = torch.randn(64, 2) * 0.3 + torch.tensor([[3.0, 1.0], [1.0, 3.0]])[label]
    free = nn.Parameter(torch.randn(64, 2) * 0.3)
    settings = {"l1": 0.0, "adversarial": 1.0} if name == "alkd" else {}
    pair = toys.pair(student_dim=2, teacher_dim=2, classes=2, teacher_classes=2)
    objective = toys.make(name, pair, lr=0.01, **settings)
    optimiser = torch.optim.Adam([free], lr=0.02)

    def away():
        return (free.mean(0) - teacher.mean(0)).norm().item()

    first = away()
    for _ in range(300):
        terms = objective(Output(free, free), Output(teacher, teacher), Samples(label, label))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    assert away() < 0.35 * first
    assert objective.discriminator.steps == 300


def test_alkd_as_a_whole_brings_the_scores_together():
    torch.manual_seed(0)
    label = torch.arange(32) % 3
    teacher = torch.randn(32, 3) + 3 * torch.eye(3)[label]
    free = nn.Parameter(torch.randn(32, 3))
    objective = toys.make("alkd", toys.pair(classes=3, teacher_classes=3))
    optimiser = torch.optim.Adam([free], lr=0.05)
    first = (free - teacher).abs().mean().item()
    for _ in range(150):
        terms = objective(Output(free, free), Output(teacher, teacher), Samples(label, label))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    assert (free - teacher).abs().mean().item() < 0.2 * first
