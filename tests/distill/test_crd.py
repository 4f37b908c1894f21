"""CRD's memory: exact negatives, a draw that does not depend on the corpus, the loss of the plain formula."""

import copy
import math

import pytest
import torch
import toys

from speakerkd.distill import crd as module
from speakerkd.distill.crd import OtherClasses
from speakerkd.tensors import Samples


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("labels", [torch.tensor([2, 0, 0, 1, 2, 2, 0, 1, 3]), torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])])
def test_negatives_are_of_other_classes_and_all_of_them_are_drawn(labels):
    drawn = OtherClasses(labels).for_each(torch.tensor([0, 1, 2, 3]), 4000, seeded())
    for row, own in zip(drawn, range(4), strict=True):
        assert set(row.tolist()) == set((labels != own).nonzero()[:, 0].tolist())


def test_negatives_are_drawn_evenly():
    """Class 0 has 5 of 15 samples: each of the 10 others comes 1/10 of the times, to four standard errors."""
    drawn = OtherClasses(torch.arange(15) % 3).for_each(torch.tensor([0]), 100_000, seeded(1))
    share = torch.bincount(drawn[0], minlength=15) / 100_000
    assert (share[0::3] == 0).all()
    error = math.sqrt(0.1 * 0.9 / 100_000)
    assert ((share[share > 0] - 0.1).abs() < 4 * error).all()


def plain(v, memory, index, z):
    """The loss of one side at temperature .07, sample by sample, as the method's section writes it."""
    share, total = (index.shape[1] - 1) / len(memory), 0.0
    for row, own in zip(index.tolist(), v.detach(), strict=True):
        odds = [math.exp(float(memory[i] @ own) / 0.07) / z for i in row]
        total += math.log(odds[0] / (odds[0] + share + 1e-7))
        total += sum(math.log(share / (o + share + 1e-7)) for o in odds[1:])
    return -total / len(v)


@pytest.mark.parametrize("budget", [1, 1 << 24])
def test_the_loss_is_the_formulas_however_the_rows_are_cut(monkeypatch, budget):
    monkeypatch.setattr(module, "BUDGET", budget)
    torch.manual_seed(0)
    objective = toys.make("crd", negatives=5, dim=3).double()
    memory = objective.memory_teacher.clone(), objective.memory_student.clone()
    f_s, f_t = torch.randn(4, toys.DIM).double().requires_grad_(), torch.randn(4, toys.DIM).double()
    index = torch.randint(toys.SAMPLES, (4, 6))
    unit = torch.nn.functional.normalize
    v_s, v_t = unit(objective.of_student(f_s)), unit(objective.of_teacher(f_t))
    loss = objective.contrast(f_s, f_t, index)
    expected = 0.0
    for v, bank in ((v_s, memory[0]), (v_t, memory[1])):
        z = (bank[index] * v[:, None]).sum(2).div(0.07).exp().mean() * len(bank)
        expected += plain(v, bank, index, z.item())
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, f_s)
    step = torch.zeros_like(f_s)
    step[1, 2] = 1e-6

    def shifted(sign):
        twin = toys.make("crd", negatives=5, dim=3).double()
        twin.load_state_dict(objective.state_dict())
        twin.memory_teacher.copy_(memory[0])
        twin.memory_student.copy_(memory[1])
        return twin.contrast(f_s.detach() + sign * step, f_t, index).item()

    assert gradient[1, 2].item() == pytest.approx((shifted(1) - shifted(-1)) / 2e-6, rel=1e-4)


def test_a_shared_draw_is_the_formula_over_its_other_classes():
    """Where a class has no part in the draw it is the loss of K negatives; a masked one leaves the mean of the rest."""
    torch.manual_seed(0)
    objective = toys.make("crd", negatives=4, dim=3).double()
    twins = [copy.deepcopy(objective) for _ in range(3)]
    f_s, f_t = torch.randn(3, toys.DIM).double().requires_grad_(), torch.randn(3, toys.DIM).double()
    own, drawn = torch.tensor([0, 1, 2]), torch.tensor([7, 9, 11, 13])
    index = torch.cat([own[:, None], drawn.expand(3, 4)], 1)
    expected = objective.contrast(f_s, f_t, index)
    contrast = twins[0].contrast_shared(f_s, f_t, own, drawn, torch.ones(3, 4, dtype=torch.bool))
    torch.testing.assert_close(contrast, expected)
    gradients = [torch.autograd.grad(loss, f_s)[0] for loss in (contrast, expected)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(twins[0].z, objective.z)
    torch.testing.assert_close(twins[0].memory_student, objective.memory_student)
    masked = torch.tensor([[True, False, True, False]]).expand(3, 4)
    half = twins[1].contrast_shared(f_s, f_t, own, drawn, masked)
    again = torch.cat([own[:, None], drawn[[0, 2, 0, 2]].expand(3, 4)], 1)  # the mean of two, as four
    torch.testing.assert_close(half, twins[2].contrast(f_s, f_t, again))


def test_a_shared_draw_marks_the_own_class():
    own = torch.tensor([0, 1, 2, 3])
    for labels in (torch.tensor([2, 0, 0, 1, 2, 2, 0, 1, 3]), torch.tensor([0, 0, 0, 2, 2, 2, 2, 3, 3])):
        drawn, other = OtherClasses(labels).for_all(own, 2000, seeded())
        assert set(drawn.tolist()) == set(range(9))
        assert other.equal(labels[drawn] != own[:, None])


def test_the_memory_takes_in_the_batch_and_nothing_else():
    torch.manual_seed(0)
    objective = toys.make("crd", negatives=5, momentum=0.5)
    before = objective.memory_student.clone()
    student, teacher = toys.outputs(grad=False)
    objective(student, teacher, toys.batch())
    changed = (objective.memory_student != before).any(1).nonzero()[:, 0].tolist()
    assert changed == list(range(toys.ROWS))
    entry = torch.nn.functional.normalize(objective.of_student(student.embedding)[3], dim=0)
    expected = torch.nn.functional.normalize(0.5 * before[3] + 0.5 * entry, dim=0)
    torch.testing.assert_close(objective.memory_student[3], expected)


def test_every_process_draws_the_same_and_every_step_anew():
    """The draw is a function of (seed, step): ranks that share a batch agree, whatever their global random state."""
    student, teacher = toys.outputs(grad=False)
    torch.manual_seed(0)
    first = toys.make("crd", negatives=5)
    twin = toys.make("crd", negatives=5)
    twin.load_state_dict(first.state_dict())
    values = [first(student, teacher, toys.batch())["crd"].item() for _ in range(2)]
    torch.manual_seed(99)
    assert [twin(student, teacher, toys.batch())["crd"].item() for _ in range(2)] == values
    assert values[0] != values[1]


def test_the_memory_of_voxceleb2_stays_within_its_bound():
    """Two banks of 1,092,009 x 128 float32 and the class index; counted on a thousandth of it."""
    samples = 1092
    labels = torch.arange(samples) % 600
    objective = toys.make("crd", toys.pair(samples=samples, labels=labels), negatives=16)
    held = sum(b.numel() * b.element_size() for b in objective.buffers()) / samples
    assert held * 1_092_009 < 1.2e9
    saved = {k for k in objective.state_dict() if k.startswith(("memory", "z", "steps"))}
    assert saved == {"memory_student", "memory_teacher", "z", "steps"}


def test_a_sample_twice_in_a_batch_is_no_fault():
    objective = toys.make("crd", negatives=5)
    student, teacher = toys.outputs()
    label = torch.zeros(toys.ROWS, dtype=torch.int64)
    loss = objective(student, teacher, Samples(label, label))["crd"]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(objective.memory_student).all()
