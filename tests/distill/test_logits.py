"""The methods on class scores: published defaults, schedules, and options without golden numbers, by hand."""

import math

import pytest
import torch
import toys
from torch.nn.functional import cross_entropy

from speakerkd.distill import parse_specs
from speakerkd.distill.dkd import decoupled
from speakerkd.distill.logits import standardise
from speakerkd.tensors import Output, Samples


def settings(name, **values):
    return parse_specs([{"name": name, **values}])[0]


@pytest.mark.parametrize(
    ("name", "plain", "standardised"),
    [
        ("kd", {"temperature": 4, "weight": 0.9, "task_weight": 0.1}, {"temperature": 2, "weight": 9}),
        ("dkd", {"temperature": 4, "weight": 1, "alpha": 1, "beta": 8, "warm_up": 20}, {"temperature": 2, "weight": 9}),
        ("ctkd", {"temperature": 1, "span": 20, "weight": 0.9, "task_weight": 0.1}, {"weight": 9}),
        ("mlkd", {"temperature": 4, "kd_weight": 0.9, "task_weight": 0.1}, {"temperature": 2, "kd_weight": 9}),
    ],
)
def test_the_name_alone_is_the_method_as_published(name, plain, standardised):
    for method, expected in ((settings(name), plain), (settings(name, standardise=True), standardised)):
        assert {key: getattr(method, key) for key in expected} == expected
    assert settings(name, standardise=True, weight=3, temperature=5).weight == 3
    again = settings(**settings(name, standardise=True).model_dump())  # a resolved config means the same
    assert again == settings(name, standardise=True)


def test_standardised_rows_by_hand():
    """(1, 2, 6): mean 3, squares 4 + 1 + 9 = 14, over 2 or over 3."""
    row = torch.tensor([[1.0, 2.0, 6.0]], dtype=torch.float64)
    for kind, count in (("unbiased", 2), ("biased", 3)):
        expected = torch.tensor([[-2.0, -1.0, 3.0]], dtype=torch.float64) / math.sqrt(14 / count)
        torch.testing.assert_close(standardise(row, kind), expected, rtol=1e-6, atol=0)
    assert standardise(torch.full((2, 3), 7.0)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", ["kd", "dkd", "ctkd", "mlkd", "alkd"])
def test_standardised_scores_may_be_shifted_and_stretched(name):
    """LSKD's point, on every method that takes it: a row of scores and any a z + b of it teach the same."""
    torch.manual_seed(0)
    student, teacher = toys.outputs(grad=False)
    other = Output(
        teacher.embedding, 3 * teacher.logits + 2, strong=Output(teacher.embedding, 5 * teacher.strong.logits)
    )
    objective = toys.make(name, standardise=True).eval()
    terms, again = (objective(student, o, toys.batch()) for o in (teacher, other))
    pair_terms = {"mlkd_class", "mlkd_batch"}  # which the reference leaves as they are
    for term in terms.keys() - pair_terms:
        torch.testing.assert_close(terms[term], again[term], rtol=1e-4, atol=1e-5)


def test_kd_on_two_classes():
    """At T = 2 scores (2 ln 3, 0) are shares (3/4, 1/4), and the teacher's (1/2, 1/2)."""
    student, teacher = torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2)
    divergence = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    pair = toys.pair(classes=2, teacher_classes=2)
    for form, scale in (("hinton", 4.0), ("mfh", 1.0), ("mfh_mean", 0.5)):
        terms = toys.make("kd", pair, temperature=2.0, form=form)(
            Output(student, student), Output(teacher, teacher), toys.batch(1)
        )
        assert terms["kd"].item() == pytest.approx(scale * divergence, abs=1e-6)


@pytest.mark.parametrize(("epoch", "share"), [(0.0, 0.05), (0.9, 0.05), (1.0, 0.1), (19.5, 1.0), (80.0, 1.0)])
def test_dkd_warms_up_epoch_by_epoch(epoch, share):
    outputs = toys.outputs()
    totals = []
    for warm_up in (20, 0):
        objective = toys.make("dkd", warm_up=warm_up)
        objective.start_step(epoch)
        totals.append(sum(objective(*outputs, toys.batch()).values()))
    torch.testing.assert_close(totals[0], share * totals[1])


def test_dkd_of_two_classes_has_nothing_beside_the_target():
    """With one other class its share among the others is 1 for both, so that part is 0."""
    z = torch.randn(5, 2), torch.randn(5, 2)
    _, others = decoupled(*z, torch.zeros(5, dtype=torch.int64), 4.0)
    assert others.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("curriculum", "epoch", "expected"),
    [
        ("cosine", 0.0, -0.0244717),
        ("cosine", 4.99, -0.5),
        ("cosine", 30.0, -1.0),
        ("linear", 2.0, -0.3),
        ("none", 0.0, -1.0),
    ],
)
def test_the_temperature_of_ctkd_climbs_at_a_growing_strength(curriculum, epoch, expected):
    """Epochs from 1: (1 - cos(pi e / 10)) / 2; the gradient of g is that many times the plain one."""
    student, teacher = toys.outputs()
    objective = toys.make("ctkd", curriculum=curriculum)
    objective.start_step(epoch)
    objective(student, teacher, toys.batch())["ctkd"].backward()
    gradient = objective.g.grad.clone()
    g = torch.tensor(1.0, requires_grad=True)
    t = 1 + 20 * g.sigmoid()
    log_s, log_t = (student.logits.detach() / t).log_softmax(1), (teacher.logits / t).log_softmax(1)
    (t**2 * (log_t.exp() * (log_t - log_s)).sum(1).mean()).backward()
    assert (gradient / g.grad).item() == pytest.approx(expected, abs=1e-4)


def test_mlkd_without_quirks_on_its_definition():
    """Masks by sample and class, strong scores at every temperature, pair terms of both views."""
    torch.manual_seed(0)
    student, teacher = toys.outputs(grad=False)
    objective = toys.make("mlkd", quirks="none", others=[3.0], temperature=2.0, kd_weight=1.0, ce_weight=0.5)
    terms = objective(student, teacher, toys.batch())
    confidence = teacher.logits.softmax(1).amax(1)
    unsure = confidence <= confidence.quantile(0.5)
    mass = teacher.logits.softmax(1).sum(0)
    rare = mass <= mass.quantile(0.5)
    kd = cc = bc = 0.0
    for t in (2.0, 3.0):
        views = [(student.logits, teacher.logits), (student.strong.logits, teacher.strong.logits)]
        for view, (z_s, z_t) in enumerate(views):
            p, q = (z_s / t).softmax(1), (z_t / t).softmax(1)
            rows = [t * t * float((q[b] * (q[b] / p[b]).log()).sum()) for b in range(toys.ROWS)]
            samples = [float(((p[b] @ p.T - q[b] @ q.T) ** 2).sum()) for b in range(toys.ROWS)]
            classes = [float(((p[:, k] @ p - q[:, k] @ q) ** 2).sum()) for k in range(toys.CLASSES)]
            keep = unsure.tolist() if view == 0 else [True] * toys.ROWS
            kept = rare.tolist() if view == 0 else [True] * toys.CLASSES
            kd += sum(v for v, k in zip(rows, keep, strict=True) if k) / toys.ROWS
            bc += sum(v for v, k in zip(samples, keep, strict=True) if k) / toys.ROWS
            cc += sum(v for v, k in zip(classes, kept, strict=True) if k) / toys.CLASSES
    assert terms["mlkd_sample"].item() == pytest.approx(kd, rel=1e-5)
    assert terms["mlkd_batch"].item() == pytest.approx(bc, rel=1e-5)
    assert terms["mlkd_class"].item() == pytest.approx(cc, rel=1e-5)
    expected = 0.5 * cross_entropy(student.strong.logits, toys.batch().label)
    torch.testing.assert_close(terms["mlkd_ce"], expected)


def test_a_cached_teacher_serves_both_views_of_mlkd():
    student, teacher = toys.outputs()
    both = toys.make("mlkd")(student, Output(teacher.embedding, teacher.logits, strong=teacher), toys.batch())
    one = toys.make("mlkd")(student, Output(teacher.embedding, teacher.logits), toys.batch())
    assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in both.items()}


def test_the_teachers_scores_get_no_gradient_from_a_frozen_teacher():
    student, teacher = toys.outputs()
    batch = Samples(torch.zeros(toys.ROWS, dtype=torch.int64), None)
    for name in ("kd", "dkd", "ctkd", "mlkd"):
        assert sum(toys.make(name)(student, teacher, batch).values()).requires_grad
        assert teacher.logits.grad is None
