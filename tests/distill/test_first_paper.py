"""Margin, shared classifier, quality weights and projection head on numbers worked out by hand."""

import math

import pytest
import torch
import toys
from torch import nn

from speakerkd.distill import ProjectionHead, ProjectionSettings, build
from speakerkd.distill.quality import Quality, QualitySettings
from speakerkd.errors import InputError
from speakerkd.tensors import Output, Samples

# unit vectors 0, 60 and 90 degrees from the first axis, against teachers on it
STUDENT = torch.tensor([[2.0, 0.0], [1.0, math.sqrt(3)], [0.0, 5.0]])
TEACHER = torch.tensor([[1.0, 0.0], [3.0, 0.0], [1.0, 0.0]])
LABELS = torch.tensor([0, 1, 2])


def term(name, student=STUDENT, teacher=TEACHER, pair=None, **settings):
    pair = pair or toys.pair(student_dim=2, teacher_dim=2, classes=3)
    objective = toys.make(name, pair, project=False, **settings)
    return objective(Output(student), Output(teacher), Samples(LABELS, LABELS))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # 1 - cos is 0, .5 and 1; within 30 degrees, that is up to .1340, nothing counts
        ({}, (0.5 + 1 - 2 * (1 - math.sqrt(3) / 2)) / 3),
        ({"margin": "cos60"}, 0.5 / 3),
        ({"margin": "cos 30"}, (0.5 + 1 - 2 * (1 - math.sqrt(3) / 2)) / 3),
        ({"margin": 0.25}, (0.25 + 0.75) / 3),
        ({"margin": "0.5^2"}, (0.25 + 0.75) / 3),
        ({"margin": 0}, 1.5 / 3),
        # read literally, m = cos 30 = .866 and only the right angle is beyond it
        ({"margin_reading": "raw"}, (1 - math.sqrt(3) / 2) / 3),
        # the margin off the mean of the distances, .5
        ({"hinge": "batch", "margin": 0.25}, 0.25),
        ({"hinge": "batch", "margin": 0.75}, 0.0),
        # squared distances of unit vectors: 0, 1, 2
        ({"distance": "l2n"}, (1 + 2 - 2 * 0.09) / 3),
        ({"distance": "l2n", "margin": "1.1^2"}, (2 - 1.21) / 3),
        # raw: 1, (1 - 3)^2 + 3 = 7, 1 + 25 = 26
        ({"distance": "l2raw", "margin": 2}, (5 + 24) / 3),
        ({"distance": "mse", "margin": 2}, (1.5 + 11) / 3),
    ],
)
def test_margin(settings, expected):
    assert term("margin", **settings)["margin"].item() == pytest.approx(expected, abs=1e-6)


def test_a_zero_embedding_is_at_a_right_angle_to_everything():
    terms = term("margin", student=torch.zeros(3, 2), margin=0)
    assert terms["margin"].item() == pytest.approx(1.0)


def test_quality_weighs_the_margin():
    """Teacher norms 1, 3, 1: mean 5/3, deviation 2/sqrt(3); the middle sample weighs more, the others less."""
    deviation = 2 / math.sqrt(3)
    low, high = 1 + (1 - 5 / 3) / deviation / 3, 1 + (3 - 5 / 3) / deviation / 3
    loss = term("margin", quality={}, margin=0)["margin"].item()
    assert loss == pytest.approx((high * 0.5 + low * 1) / 3, abs=1e-6)


def test_quality_of_the_student_the_teacher_or_both():
    """Student norms 1 and 3, teacher norms 4 and 2: standardised -a, a and a, -a with a = 1/sqrt(2)."""
    student, teacher = torch.tensor([[1.0], [3.0]]), torch.tensor([[4.0], [2.0]])
    a = math.sqrt(0.5) / 3
    expected = {"student": [1 - a, 1 + a], "teacher": [1 + a, 1 - a], "mean": [1.0, 1.0]}
    for source, weights in expected.items():
        quality = Quality(QualitySettings(source=source))(student, teacher)
        torch.testing.assert_close(quality, torch.tensor(weights))


def test_quality_moves_slowly_and_is_bounded():
    """After norms 1, 3 (mean 2, deviation sqrt 2) a batch 11, 11 moves the mean by a tenth of the way, to 2.9."""
    module = Quality(QualitySettings(momentum=0.9))
    module(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [3.0]]))
    weights = module(torch.tensor([[11.0], [11.0]]), torch.tensor([[11.0], [11.0]]))
    assert module.mean[1].item() == pytest.approx(2.9)
    assert module.deviation[1].item() == pytest.approx(0.9 * math.sqrt(2))
    assert weights.tolist() == [2.0, 2.0]  # (11 - 2.9) / 1.27 / 3 is beyond the bound of 1
    free = Quality(QualitySettings(momentum=0.9, clip=None, initial=(2.0, 1.0)))
    free.eval()
    assert free(torch.tensor([[8.0]]), torch.tensor([[8.0]])).item() == pytest.approx(1 + 6 / 3)


def test_quality_measured_on_the_picture_weighs_in_place_of_the_norm():
    """Sharpness 2 and 6, standardised -a and a with a = 1/sqrt(2); a sample without a face weighs 1."""
    faces = torch.tensor([[0.9, 80.0, 6.0], [0.9, 80.0, 77.0], [0.9, 80.0, 2.0], 3 * [float("nan")]])
    module = Quality(QualitySettings(source="sharpness"), faces)
    weights = module(torch.ones(3, 4), torch.ones(3, 4), torch.tensor([2, 0, 3]))
    a = math.sqrt(0.5) / 3
    torch.testing.assert_close(weights, torch.tensor([1 - a, 1 + a, 1.0]))
    assert "measured" not in module.state_dict()  # a checkpoint does not carry the corpus
    with pytest.raises(InputError, match=r"no quality of the faces \(score\).*speakerkd faces"):
        Quality(QualitySettings(source="score"))


def test_equal_norms_weigh_the_same():
    weights = Quality(QualitySettings())(torch.ones(4, 2), torch.full((4, 3), 0.1))
    assert weights.tolist() == [1.0] * 4


def shared_classifier(bias):
    """Scores e_k . f, and a bias that would change them."""
    layer = nn.Linear(2, 3, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        if bias:
            layer.bias.copy_(torch.tensor([5.0, 6.0, 7.0]))
    return layer


def entropy(scores, label):
    return -scores[label] + math.log(sum(math.exp(s) for s in scores))


def test_the_shared_classifier_scores_both_networks():
    """Logits are the features and a 0; the cross-entropies of all 2B rows are averaged, as Eq. 10 has it."""
    layer = shared_classifier(bias=True)
    pair = toys.pair(student_dim=2, teacher_dim=2, classes=3, task_classifier=layer)
    rows = [[*row, 0.0] for row in STUDENT.tolist()], [[*row, 0.0] for row in TEACHER.tolist()]
    of_student = [entropy(row, k) for k, row in enumerate(rows[0])]
    of_teacher = [entropy(row, k) for k, row in enumerate(rows[1])]
    terms = term("classifier", pair=pair)
    assert terms["classifier"].item() == pytest.approx((sum(of_student) + sum(of_teacher)) / 6, abs=1e-5)
    assert layer.bias.tolist() == [0.0, 0.0, 0.0]
    assert not layer.bias.requires_grad
    once = term("classifier", pair=pair, count_student_ce="once")
    assert once["classifier"].item() == pytest.approx(sum(of_teacher) / 6, abs=1e-5)
    square = [1.0, 7.0, 26.0]  # of the logits' differences, as of the features'
    mean = term("classifier", pair=pair, beta=2.0)["classifier_logits"].item()
    assert mean == pytest.approx(2 * sum(square) / 3 / 3, abs=1e-4)
    summed = term("classifier", pair=pair, beta=2.0, logits_distance="sum")["classifier_logits"].item()
    assert summed == pytest.approx(2 * sum(square) / 3, abs=1e-4)


def test_the_shared_classifier_learns_from_the_teacher_and_is_not_saved_twice():
    layer = shared_classifier(bias=False)
    pair = toys.pair(student_dim=2, teacher_dim=2, classes=3, task_classifier=layer)
    objective = toys.make("classifier", pair, project=False)
    assert not objective.state_dict()
    objective(Output(STUDENT), Output(TEACHER), Samples(LABELS, LABELS))["classifier"].backward()
    assert layer.weight.grad.abs().sum() > 0
    assert toys.make("classifier", pair, share="own").state_dict().keys() == {"own.weight"}


def test_the_head_mixes_the_embedding_with_its_change():
    """alpha E + (1 - alpha) (W2 relu(W1 E + b1) + b2) on one number."""
    head = ProjectionHead(1, 1, ProjectionSettings(alpha=0.6))
    state = {"first.weight": [[2.0]], "first.bias": [-1.0], "second.weight": [[3.0]], "second.bias": [1.0]}
    head.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    # relu(2 * 2 - 1) * 3 + 1 = 10 and relu(-2 - 1) * 3 + 1 = 1
    torch.testing.assert_close(head(torch.tensor([[2.0], [-1.0]])), torch.tensor([[5.2], [-0.2]]))


def test_the_head_changes_size_and_never_trains_the_teacher():
    embedding = torch.randn(4, 5, requires_grad=True)
    for skip in ("linear", "none"):
        head = ProjectionHead(5, 3, ProjectionSettings(skip=skip, batch_norm=True, pre_normalise=True, hidden=7))
        projected = head(embedding)
        assert projected.shape == (4, 3)
        projected.sum().backward()
        assert embedding.grad is None
        assert all(p.grad is not None for p in head.parameters())


def test_likeness_of_projected_embeddings():
    """Teacher vectors 60 degrees apart have mean cosine 1/2; a head that answers with its bias alone has 1."""
    objectives = build([{"name": "margin"}], toys.pair(student_dim=2, teacher_dim=2), {"alpha": 1.0})
    assert objectives.projection_collapse() is None  # nothing projected yet
    apart = torch.tensor([[2.0, 0.0], [1.0, math.sqrt(3)]])
    objectives.teacher_view(apart)
    assert objectives.projection_collapse() == pytest.approx(0.5)
    objectives.head.settings.alpha = 0.0
    with torch.no_grad():
        objectives.head.second.weight.zero_()
    objectives.teacher_view(apart)
    assert objectives.projection_collapse() == pytest.approx(1)
    assert build([{"name": "rkd"}], toys.pair(), None).projection_collapse() is None


def test_the_log_shows_the_spread_of_the_quality_weights():
    """By hand: 21 norms 0 to 20 of mean 10, weights 1 + (norm - 10) / (3 x 6.2048), each 5 % a step of one norm."""
    settings = {"name": "margin", "project": False, "quality": {"momentum": 0}}
    objectives = build([settings], toys.pair(student_dim=3, teacher_dim=3))
    assert objectives.quality_weights() == {}
    norms = torch.arange(21.0)[:, None] * torch.tensor([[0.6, 0.8, 0.0]])
    objectives(Output(torch.ones(21, 3)), Output(norms), toys.batch(21))
    step = 1 / 3 / norms.norm(dim=1).std().item()
    figures = objectives.quality_weights()
    assert figures["median"] == pytest.approx(1)
    assert figures["low"] == pytest.approx(1 - 9 * step) and figures["high"] == pytest.approx(1 + 9 * step)
