"""Golden adapters of the first paper's losses."""

from __future__ import annotations

import torch
from torch import nn

from adapters.objectives import batch_of, one, pair_of
from speakerkd.distill import ProjectionHead, ProjectionSettings
from speakerkd.distill.margin import distances, hinge
from speakerkd.distill.quality import Quality, QualitySettings
from speakerkd.tensors import Output


def projhead(arrays, case):
    hidden, dim = arrays["W1"].shape
    state = {"first.weight": "W1", "first.bias": "b1", "second.weight": "W2", "second.bias": "b2"}
    for result, alpha in (("F_T", arrays.scalar("hp.alpha")), ("E_T_prime", 0.0)):
        head = ProjectionHead(dim, dim, ProjectionSettings(alpha=alpha, hidden=hidden)).double()
        head.load_state_dict({name: arrays.tensor(key) for name, key in state.items()})
        arrays.check(result, head(arrays.tensor("E_T")))


def margin_feature(arrays, case):
    weights = arrays.tensor("w")
    dim = arrays["F_S"].shape[1]
    angle = f"cos{arrays.scalar('hp.angle_deg')}"
    arrays.check("margin_l2n", arrays.scalar("hp.radius") ** 2)
    for kind in ("cos", "l2n", "l2raw", "mse"):
        margin = angle if kind == "cos" else arrays.scalar(f"margin_{kind}")
        objective = one("margin", pair_of(dim, dim), distance=kind, margin=margin, project=False)
        arrays.check(f"margin_{kind}", objective.margin)
        student, teacher = arrays.tensor("F_S", grad=True), arrays.tensor("F_T", grad=True)
        loss = objective(Output(student), Output(teacher), batch_of())["margin"]
        arrays.check(f"loss_{kind}", loss)
        arrays.check_gradient(loss, {"F_S": student, "F_T": teacher}, f"grad_{kind}")
        apart = distances(student, teacher, kind)
        arrays.check(f"dist_{kind}", apart)
        arrays.check(f"loss_i_{kind}", (apart - objective.margin).relu())
        arrays.check(f"loss_weighted_{kind}", hinge(apart, weights, objective.margin))
    raw = one("margin", pair_of(dim, dim), margin=angle, margin_reading="raw", project=False)
    arrays.check("m_cos_raw_reading", raw.margin)
    student, teacher = arrays.tensor("F_S"), arrays.tensor("F_T")
    arrays.check("loss_i_cos_rawm", (distances(student, teacher, "cos") - raw.margin).relu())
    arrays.check("loss_cos_rawm", raw(Output(student), Output(teacher), batch_of())["margin"])


class Fixed(nn.Module):
    """Stands where the quality module does, with weights that the file gives."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, student, teacher):
        return self.weights


def classifier_level(arrays, case):
    classes, dim = arrays["W"].shape
    labels, beta = arrays.tensor("labels"), arrays.scalar("hp.beta")
    shared = nn.Linear(dim, classes).double()
    pair = pair_of(dim, dim, classes=classes, task_classifier=shared)
    student, teacher = arrays.tensor("F_S", grad=True), arrays.tensor("F_T", grad=True)

    def terms(weights=None, **settings):
        objective = one("classifier", pair, project=False, **settings)
        shared.weight.data.copy_(arrays.tensor("W"))
        objective.quality = None if weights is None else Fixed(weights)
        return objective, objective(Output(student), Output(teacher), batch_of(labels))

    objective, parts = terms(beta=beta)
    loss = sum(parts.values())
    arrays.check("loss", loss)
    arrays.check("loss_ce", parts["classifier"])
    arrays.check_gradient(loss, {"F_S": student, "F_T": teacher, "W": shared.weight})
    arrays.check("loss_dis_mse", terms(beta=1.0)[1]["classifier_logits"])
    arrays.check("loss_l2sum", sum(terms(beta=beta, logits_distance="sum")[1].values()))
    arrays.check("loss_weighted", sum(terms(arrays.tensor("w"), beta=beta)[1].values()))
    logits = torch.cat([objective.classify(student), objective.classify(teacher)])
    arrays.check("logits", logits)
    arrays.check("ce", torch.nn.functional.cross_entropy(logits, labels.repeat(2), reduction="none"))
    basis = torch.eye(len(labels), dtype=torch.float64) * len(labels)  # picks one sample's share of the weighted mean
    arrays.check("per_sample", torch.stack([sum(terms(row, beta=beta)[1].values()) for row in basis]))


def quality(arrays, case):
    norms = arrays.tensor("Q")
    base = {"h": arrays.scalar("hp.h"), "base": arrays.scalar("hp.w_base"), "source": "teacher"}

    def follow(**settings):
        """Weights of every step, and the moving mean and deviation after it."""
        module = Quality(QualitySettings(**{**base, **settings})).double()
        steps = [(module(q[:, None], q[:, None]), module.mean[1].clone(), module.deviation[1].clone()) for q in norms]
        return [torch.stack(values) for values in zip(*steps, strict=True)]

    momentum = arrays.scalar("hp.momentum")
    weights, mean, deviation = follow(momentum=momentum, clip=None)
    arrays.check("w", weights)
    arrays.check("mu_ema", mean)
    arrays.check("sigma_ema", deviation)
    arrays.check("w_clipped", follow(momentum=momentum)[0])
    arrays.check("w_batch", follow(momentum=0.0, clip=None)[0])
    adaface = follow(momentum=momentum, initial=(20.0, 100.0), norm_range=(0.001, 100.0))
    arrays.check("adaface_mean", adaface[1])
    arrays.check("adaface_std", adaface[2])
