"""The second and third paper's objectives: parts, signs and factors apart, by hand."""

import math

import pytest
import torch
import toys

from speakerkd.tensors import Output


def test_parts_of_the_dimensional_structure_can_be_switched_off():
    outputs = toys.outputs()
    every = {"sem_1", "sem_2", "dcm_1", "dcm_2"}
    torch.manual_seed(0)
    whole = toys.make("dimensional", dim=8)
    full = whole(*outputs, toys.batch())
    assert set(full) == every
    for part in every:
        torch.manual_seed(0)
        terms = toys.make("dimensional", dim=8, **{part: False})(*outputs, toys.batch())
        assert set(terms) == every - {part}
        for name, value_ in terms.items():
            torch.testing.assert_close(value_, full[name])
    assert set(toys.make("dimensional", gamma_sem=0)(*outputs, toys.batch())) == {"dcm_1", "dcm_2"}


def test_gammas_and_the_sign_are_separate():
    outputs = toys.outputs()

    def terms(**settings):
        torch.manual_seed(0)
        return toys.make("dimensional", dim=8, **settings)(*outputs, toys.batch())

    plain, changed = terms(gamma_sem=1, gamma_dcm=1), terms(gamma_sem=0.1, gamma_dcm=2, cross_sign=-1)
    factors = {"sem_1": 0.1, "sem_2": 0.1, "dcm_1": 2, "dcm_2": -2}
    for name, factor in factors.items():
        torch.testing.assert_close(changed[name], factor * plain[name])


def test_the_teachers_projector_learns_unless_frozen():
    outputs = toys.outputs()
    for frozen in (False, True):
        objective = toys.make("dimensional", dim=8, freeze_teacher_projector=frozen)
        sum(objective(*outputs, toys.batch()).values()).backward()
        assert all((p.grad is None) == frozen for p in objective.of_teacher.parameters())
        assert all(p.grad is not None for p in objective.of_student.parameters())


def test_dcm_by_hand():
    """Two unit vectors at right angles, sigma^2 = .5: the mean of e^0, e^0 and twice e^-4, logged."""
    f = torch.eye(2)
    pair = toys.pair(student_dim=2, teacher_dim=2, student_maps=[], teacher_maps=[])
    objective = toys.make("dimensional", pair, gamma_dcm=1.0, sem_1=False, sem_2=False)
    terms = objective(Output(3 * f), Output(f), toys.batch(2))
    expected = math.log((2 + 2 * math.exp(-4)) / 4)
    assert terms["dcm_1"].item() == pytest.approx(expected, abs=1e-6)
    assert terms["dcm_2"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("part", ["task", "adversarial", "modality", "auxiliary", "orthogonal"])
def test_terms_of_disentanglement_can_be_switched_off(part):
    outputs = toys.outputs()
    torch.manual_seed(0)
    full = toys.make("disentangled")(*outputs, toys.batch())
    torch.manual_seed(0)
    terms = toys.make("disentangled", **{part: 0})(*outputs, toys.batch())
    assert set(terms) == set(full) - {f"disentangled_{part}"}


def test_the_shared_part_is_trained_to_hide_its_network():
    """The reversed gradient: the head of L_adv goes down its loss, z_inv up."""
    student, teacher = toys.outputs()
    factors = dict.fromkeys(("task", "modality", "auxiliary", "orthogonal"), 0)
    objective = toys.make("disentangled", **factors)
    loss = objective(student, teacher, toys.batch())["disentangled_adversarial"]
    (gradient,) = torch.autograd.grad(loss, student.parts[0])
    student.parts[0] = (student.parts[0] + 0.1 * gradient).detach()  # what descent would undo
    assert objective(student, teacher, toys.batch())["disentangled_adversarial"] < loss
