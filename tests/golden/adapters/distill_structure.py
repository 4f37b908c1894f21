"""Golden adapters of the second and third paper's losses."""

from __future__ import annotations

import torch
from torch import nn

from adapters.objectives import batch_of, one, pair_of
from speakerkd.distill.dimensional import column_cosines, log_mean_kernel, on_and_off_diagonal
from speakerkd.distill.disentangled import Parts
from speakerkd.models.disentangled import DisentangledBranch
from speakerkd.tensors import Output


def sem(arrays, case):
    factor = arrays.scalar("hp.lam")
    for tag, center in (("", False), ("_centered", True)):
        z1, z2 = arrays.tensor("z1", grad=True), arrays.tensor("z2", grad=True)
        cosines = column_cosines(z1, z2, center)
        arrays.check(f"C{tag}", cosines)
        on, off = on_and_off_diagonal(cosines)
        arrays.check(f"loss_on{tag}", on)
        arrays.check(f"loss_off{tag}", off)
        dim = z1.shape[1]
        objective = one("dimensional", pair_of(dim, dim), off_diagonal=factor, center=center, dim=dim, gamma_sem=1.0)
        objective.of_student = objective.of_teacher = nn.Identity()  # the file's are projected already
        terms = objective(Output(z1), Output(z2), batch_of())
        loss = terms["sem_1"] + terms["sem_2"]
        arrays.check(f"loss{tag}", loss)
        arrays.check_gradient(loss, {"z1": z1, "z2": z2}, f"grad{tag}")
    z1, z2 = arrays.tensor("z1", grad=True), arrays.tensor("z2")
    on, off = on_and_off_diagonal(column_cosines(z1, z2, center=True, eps=1e-5))
    arrays.check("barlow_loss", on + factor * off)
    arrays.check_gradient(on + factor * off, {"z1": z1}, "grad_barlow")


def dcm(arrays, case):
    sigma = arrays.scalar("hp.sigma")
    for tag, sign in (("", 1), ("_text_sign", -1)):
        t1, t2 = arrays.tensor("t1", grad=True), arrays.tensor("t2")
        dim = t1.shape[1]
        settings = {"gamma_dcm": 1.0, "sem_1": False, "sem_2": False, "normalise": False, "sigma": sigma}
        terms = one("dimensional", pair_of(dim, dim), cross_sign=sign, **settings)(Output(t1), Output(t2), batch_of())
        arrays.check("loss_self", terms["dcm_1"])
        arrays.check("loss_cross", sign * terms["dcm_2"])
        loss = terms["dcm_1"] + terms["dcm_2"]
        arrays.check(f"loss{tag}", loss)
        arrays.check_gradient(loss, {"t1": t1}, f"grad{tag}")
    count = len(t1)
    others = (log_mean_kernel(t1, t1, sigma).exp() * count**2 - count) / (count * (count - 1))  # pairs i != j alone
    arrays.check("uniform_loss", others.log())
    arrays.check_gradient(others.log(), {"t1": t1}, "grad_uniform")


class Half(nn.Module):
    """Stands where an encoder does: the half of the file's encoder outputs that is its own."""

    def __init__(self, dim, which):
        super().__init__()
        self.dim, self.which = dim, which

    def forward(self, x, maps=False):
        return Output(x.chunk(2, 1)[self.which])


def branch(arrays, side, classifier):
    """A modality's network over the stored outputs of its two encoders."""
    classes, dim = arrays[f"mod.{classifier}.weight"].shape
    network = DisentangledBranch(Half(dim, 0), Half(dim, 1), classes)
    arrays.load(network.projection, f"mod.{side}", inner)
    arrays.load(network.classifier, f"mod.{classifier}")
    return network


def inner(name):
    return name.replace("l1.", "0.").replace("bn1.", "1.").removeprefix("block.0.")


def discomkd(arrays, case):
    classes, dim = arrays["mod.task_cl.weight"].shape
    pair = pair_of(dim, dim, classes=classes, disentangled=True)
    for tag, targets in (("ref", "official"), ("paper", "paper")):
        objective = one("disentangled", pair, targets=targets, reversal=arrays.scalar("hp.lambda"))
        heads = {"of_inv": "discr", "of_inf": "task_dom", "of_irr": "task_dom2", "of_class": "task_cl3"}
        for ours, theirs in heads.items():
            arrays.load(getattr(objective, ours), f"mod.{theirs}", inner)
        networks = branch(arrays, "projF", "task_cl"), branch(arrays, "projS", "task_cl2")
        inputs = {name: arrays.tensor(name, grad=True) for name in ("x_f", "x_s")}
        outputs = [network(x) for network, x in zip(networks, inputs.values(), strict=True)]
        for name, value in zip(("z_inv_f", "z_inf_f", "z_irr_f"), outputs[0].parts, strict=True):
            arrays.check(name, value)
        known = {"z_inv_s": outputs[1].parts[0], "pred_f": outputs[0].logits, "pred_s": outputs[1].logits}
        for name, value in known.items():
            arrays.check(name, value)
        labels = arrays.tensor("y_f"), arrays.tensor("y_s")
        parts = [Parts(*o.parts, o.logits, label) for o, label in zip(outputs, labels, strict=True)]
        terms = objective.losses(*parts)
        names = {"cl": "task", "adv": "adversarial", "mod": "modality", "aux": "auxiliary", "ortho": "orthogonal"}
        for theirs, ours in names.items():
            arrays.check(f"{tag}_loss_{theirs}", terms[f"disentangled_{ours}"])
        total = sum(terms.values())
        arrays.check(f"{tag}_loss", total)
        arrays.check_gradient(total, inputs, f"{tag}_grad")
        for prefix, module in (("discr", objective.of_inv), ("projF", networks[0].projection)):
            arrays.check_parameters(total, module, prefix, inner, f"{tag}_grad")
        if torch.equal(*labels):  # the way of a training run, where one batch of labels goes with both
            arrays.check(f"{tag}_loss", sum(objective(*outputs, batch_of(labels[0])).values()))
