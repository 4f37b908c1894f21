"""The methods on maps: options without golden numbers, by hand or against their definition."""

import math

import pytest
import torch
import toys
from torch.nn.functional import adaptive_avg_pool2d

from speakerkd.distill import parse_specs
from speakerkd.distill.fitnet import map_regressor
from speakerkd.distill.hooks import pooled
from speakerkd.errors import InputError
from speakerkd.tensors import Output


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
    mapped = map_regressor(student, teacher, True, "auto")(torch.randn(2, *student))
    assert mapped.shape == (2, *teacher)


def test_attention_distance_of_the_paper_is_a_norm():
    """Activations (1, 0) and (0, 1) over two positions: unit maps at distance sqrt 2; the code's mean square is 1."""
    f_s, f_t = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    pair = toys.pair(student_maps=[(1, 1, 2)], teacher_maps=[(1, 1, 2)])
    for distance, expected in (("norm", math.sqrt(2)), ("square", 1.0)):
        terms = toys.make("at", pair, distance=distance)(
            Output(f_s[:, 0, 0], maps=[f_s]), Output(f_t[:, 0, 0], maps=[f_t]), toys.batch(1)
        )
        assert terms["at"].item() == pytest.approx(expected)


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


def test_semckd_says_why_another_batch_size_stops_it():
    objective = toys.make("semckd")
    student, teacher = toys.outputs(rows=toys.ROWS - 1)
    with pytest.raises(InputError, match="batches of 8 and got 7"):
        objective(student, teacher, toys.batch(toys.ROWS - 1))


def test_semckd_soft_evens_the_attention_out():
    student, teacher = toys.outputs()
    sharp, soft = toys.make("semckd", soft=0.01), toys.make("semckd", soft=1e6)
    attentions = [o.attention(student.maps, teacher.maps) for o in (sharp, soft)]
    for attention in attentions:
        torch.testing.assert_close(attention.sum(2), torch.ones(toys.ROWS, 2))
    torch.testing.assert_close(attentions[1], torch.full_like(attentions[1], 0.5), rtol=1e-4, atol=1e-4)


def test_simkd_predicts_with_the_teachers_classifier():
    objective = toys.make("simkd")
    weight, bias = torch.randn(3, 4), torch.randn(3)
    projected = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(objective.predict(projected, weight, bias), projected.mean((2, 3)) @ weight.T + bias)
    vectors = toys.make("simkd", hook="embedding")
    student, teacher = toys.outputs()
    mapped, target = vectors.project(student, teacher)
    assert mapped.shape == target.shape
    assert (mapped < 0).any()  # teacher embeddings may be negative, so the last layer is bare
