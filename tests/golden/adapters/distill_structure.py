"""Golden adapters of the second and third paper's losses."""

from __future__ import annotations

import torch
from torch import nn

from adapters.objectives import batch_of, one, pair_of
from speakerkd.distill.dimensional import column_cosines, log_mean_kernel, on_and_off_diagonal
from speakerkd.distill.disentangled import Parts
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


def split(arrays, x, side, classifier, labels):
    """One network's parts from its two encoders' output, and the projection that made z_inv."""
    classes, double = arrays[f"mod.{classifier}.weight"].shape
    dim = double // 2
    projection = nn.Sequential(nn.Linear(2 * dim, dim), nn.BatchNorm1d(dim), nn.ReLU())
    arrays.load(projection, f"mod.{side}", inner)
    inv, inf, irr = projection(x[:, : 2 * dim]), x[:, 2 * dim : 3 * dim], x[:, 3 * dim :]
    logits = arrays.load(nn.Linear(double, classes), f"mod.{classifier}")(torch.cat([inv, inf], 1))
    return Parts(inv, inf, irr, logits, arrays.tensor(labels)), projection


def inner(name):
    return name.replace("l1.", "0.").replace("bn1.", "1.").removeprefix("block.0.")


def discomkd(arrays, case):
    classes, double = arrays["mod.task_cl.weight"].shape
    given = {"classes": classes, "teacher_classes": classes, "trainable_teacher": True}
    maps = [(double // 2, 1, 1)]
    pair = pair_of(double, double, student_maps=maps, teacher_maps=maps, **given)
    for tag, targets in (("ref", "official"), ("paper", "paper")):
        objective = one("disentangled", pair, targets=targets, reversal=arrays.scalar("hp.lambda"))
        heads = {"of_inv": "discr", "of_inf": "task_dom", "of_irr": "task_dom2", "of_class": "task_cl3"}
        for ours, theirs in heads.items():
            arrays.load(getattr(objective, ours), f"mod.{theirs}", inner)
        x_f, x_s = arrays.tensor("x_f", grad=True), arrays.tensor("x_s", grad=True)
        first, projection = split(arrays, x_f, "projF", "task_cl", "y_f")
        second, _ = split(arrays, x_s, "projS", "task_cl2", "y_s")
        known = {"z_inv_f": first.inv, "z_inf_f": first.inf, "z_irr_f": first.irr, "z_inv_s": second.inv}
        for name, value in {**known, "pred_f": first.logits, "pred_s": second.logits}.items():
            arrays.check(name, value)
        terms = objective.losses(first, second)
        names = {"cl": "task", "adv": "adversarial", "mod": "modality", "aux": "auxiliary", "ortho": "orthogonal"}
        for theirs, ours in names.items():
            arrays.check(f"{tag}_loss_{theirs}", terms[f"disentangled_{ours}"])
        total = sum(terms.values())
        arrays.check(f"{tag}_loss", total)
        arrays.check_gradient(total, {"x_f": x_f, "x_s": x_s}, f"{tag}_grad")
        for prefix, module in (("discr", objective.of_inv), ("projF", projection)):
            arrays.check_parameters(total, module, prefix, inner, f"{tag}_grad")
        check_forward(arrays, tag, objective, first, second)


def check_forward(arrays, tag, objective, first, second):
    """The same through Outputs, which one batch of labels goes with."""
    if not torch.equal(first.label, second.label):
        return
    outputs = [Output(torch.cat([p.inv, p.inf], 1), p.logits, [p.irr[:, :, None, None]]) for p in (first, second)]
    arrays.check(f"{tag}_loss", sum(objective(*outputs, batch_of(first.label)).values()))
