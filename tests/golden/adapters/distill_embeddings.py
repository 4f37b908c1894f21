"""Golden adapters of the methods on embeddings."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from adapters.objectives import batch_of, of_maps, one, pair_of, seen
from speakerkd.tensors import Output


def features_of(arrays):
    """The student's features, to differentiate by, and the teacher's."""
    return arrays.tensor("s_feat", grad=True), arrays.tensor("t_feat")


def without_linear(name):
    return name.removeprefix("linear.")


def fitnet_vec(arrays, case):
    for tag, regressor in (("", "relu"), ("_linear", "linear")):
        student, teacher = features_of(arrays)
        pair = pair_of(student.shape[1], teacher.shape[1])
        objective = one("fitnet", pair, hook="embedding", regressor=regressor)

        def rename(name):
            return name.replace("linear", "0")

        arrays.load(objective.regressor, "mod", rename)
        loss = objective(Output(student), Output(teacher), batch_of())["fitnet"]
        arrays.check(f"loss{tag}", loss)
        arrays.check_gradient(loss, {"s_feat": student}, f"grad{tag}")
        if regressor == "relu":
            arrays.check("regressed", objective.regressor(student))
            arrays.check_parameters(loss, objective.regressor, "mod", rename)


def sp(arrays, case):
    student, teacher = features_of(arrays)
    if student.ndim == 4:
        pair, outputs = of_maps([student], [teacher]), (seen([student]), seen([teacher]))
    else:
        pair, outputs = pair_of(student.shape[1], teacher.shape[1]), (Output(student), Output(teacher))
    loss = one("sp", pair)(*outputs, batch_of())["sp"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_feat": student})


def cc(arrays, case):
    student, teacher = features_of(arrays)
    dim = len(arrays["mod_s.linear.bias"])
    objective = one("cc", pair_of(student.shape[1], teacher.shape[1]), dim=dim)
    sides = {"mod_s": objective.of_student, "mod_t": objective.of_teacher}
    for prefix, module in sides.items():
        arrays.load(module, prefix, without_linear)
    loss = objective(Output(student), Output(teacher), batch_of())["cc"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_feat": student})
    for prefix, module in sides.items():
        arrays.check_parameters(loss, module, prefix, without_linear)


def cc_paper(arrays, case):
    shape = {"gamma": arrays.scalar("hp.gamma"), "order": arrays.scalar("hp.P"), "normalise": False}
    for kernel in ("gaussian", "bilinear"):
        for reduction in ("batchmean", "sum"):
            z_s, z_t = arrays.tensor("z_s", grad=True), arrays.tensor("z_t")
            objective = one("cc", pair_of(), kernel=kernel, distance="norm", **shape)
            loss = objective.compare(z_s, z_t) * (1 if reduction == "batchmean" else len(z_s) ** 2)
            arrays.check(f"loss_{kernel}_{reduction}", loss)
            arrays.check_gradient(loss, {"z_s": z_s}, f"grad_{kernel}_{reduction}")
        squared = one("cc", pair_of(), kernel=kernel, distance="square", **shape).compare(z_s, z_t)
        arrays.check(f"loss_{kernel}_sum", (squared * len(z_s) ** 2).sqrt())


def rkd(arrays, case):
    student, teacher = features_of(arrays)

    def terms(distance, angle):
        return one("rkd", pair_of(), distance=distance, angle=angle)(Output(student), Output(teacher), batch_of())

    whole = sum(terms(arrays.scalar("hp.w_d"), arrays.scalar("hp.w_a")).values())
    arrays.check("loss", whole)
    arrays.check_gradient(whole, {"s_feat": student})
    parts = terms(1.0, 1.0)
    for part in ("distance", "angle"):
        arrays.check(f"loss_{part}", parts[f"rkd_{part}"])
        arrays.check_gradient(parts[f"rkd_{part}"], {"s_feat": student}, f"grad_{part}")


def pkt(arrays, case):
    student, teacher = features_of(arrays)
    arrays.unused("hp.eps", why="a constant of the method, seen in every result")
    loss = one("pkt", pair_of(student.shape[1], teacher.shape[1]))(Output(student), Output(teacher), batch_of())["pkt"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_feat": student})


def crd(arrays, case):
    samples, dim, negatives = (arrays.scalar(f"hp.{name}") for name in ("n_data", "feat_dim", "K"))
    labels = torch.arange(samples) % 2  # the file gives the draws, so the classes do not matter
    pair = pair_of(arrays["s_feat"].shape[1], arrays["t_feat"].shape[1], samples=samples, labels=labels)
    settings = {"temperature": arrays.scalar("hp.T"), "momentum": arrays.scalar("hp.momentum")}
    objective = one("crd", pair, dim=dim, negatives=negatives, **settings)
    arrays.load(objective.of_student, "embed_s", without_linear)
    arrays.load(objective.of_teacher, "embed_t", without_linear)
    objective.memory_student.copy_(arrays.tensor("memory_v1_before"))
    objective.memory_teacher.copy_(arrays.tensor("memory_v2_before"))
    for call in ("", "_2"):
        student, teacher = arrays.tensor(f"s_feat{call}", grad=True), arrays.tensor(f"t_feat{call}")
        index = arrays.tensor(f"contrast_idx{call}")
        assert (index[:, 0] == arrays.tensor(f"idx{call}")).all()
        assert index.shape[1] == negatives + 1
        loss = objective.contrast(student, teacher, index)
        arrays.check(f"loss{call}", loss)
        arrays.check_gradient(loss, {f"s_feat{call}": student})
        arrays.check(f"memory_v1_after{call}", objective.memory_student)
        arrays.check(f"memory_v2_after{call}", objective.memory_teacher)
        if not call:
            arrays.check_parameters(loss, objective.of_student, "embed_s", without_linear)
            arrays.check_parameters(loss, objective.of_teacher, "embed_t", without_linear)
            resolved = objective.settings
            arrays.check("params_after", [negatives, resolved.temperature, *objective.z.tolist(), resolved.momentum])


def ccl(arrays, case):
    student, teacher = arrays.tensor("f_v", grad=True), arrays.tensor("f_t")
    logits, labels = arrays.tensor("logits_s", grad=True), arrays.tensor("labels")
    pair = pair_of(student.shape[1], teacher.shape[1], classes=logits.shape[1])
    settings = {"temperature": arrays.scalar("hp.tau"), "divergence": arrays.scalar("hp.jsd_weight")}
    objective = one("ccl", pair, **settings)
    arrays.load(objective, "mod")
    composed = objective.compose(student, teacher)
    arrays.check("f_m", composed)
    arrays.check("logits_m", objective.fc(composed))
    arrays.check("nce_v_t_oneway", objective.contrast(student, teacher, labels))
    parts = objective.relations(student, teacher, logits, labels)
    names = {"nce_vm": "vm", "nce_vt": "vt", "nce_mt": "mt", "jsd": "divergence", "ce_m": "entropy"}
    for theirs, ours in names.items():
        arrays.check(theirs, parts[ours])
    terms = objective(Output(student, logits), Output(teacher), batch_of(labels))
    task = cross_entropy(logits, labels)  # what the training loop adds
    arrays.check("ce_s", task)
    arrays.check("loss_student", task + terms["ccl_student"])
    arrays.check("loss_comp", terms["ccl_composition"])
    total = task + sum(terms.values())
    arrays.check_gradient(total, {"f_v": student, "logits_s": logits})
    arrays.check_parameters(total, objective, "mod")


def clip(arrays, case):
    image, text = arrays.tensor("image", grad=True), arrays.tensor("text", grad=True)
    labels, scale = arrays.tensor("labels"), arrays.scalar("hp.logit_scale")

    def contrast(**settings):
        objective = one("clip", pair_of(image.shape[1], text.shape[1]), logit_scale=scale, **settings)
        objective.logit_scale.data.fill_(scale)  # whole precision, where a parameter starts in float32
        return objective, objective(Output(image), Output(text), batch_of(labels))["clip"]

    objective, loss = contrast()
    scores = objective.scores(image, text)
    arrays.check("logits_per_image", scores)
    rows, columns = objective.both_ways(scores, labels)
    arrays.check("loss_image", rows)
    arrays.check("loss_text", columns)
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"image": image, "text": text, "logit_scale": objective.logit_scale})
    arrays.check("loss_label_aware", contrast(label_aware=True)[1])
