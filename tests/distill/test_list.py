"""The list of objectives: weights, ramps, precision, names, and state that survives a checkpoint."""

import copy
import subprocess
import sys

import pytest
import torch
import toys

from speakerkd.distill import ObjectiveList, build


def total(objectives, outputs, epoch=3.0):
    objectives.start_step(epoch)
    return sum(objectives(*outputs, toys.batch()).values())


def test_weights_multiply_and_terms_add_up():
    outputs = toys.outputs()
    one, three = (total(build([{"name": "pkt", "weight": w}], toys.pair()), outputs) for w in (1, 3))
    torch.testing.assert_close(three, 3 * one)
    both = total(build([{"name": "pkt", "weight": 1}, {"name": "rkd"}], toys.pair()), outputs)
    torch.testing.assert_close(both, one + total(build([{"name": "rkd"}], toys.pair()), outputs))


@pytest.mark.parametrize(("epoch", "share"), [(0.0, 0.0), (0.5, 0.125), (2.0, 0.5), (4.0, 1.0), (9.0, 1.0)])
def test_a_ramp_grows_from_nothing_over_its_epochs(epoch, share):
    outputs = toys.outputs()
    whole = total(build([{"name": "rkd"}], toys.pair()), outputs)
    ramped = total(build([{"name": "rkd", "ramp_epochs": 4}], toys.pair()), outputs, epoch)
    torch.testing.assert_close(ramped, share * whole)


def test_one_method_twice_keeps_both_terms_apart():
    objectives = build([{"name": "margin"}, {"name": "margin", "distance": "l2n"}], toys.pair())
    assert set(objectives(*toys.outputs(), toys.batch())) == {"margin", "margin_2"}


def test_the_head_is_shared_and_saved_once():
    objectives = build([{"name": "margin"}, {"name": "classifier"}], toys.pair(), {"alpha": 0.5, "hidden": 3})
    names = list(objectives.state_dict())
    assert len([n for n in names if n.endswith("first.weight")]) == 1
    assert objectives.head.first.weight.shape == (3, toys.DIM)
    embedding = torch.randn(5, toys.DIM)
    torch.testing.assert_close(objectives.teacher_view(embedding), objectives.head(embedding))
    assert objectives.objectives["margin"].teacher_view(embedding).equal(objectives.head(embedding))


def test_without_a_head_the_teacher_is_seen_as_it_is():
    objectives = build([{"name": "pkt"}], toys.pair())
    embedding = torch.randn(5, toys.DIM)
    assert objectives.head is None
    assert objectives.teacher_view(embedding) is embedding


def test_an_empty_list_says_nothing():
    objectives = ObjectiveList()
    assert objectives(*toys.outputs(), toys.batch()) == {}
    assert (objectives.task_weight, objectives.needs, len(objectives)) == (1.0, frozenset(), 0)


def test_the_task_counts_as_the_least_objective_wants():
    assert build([{"name": "sp"}], toys.pair()).task_weight == 1.0
    assert build([{"name": "sp"}, {"name": "kd"}], toys.pair()).task_weight == pytest.approx(0.1)
    assert build([{"name": "kd", "task_weight": 0.5}, {"name": "simkd"}], toys.pair()).task_weight == 0.0


STATEFUL = {
    "margin": {"quality": {"momentum": 0.9}},
    "classifier": {"quality": {"source": "mean"}},
    "crd": {"negatives": 8, "draw": "sample"},
    "alkd": {},
    "afkd": {},
    "ctkd": {},
}


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(name):
    """Moving statistics, memories, and the discriminators' own optimiser are in the state dict, bit for bit."""
    specs = [{"name": name, **STATEFUL[name]}]
    torch.manual_seed(1)
    whole = build(specs, toys.pair())
    steps = [toys.outputs(grad=False) for _ in range(4)]
    for outputs in steps[:2]:
        whole(*outputs, toys.batch())
    torch.manual_seed(2)
    resumed = build(specs, toys.pair())
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for outputs in steps[2:]:
        expected = whole(*outputs, toys.batch())
        torch.rand(3)  # draws do not come from the global random state
        terms = resumed(*outputs, toys.batch())
        assert {k: v.item() for k, v in terms.items()} == {k: v.item() for k, v in expected.items()}
    for key, value in whole.state_dict().items():
        assert value.equal(resumed.state_dict()[key]), key


def test_moving_state_rests_outside_training():
    objectives = build([{"name": name, **STATEFUL[name]} for name in sorted(STATEFUL)], toys.pair())
    objectives(*toys.outputs(grad=False), toys.batch())
    objectives.eval()
    before = copy.deepcopy(objectives.state_dict())
    with torch.no_grad():
        objectives(*toys.outputs(grad=False), toys.batch())
    assert all(value.equal(before[key]) for key, value in objectives.state_dict().items())


def test_objectives_know_nothing_of_audio_faces_or_text():
    """Importing them must not pull in the libraries, nor the parts of speakerkd, that do."""
    code = (
        "import sys, speakerkd.distill\n"
        "foreign = {'torchaudio', 'torchvision', 'soundfile', 'av', 'PIL', 'cv2', 'facenet_pytorch', 'open_clip', "
        "'speechbrain', 'sklearn', 'kaldiio', 'accelerate'} & {n.split('.')[0] for n in sys.modules}\n"
        "own = {n.split('.')[1] for n in sys.modules if n.startswith('speakerkd.')}\n"
        "print(sorted(foreign), sorted(own - {'config', 'distill', 'errors', 'maths', 'tensors', 'version'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
