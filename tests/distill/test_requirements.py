"""A pair of networks that a method cannot use is refused before training, with what to change."""

import pytest
import torch
import toys

from speakerkd.distill import build, parse_specs
from speakerkd.errors import InputError


def voice_and_face(**values):
    """A voice student and a face teacher that is cached as embeddings."""
    defaults = {
        "same_layout": False,
        "teacher_maps": [],
        "teacher_classes": None,
        "disentangled": False,
    }
    return toys.pair(**{**defaults, **values})


@pytest.mark.parametrize("name", ["kd", "dkd", "ctkd", "mlkd", "alkd"])
def test_class_scores_of_a_teacher_without_them_need_a_head(name):
    with pytest.raises(InputError, match="speakerkd embed-teacher --classifier"):
        build([{"name": name}], voice_and_face())


@pytest.mark.parametrize("name", ["kd", "dkd", "ctkd", "alkd"])
def test_with_a_head_they_fit(name):
    assert build([{"name": name}], voice_and_face(teacher_classes=toys.CLASSES)).needs >= {"logits"}


def test_a_head_over_other_speakers_is_refused():
    with pytest.raises(InputError, match="scores 9 classes and the student 4"):
        build([{"name": "kd"}], voice_and_face(teacher_classes=9))


def test_a_task_without_classifier_gives_no_class_scores():
    with pytest.raises(InputError, match="softmax_prototypical"):
        build([{"name": "kd"}], voice_and_face(teacher_classes=toys.CLASSES, student_logits=False))


@pytest.mark.parametrize("name", ["at", "nst", "semckd"])
def test_maps_of_a_voice_and_a_face_do_not_correspond(name):
    with pytest.raises(InputError, match="position by position"):
        build([{"name": name}], voice_and_face(teacher_maps=toys.TEACHER_MAPS))


@pytest.mark.parametrize("name", ["fitnet", "vid", "simkd"])
def test_where_maps_do_not_correspond_the_hook_falls_to_the_embeddings(name):
    objectives = build([{"name": name}], voice_and_face(teacher_maps=toys.TEACHER_MAPS))
    assert objectives.needs == {"embedding"}
    with pytest.raises(InputError, match="hook: embedding"):
        build([{"name": name, "hook": "maps"}], voice_and_face(teacher_maps=toys.TEACHER_MAPS))


def test_maps_of_a_cached_teacher_need_it_online():
    with pytest.raises(InputError, match=r"teacher\.online: true"):
        build([{"name": "fsp"}], voice_and_face())
    with pytest.raises(InputError, match=r"teacher\.online: true, .*, or hook: embedding"):
        build([{"name": "ickd", "hook": "maps"}], voice_and_face())


@pytest.mark.parametrize("name", ["fsp", "ickd", "sp"])
def test_methods_that_ignore_positions_take_maps_of_a_voice_and_a_face(name):
    assert "maps" in build([{"name": name}], voice_and_face(teacher_maps=toys.TEACHER_MAPS)).needs


@pytest.mark.parametrize("name", ["ccl", "clip", "margin", "classifier"])
def test_embeddings_of_different_sizes_need_the_head(name):
    other = voice_and_face(teacher_dim=9)
    with pytest.raises(InputError, match="project: true"):
        build([{"name": name, "project": False}], other)
    objectives = build([{"name": name, "project": True}], other)
    student, _ = toys.outputs()
    teacher = toys.Output(torch.randn(toys.ROWS, 9))
    sum(objectives(student, teacher, toys.batch()).values()).backward()
    assert all(p.grad is not None for p in objectives.head.parameters())


@pytest.mark.parametrize(
    "name", ["fitnet", "sp", "cc", "vid", "rkd", "pkt", "crd", "ickd", "simkd", "dimensional", "afkd"]
)
def test_the_others_take_embeddings_of_different_sizes_as_they_are(name):
    objectives = build([{"name": name}], voice_and_face(teacher_dim=9))
    student, _ = toys.outputs()
    teacher = toys.Output(torch.randn(toys.ROWS, 9))
    assert torch.isfinite(sum(objectives(student, teacher, toys.batch()).values()))


@pytest.mark.parametrize("spec", [{"name": "kd"}, {"name": "sp", "hook": "maps"}])
def test_a_head_that_nothing_would_train_is_refused(spec):
    with pytest.raises(InputError, match="leave out project: true"):
        build([{**spec, "project": True}], toys.pair())


def test_a_memory_needs_every_label():
    with pytest.raises(InputError, match="class of every training sample"):
        build([{"name": "crd"}], voice_and_face(labels=None))
    with pytest.raises(InputError, match="one class"):
        build([{"name": "crd"}], voice_and_face(labels=torch.zeros(toys.SAMPLES, dtype=torch.int64)))


def test_a_frozen_teacher_cannot_be_disentangled():
    with pytest.raises(InputError, match=r"teacher\.trainable: true"):
        build([{"name": "disentangled"}], voice_and_face())


def test_lists_of_maps_must_pair_up():
    three = toys.pair(student_maps=[*toys.STUDENT_MAPS, (8, 2, 2)])
    with pytest.raises(InputError, match="student_layers and teacher_layers"):
        build([{"name": "at"}], three)
    build([{"name": "at", "student_layers": [0, -1]}], three)
    with pytest.raises(InputError, match="no map 3 among its 3"):
        build([{"name": "at", "student_layers": [0, 3]}], three)


def test_maps_that_no_regressor_brings_together():
    odd = toys.pair(student_maps=[(3, 5, 5)], teacher_maps=[(3, 8, 8)])
    layers = {"student_layer": 0, "teacher_layer": 0}
    with pytest.raises(InputError, match="geometry: pool"):
        build([{"name": "fitnet", **layers}], odd)
    assert build([{"name": "fitnet", "geometry": "pool", **layers}], odd)


def test_adapters_of_fsp_can_be_left_out_where_channels_agree():
    with pytest.raises(InputError, match="adapter: true"):
        build([{"name": "fsp", "adapter": False}], toys.pair())
    build([{"name": "fsp", "adapter": False}], toys.pair(student_maps=toys.TEACHER_MAPS))


def test_the_fault_names_the_item_of_the_list():
    with pytest.raises(InputError, match=r"distill\.1"):
        build([{"name": "margin"}, {"name": "kd"}], voice_and_face())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "magrin"}, "did you mean 'margin'"),
        ({"name": "margin", "margn": 1}, "did you mean 'margin'"),
        ({"name": "margin", "quality": {"sorce": "student"}}, "did you mean 'source'"),
        ({"name": "margin", "margin": "cos30", "distance": "l2n"}, "is an angle"),
        ({"name": "margin", "margin": "thirty"}, "none of cos30"),
        ({"name": "margin", "margin": -0.1}, "at least 0"),
        ({"name": "kd", "temperature": 0}, "greater than 0"),
        ({"name": "crd", "momentum": 1.0}, "less than 1"),
        ({"weight": 1}, "a mapping with a name"),
        (["margin"], "a mapping with a name"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_built(spec, message):
    with pytest.raises(InputError, match=message):
        parse_specs([spec])


def test_a_bare_name_is_the_method_with_its_defaults():
    assert parse_specs(["pkt"])[0].weight == 30000
