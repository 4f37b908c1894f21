"""The methods on embeddings: options without golden numbers, by hand or against their definition."""

import math

import pytest
import torch
import toys
from torch.nn.functional import normalize

from speakerkd.distill import build
from speakerkd.distill.cc import correlation
from speakerkd.distill.rkd import angles, squared_distances
from speakerkd.errors import InputError
from speakerkd.tensors import Output


def value(name, f_s, f_t, **settings):
    """The one term of a method on embeddings."""
    pair = toys.pair(student_dim=f_s.shape[1], teacher_dim=f_t.shape[1], student_maps=[], teacher_maps=[])
    (term,) = toys.make(name, pair, **settings)(Output(f_s), Output(f_t), toys.batch(len(f_s))).values()
    return term.item()


def test_fitnet_on_equal_embeddings_has_no_regressor():
    """S003's plain l2: ((1 - 0)^2 + (0 - 2)^2 + 0 + 1) / 4."""
    f_s, f_t = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [1.0, 2.0]])
    assert value("fitnet", f_s, f_t) == pytest.approx(6 / 4)
    assert not list(toys.make("fitnet", toys.pair(teacher_maps=[])).parameters())
    assert len(list(toys.make("fitnet", toys.pair(teacher_maps=[], teacher_dim=9)).parameters())) == 2


def test_pkt_of_the_paper_leaves_the_sample_itself_out():
    """Three student samples at right angles: the others share evenly. Teacher cosines 1, 0, 0: shares (1, .5) / 1.5."""
    f_s, f_t = torch.eye(3), torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    far, near = (0.5 / 1.5), (1 / 1.5)
    two_rows = 2 * (near * math.log(near / 0.5) + far * math.log(far / 0.5))
    assert value("pkt", f_s, f_t, form="paper") == pytest.approx(two_rows, abs=1e-5)  # the third sees both alike


def test_correlation_by_hand():
    """x.y = .5, gamma .4: e^-.8 (1 + .8 * .5 + .32 * .25)."""
    x = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    expected = math.exp(-0.8) * (1 + 0.4 + 0.08)
    assert correlation(x, "gaussian")[0, 1].item() == pytest.approx(expected, abs=1e-6)
    assert correlation(x, "bilinear")[0, 1].item() == pytest.approx(0.5)


def test_the_papers_correlation_ignores_lengths_unless_told():
    torch.manual_seed(0)
    objective = toys.make("cc", kernel="gaussian")
    z_s, z_t = torch.randn(5, 4), torch.randn(5, 4)
    assert objective.compare(3 * z_s, z_t).item() == pytest.approx(objective.compare(z_s, z_t).item(), rel=1e-5)


def test_vid_and_sp_see_embeddings_as_one_position():
    torch.manual_seed(0)
    f_s, f_t = torch.randn(4, 3), torch.randn(4, 5)
    rows = [normalize(f @ f.T, dim=1) for f in (f_s, f_t)]
    assert value("sp", f_s, f_t) == pytest.approx(((rows[0] - rows[1]) ** 2).sum().item() / 16, rel=1e-5)
    pair = toys.pair(student_dim=3, teacher_dim=5, teacher_maps=[])
    objective = toys.make("vid", pair)
    layer = objective.layers[0]
    variance = torch.nn.functional.softplus(layer.log_scale) + 1e-5
    mean = layer.mean(f_s[:, :, None, None])[..., 0, 0]
    expected = 0.5 * ((mean - f_t) ** 2 / variance + variance.log()).mean()
    term = objective(Output(f_s), Output(f_t), toys.batch(4))["vid"]
    torch.testing.assert_close(term, expected)
    torch.testing.assert_close(variance, torch.full((5,), 5.0))


def test_ickd_of_embeddings_correlates_dimensions_over_the_batch():
    torch.manual_seed(0)
    pair = toys.pair(student_dim=3, teacher_dim=5, teacher_maps=[])
    f_s, f_t = torch.randn(6, 3), torch.randn(6, 5)
    objective = toys.make("ickd", pair)
    x = objective.norm(objective.conv(f_s[:, :, None, None]))[..., 0, 0]
    g_s, g_t = (normalize(f.T @ f, dim=1) for f in (x, f_t))
    term = objective(Output(f_s), Output(f_t), toys.batch(6))["ickd"]
    torch.testing.assert_close(term, (g_s - g_t).pow(2).sum() / 5)
    literal = toys.make("ickd", pair, vector_mode="sample")
    literal.load_state_dict(objective.state_dict())
    x = literal.norm(literal.conv(f_s[:, :, None, None]))[..., 0, 0]
    rows = [f.sign()[:, :, None] * normalize(f, dim=1)[:, None] for f in (x, f_t)]  # the degenerate rows sign(x_i) x
    expected = (rows[0] - rows[1]).pow(2).sum() / (5 * 6)
    torch.testing.assert_close(literal(Output(f_s), Output(f_t), toys.batch(6))["ickd"], expected, rtol=1e-4, atol=1e-5)


def test_rkd_on_points_that_are_all_but_one():
    """In float32 and far from the origin, pairs a thousandth apart keep their angles: those of plain differences."""
    torch.manual_seed(0)
    x = (5 + torch.randn(3, 16)).repeat_interleave(2, 0) + 1e-3 * torch.randn(6, 16)
    x[5] = x[4]
    square = squared_distances(x)
    between = x.double()[None] - x.double()[:, None]
    torch.testing.assert_close(square.double(), between.pow(2).sum(2), rtol=1e-6, atol=1e-12)
    assert square[4, 5] == 0
    direction = normalize(between, dim=2)
    expected = direction @ direction.transpose(1, 2)
    torch.testing.assert_close(angles(square).double(), expected, rtol=0, atol=2e-4)


def test_rkd_parts_can_be_switched_off():
    outputs = toys.outputs()
    assert set(toys.make("rkd", angle=0)(*outputs, toys.batch())) == {"rkd_distance"}
    assert set(toys.make("rkd", distance=0)(*outputs, toys.batch())) == {"rkd_angle"}


def test_rkd_ignores_scale_and_place():
    torch.manual_seed(0)
    f_s = torch.randn(5, 3)
    assert value("rkd", f_s, 7 * f_s + 3, angle=0) == pytest.approx(0.0, abs=1e-6)
    assert value("rkd", f_s, 7 * f_s + 3, distance=0) == pytest.approx(0.0, abs=1e-5)


def test_ccl_without_class_scores():
    """The divergence alone wants the student's; a class that fills the batch has nothing to push away."""
    pair = toys.pair(student_logits=False)
    with pytest.raises(InputError, match="no classifier"):
        build([{"name": "ccl"}], pair)
    objective = build([{"name": "ccl", "divergence": 0}], pair).objectives["ccl"]
    student, teacher = toys.outputs()
    student.logits = None
    one = torch.zeros(toys.ROWS, dtype=torch.int64)
    assert torch.isfinite(sum(objective(student, teacher, toys.batch(label=one)).values()))


def test_ccl_parts_can_be_switched_off():
    student, teacher = toys.outputs()
    names = ("student_composition", "student_teacher", "composition_teacher")
    objective = toys.make("ccl", divergence=0, **dict.fromkeys(names, False))
    terms = objective(student, teacher, toys.batch())
    assert terms["ccl_student"].item() == 0.0
    assert terms["ccl_composition"].item() > 0.0  # its own cross-entropy stays


def test_the_scale_of_clip_is_bounded_and_can_come_down_again():
    objective = toys.make("clip")
    objective.logit_scale.data.fill_(9.0)
    student, teacher = toys.outputs()
    scores = objective.scores(student.embedding, teacher.embedding)
    assert scores.abs().max() <= 100.0001
    objective(student, teacher, toys.batch())["clip"].backward()
    assert objective.logit_scale.grad.abs() > 0


def test_label_aware_contrast_by_hand():
    """Two samples of one class and one of another, all scores 0: every row's entropy is ln 3 for any even target."""
    student = torch.eye(4)[:3]
    teacher = torch.eye(4)[3:].repeat(3, 1)
    label = torch.tensor([0, 0, 1])
    pair = toys.pair(student_dim=4, teacher_dim=4)
    objective = toys.make("clip", pair, label_aware=True)
    terms = objective(Output(student), Output(teacher), toys.batch(3, label))
    assert terms["clip"].item() == pytest.approx(math.log(3), abs=1e-6)
