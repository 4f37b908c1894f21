"""The methods on maps and embeddings: options without golden numbers, by hand or against their definition."""

import math

import pytest
import torch
import toys
from torch.nn.functional import adaptive_avg_pool2d, normalize

from speakerkd.distill import build, parse_specs
from speakerkd.distill.cc import correlation
from speakerkd.distill.fitnet import map_regressor
from speakerkd.distill.hooks import pooled
from speakerkd.errors import InputError
from speakerkd.tensors import Output


def value(name, f_s, f_t, **settings):
    """The one term of a method on embeddings."""
    given = toys.pair(student_dim=f_s.shape[1], teacher_dim=f_t.shape[1], student_maps=[], teacher_maps=[])
    (found,) = toys.make(name, given, **settings)(Output(f_s), Output(f_t), toys.batch(len(f_s))).values()
    return found.item()


def test_maps_of_audio_are_pooled_in_height_and_width_apart():
    """References pool squares by their height; a voice's maps are wide: 5 x 7 and 2 x 9 meet at 2 x 7."""
    a, b = torch.randn(2, 3, 5, 7), torch.randn(2, 4, 2, 9)
    small_a, small_b = pooled(a, b)
    assert small_a.equal(adaptive_avg_pool2d(a, (2, 7)))
    assert small_b.equal(adaptive_avg_pool2d(b, (2, 7)))
    assert pooled(a, a)[0] is a


@pytest.mark.parametrize(
    ("student", "teacher"),
    [((3, 8, 20), (5, 4, 10)), ((3, 4, 10), (5, 8, 20)), ((3, 5, 25), (5, 4, 20)), ((3, 4, 4), (5, 4, 4))],
)
def test_fitnets_regressor_reaches_the_teachers_size(student, teacher):
    found = map_regressor(student, teacher, True, "auto")(torch.randn(2, *student))
    assert found.shape == (2, *teacher)


def test_fitnet_on_equal_embeddings_has_no_regressor():
    """S003's plain l2: ((1 - 0)^2 + (0 - 2)^2 + 0 + 1) / 4."""
    f_s, f_t = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [1.0, 2.0]])
    assert value("fitnet", f_s, f_t) == pytest.approx(6 / 4)
    assert not list(toys.make("fitnet", toys.pair(teacher_maps=[])).parameters())
    assert len(list(toys.make("fitnet", toys.pair(teacher_maps=[], teacher_dim=9)).parameters())) == 2


def test_attention_distance_of_the_paper_is_a_norm():
    """Activations (1, 0) and (0, 1) over two positions: unit maps at distance sqrt 2; the code's mean square is 1."""
    f_s, f_t = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    given = toys.pair(student_maps=[(1, 1, 2)], teacher_maps=[(1, 1, 2)])
    for distance, expected in (("norm", math.sqrt(2)), ("square", 1.0)):
        found = toys.make("at", given, distance=distance)(
            Output(f_s[:, 0, 0], maps=[f_s]), Output(f_t[:, 0, 0], maps=[f_t]), toys.batch(1)
        )
        assert found["at"].item() == pytest.approx(expected)


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
    given = toys.pair(student_dim=3, teacher_dim=5, teacher_maps=[])
    objective = toys.make("vid", given)
    layer = objective.layers[0]
    variance = torch.nn.functional.softplus(layer.log_scale) + 1e-5
    mean = layer.mean(f_s[:, :, None, None])[..., 0, 0]
    expected = 0.5 * ((mean - f_t) ** 2 / variance + variance.log()).mean()
    found = objective(Output(f_s), Output(f_t), toys.batch(4))["vid"]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(variance, torch.full((5,), 5.0))


def test_ickd_of_embeddings_correlates_dimensions_over_the_batch():
    torch.manual_seed(0)
    given = toys.pair(student_dim=3, teacher_dim=5, teacher_maps=[])
    f_s, f_t = torch.randn(6, 3), torch.randn(6, 5)
    objective = toys.make("ickd", given)
    x = objective.norm(objective.conv(f_s[:, :, None, None]))[..., 0, 0]
    g_s, g_t = (normalize(f.T @ f, dim=1) for f in (x, f_t))
    found = objective(Output(f_s), Output(f_t), toys.batch(6))["ickd"]
    torch.testing.assert_close(found, (g_s - g_t).pow(2).sum() / 5)
    literal = toys.make("ickd", given, vector_mode="sample")
    literal.load_state_dict(objective.state_dict())
    x = literal.norm(literal.conv(f_s[:, :, None, None]))[..., 0, 0]
    rows = [f.sign()[:, :, None] * normalize(f, dim=1)[:, None] for f in (x, f_t)]  # the degenerate rows sign(x_i) x
    expected = (rows[0] - rows[1]).pow(2).sum() / (5 * 6)
    torch.testing.assert_close(literal(Output(f_s), Output(f_t), toys.batch(6))["ickd"], expected, rtol=1e-4, atol=1e-5)


def test_fsp_in_two_stages_is_first_alone_and_then_silent():
    objective = toys.make("fsp", two_stage=True, init_epochs=30)
    student, teacher = toys.outputs()
    assert toys.make("fsp").task_weight == 1.0
    for epoch, task, speaks in ((0.0, 0.0, True), (29.9, 0.0, True), (30.0, 1.0, False)):
        objective.start_step(epoch)
        assert objective.task_weight == task
        assert (objective(student, teacher, toys.batch())["fsp"].item() > 0) == speaks
    assert parse_specs(["fsp"])[0].weight == 50
    assert parse_specs([{"name": "fsp", "two_stage": True}])[0].weight == 1


def test_fsp_adapts_the_students_channels_alone():
    objective = toys.make("fsp")
    assert [type(a).__name__ for a in objective.adapters] == ["Conv2d", "Identity"]
    student, teacher = toys.outputs()
    objective(student, teacher, toys.batch())["fsp"].backward()
    assert all(m.grad is not None for m in student.maps)


def test_rkd_parts_can_be_switched_off():
    made = toys.outputs()
    assert set(toys.make("rkd", angle=0)(*made, toys.batch())) == {"rkd_distance"}
    assert set(toys.make("rkd", distance=0)(*made, toys.batch())) == {"rkd_angle"}


def test_rkd_ignores_scale_and_place():
    torch.manual_seed(0)
    f_s = torch.randn(5, 3)
    assert value("rkd", f_s, 7 * f_s + 3, angle=0) == pytest.approx(0.0, abs=1e-6)
    assert value("rkd", f_s, 7 * f_s + 3, distance=0) == pytest.approx(0.0, abs=1e-5)


def test_semckd_says_why_another_batch_size_stops_it():
    objective = toys.make("semckd")
    student, teacher = toys.outputs(rows=toys.ROWS - 1)
    with pytest.raises(InputError, match="batches of 8 and got 7"):
        objective(student, teacher, toys.batch(toys.ROWS - 1))


def test_semckd_soft_evens_the_attention_out():
    student, teacher = toys.outputs()
    sharp, soft = toys.make("semckd", soft=0.01), toys.make("semckd", soft=1e6)
    found = [o.attention(student.maps, teacher.maps) for o in (sharp, soft)]
    for attention in found:
        torch.testing.assert_close(attention.sum(2), torch.ones(toys.ROWS, 2))
    torch.testing.assert_close(found[1], torch.full_like(found[1], 0.5), rtol=1e-4, atol=1e-4)


def test_simkd_predicts_with_the_teachers_classifier():
    objective = toys.make("simkd")
    weight, bias = torch.randn(3, 4), torch.randn(3)
    projected = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(objective.predict(projected, weight, bias), projected.mean((2, 3)) @ weight.T + bias)
    vectors = toys.make("simkd", hook="embedding")
    student, teacher = toys.outputs()
    found, target = vectors.project(student, teacher)
    assert found.shape == target.shape
    assert (found < 0).any()  # teacher embeddings may be negative, so the last layer is bare


def test_ccl_without_class_scores():
    """The divergence alone wants the student's; a class that fills the batch has nothing to push away."""
    given = toys.pair(student_logits=False)
    with pytest.raises(InputError, match="no classifier"):
        build([{"name": "ccl"}], given)
    objective = build([{"name": "ccl", "divergence": 0}], given).objectives["ccl"]
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
    given = toys.pair(student_dim=4, teacher_dim=4)
    objective = toys.make("clip", given, label_aware=True)
    found = objective(Output(student), Output(teacher), toys.batch(3, label))
    assert found["clip"].item() == pytest.approx(math.log(3), abs=1e-6)


def test_parts_of_the_dimensional_structure_can_be_switched_off():
    made = toys.outputs()
    every = {"sem_1", "sem_2", "dcm_1", "dcm_2"}
    torch.manual_seed(0)
    whole = toys.make("dimensional", dim=8)
    full = whole(*made, toys.batch())
    assert set(full) == every
    for part in every:
        torch.manual_seed(0)
        found = toys.make("dimensional", dim=8, **{part: False})(*made, toys.batch())
        assert set(found) == every - {part}
        for name, value_ in found.items():
            torch.testing.assert_close(value_, full[name])
    assert set(toys.make("dimensional", gamma_sem=0)(*made, toys.batch())) == {"dcm_1", "dcm_2"}


def test_gammas_and_the_sign_are_separate():
    made = toys.outputs()

    def terms(**settings):
        torch.manual_seed(0)
        return toys.make("dimensional", dim=8, **settings)(*made, toys.batch())

    plain, changed = terms(gamma_sem=1, gamma_dcm=1), terms(gamma_sem=0.1, gamma_dcm=2, cross_sign=-1)
    factors = {"sem_1": 0.1, "sem_2": 0.1, "dcm_1": 2, "dcm_2": -2}
    for name, factor in factors.items():
        torch.testing.assert_close(changed[name], factor * plain[name])


def test_the_teachers_projector_learns_unless_frozen():
    made = toys.outputs()
    for frozen in (False, True):
        objective = toys.make("dimensional", dim=8, freeze_teacher_projector=frozen)
        sum(objective(*made, toys.batch()).values()).backward()
        assert all((p.grad is None) == frozen for p in objective.of_teacher.parameters())
        assert all(p.grad is not None for p in objective.of_student.parameters())


def test_dcm_by_hand():
    """Two unit vectors at right angles, sigma^2 = .5: the mean of e^0, e^0 and twice e^-4, logged."""
    f = torch.eye(2)
    given = toys.pair(student_dim=2, teacher_dim=2, student_maps=[], teacher_maps=[])
    objective = toys.make("dimensional", given, gamma_dcm=1.0, sem_1=False, sem_2=False)
    found = objective(Output(3 * f), Output(f), toys.batch(2))
    expected = math.log((2 + 2 * math.exp(-4)) / 4)
    assert found["dcm_1"].item() == pytest.approx(expected, abs=1e-6)
    assert found["dcm_2"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("part", ["task", "adversarial", "modality", "auxiliary", "orthogonal"])
def test_terms_of_disentanglement_can_be_switched_off(part):
    made = toys.outputs()
    torch.manual_seed(0)
    full = toys.make("disentangled")(*made, toys.batch())
    torch.manual_seed(0)
    found = toys.make("disentangled", **{part: 0})(*made, toys.batch())
    assert set(found) == set(full) - {f"disentangled_{part}"}


def test_the_shared_part_is_trained_to_hide_its_network():
    """The reversed gradient: the head of L_adv goes down its loss, z_inv up."""
    student, teacher = toys.outputs()
    factors = dict.fromkeys(("task", "modality", "auxiliary", "orthogonal"), 0)
    objective = toys.make("disentangled", **factors)
    loss = objective(student, teacher, toys.batch())["disentangled_adversarial"]
    (gradient,) = torch.autograd.grad(loss, student.parts[0])
    student.parts[0] = (student.parts[0] + 0.1 * gradient).detach()  # what descent would undo
    assert objective(student, teacher, toys.batch())["disentangled_adversarial"] < loss
