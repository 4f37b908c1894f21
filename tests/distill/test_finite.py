"""Whatever a batch looks like, no objective may answer with NaN or infinity: one such step ruins a run."""

import pytest
import torch
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from speakerkd.distill import build

VARIANTS = {
    "margin": [
        {"quality": {"source": source, "clip": clip}, "distance": distance}
        for source in ("teacher", "student", "mean")
        for clip, distance in ((1.0, "cos"), (None, "l2n"))
    ]
    + [{"distance": "l2raw"}, {"distance": "mse", "hinge": "batch"}],
    "classifier": [{"beta": 1.0, "quality": {}}, {"count_student_ce": "once", "logits_distance": "sum", "beta": 1.0}],
    "dimensional": [{}, {"center": True, "cross_sign": -1, "hook": "embedding", "normalise": False}],
    "disentangled": [{}, {"targets": "official"}],
    "kd": [{}, {"standardise": True}, {"standardise": True, "deviation": "biased", "form": "mfh"}],
    "dkd": [{}, {"standardise": True}],
    "ctkd": [{}, {"standardise": True}],
    "mlkd": [{}, {"quirks": "none"}, {"standardise": True}],
    "fitnet": [{}, {"hook": "embedding", "regressor": "relu"}, {"hook": "embedding"}],
    "at": [{}, {"p": 1, "distance": "norm"}],
    "sp": [{}, {"hook": "embedding"}],
    "cc": [{}, {"kernel": "gaussian"}, {"kernel": "bilinear", "distance": "norm"}],
    "vid": [{}, {"hook": "embedding"}],
    "pkt": [{}, {"form": "paper"}],
    "ickd": [{}, {"hook": "embedding"}, {"hook": "embedding", "vector_mode": "sample"}],
    "simkd": [{}, {"hook": "embedding"}],
    "crd": [{"negatives": 16}, {"negatives": 16, "draw": "sample"}],
    "clip": [{}, {"label_aware": True}],
    "alkd": [{}, {"standardise": True}],
    "afkd": [{}, {"form": "minimax"}],
}
CASES = [(name, variant) for name in toys.NAMES for variant in VARIANTS.get(name, [{}])]


def equal_norm(x):
    """No variance of quality."""
    x.div_(x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1)).clamp(min=1e-9))


ACCIDENTS = {
    "repeat": lambda x: x[1:].copy_(x[:1].expand_as(x[1:])),  # the same sample again and again
    "equal_norm": equal_norm,
    "constant": lambda x: x.fill_(1.0),
    "huge": lambda x: x.mul_(1e3),
    "tiny": lambda x: x.mul_(1e-3),
    "zero_row": lambda x: x[2].zero_(),
    "zero": lambda x: x.zero_(),
}
WHOLE_BATCH = ("one_class", "same")
SIDES = [("student",), ("teacher",), ("student", "teacher")]


def suffer(accidents, sides, seed=0):
    """Outputs of both networks and Samples, to the tensors of `sides` of which the accidents happen, in this order."""
    torch.manual_seed(seed)
    student, teacher = toys.outputs(grad=False)
    label = torch.randint(toys.CLASSES, (toys.ROWS,))
    if "one_class" in accidents:
        label.zero_()
    for name in accidents:
        for side in sides if name in ACCIDENTS else ():
            for x in toys.tensors(student if side == "student" else teacher):
                ACCIDENTS[name](x)
    if "same" in accidents:  # the student is the teacher already
        student.embedding.copy_(teacher.embedding)
        student.logits.copy_(teacher.logits)
    for x in toys.tensors(student):
        x.requires_grad_()
    return student, teacher, toys.batch(label=label)


def check(name, variant, outputs):
    torch.manual_seed(0)
    objectives = build([{"name": name, **variant}], toys.pair())
    objectives.start_step(3.5)
    terms = objectives(*outputs)
    assert all(torch.isfinite(v) for v in terms.values()), {k: v.item() for k, v in terms.items()}
    sum(terms.values()).backward()
    for where in [*toys.tensors(outputs[0]), *objectives.parameters()]:
        assert where.grad is None or torch.isfinite(where.grad).all()
    for key, value in objectives.state_dict().items():
        assert not value.is_floating_point() or torch.isfinite(value).all(), key


def label_of(value):
    return value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items()) or "default"


@pytest.mark.parametrize(("name", "variant"), CASES, ids=label_of)
def test_every_accident_alone(name, variant):
    for accident in (*ACCIDENTS, *WHOLE_BATCH):
        check(name, variant, suffer([accident], ["student", "teacher"]))


@pytest.mark.parametrize(("name", "variant"), CASES, ids=label_of)
@settings(max_examples=4, deadline=None)
@given(
    st.lists(st.sampled_from([*ACCIDENTS, *WHOLE_BATCH]), min_size=2, max_size=4, unique=True),
    st.sampled_from(SIDES),
    st.integers(0, 2**31),
)
def test_accidents_together(name, variant, accidents, sides, seed):
    check(name, variant, suffer(accidents, sides, seed))


@pytest.mark.parametrize("name", toys.NAMES)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_with_hardly_a_paired_sample_is_no_fault(name, rows):
    """Partly paired corpora give such batches; every trainable part still gets a gradient, so no process waits."""
    objectives = build([{"name": name}], toys.pair())
    student, teacher = toys.outputs(rows)
    total = sum(objectives(student, teacher, toys.batch(rows)).values())
    total.backward()
    assert torch.isfinite(total)
    for key, parameter in objectives.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key


def test_every_method_has_its_turn_here():
    assert {name for name, _ in CASES} == set(toys.NAMES)
