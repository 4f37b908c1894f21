"""Golden adapters of the methods on maps."""

from __future__ import annotations

import torch

from adapters.objectives import batch_of, of_maps, one, seen
from speakerkd.distill.fsp import flow


def maps_of(arrays):
    """The lists of student maps, to differentiate by, and of teacher maps."""
    return arrays.tensors("s_feat", grad=True), arrays.tensors("t_feat")


def map_of(arrays):
    """The one student map, to differentiate by, and the one teacher map."""
    return arrays.tensor("s_feat", grad=True), arrays.tensor("t_feat")


def by_name(maps):
    return {f"s_feat.{i}": f for i, f in enumerate(maps)}


def fitnet(arrays, case):
    student, teacher = map_of(arrays)
    objective = one("fitnet", of_maps([student], [teacher]), student_layer=0, teacher_layer=0)

    def rename(name):
        return name.replace("conv.", "0.").replace("bn.", "1.")

    arrays.load(objective.regressor, "mod", rename)
    arrays.check("regressed", objective.regressor(student))
    loss = objective(seen([student]), seen([teacher]), batch_of())["fitnet"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_feat": student})
    arrays.check_parameters(loss, objective.regressor, "mod", rename)


def at(arrays, case):
    if "hp.p" in arrays:
        by_layer("at", arrays, p=arrays.scalar("hp.p"))
        return
    for p in [int(name.removeprefix("loss_p")) for name in arrays if name.startswith("loss_p")]:
        student, teacher = map_of(arrays)
        loss = one("at", of_maps([student], [teacher]), p=p)(seen([student]), seen([teacher]), batch_of())["at"]
        arrays.check(f"loss_p{p}", loss)
        arrays.check_gradient(loss, {"s_feat": student}, f"grad_p{p}")


def nst(arrays, case):
    by_layer("nst", arrays)


def by_layer(name, arrays, **settings):
    """A method that adds up layers."""
    student, teacher = maps_of(arrays)
    objective = one(name, of_maps(student, teacher), **settings)
    arrays.check("loss_per_layer", torch.stack(objective.by_layer(student, teacher)))
    loss = objective(seen(student), seen(teacher), batch_of())[name]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, by_name(student))


def fsp(arrays, case):
    student, teacher = maps_of(arrays)
    objective = one("fsp", of_maps(student, teacher))
    arrays.check("loss_per_pair", torch.stack(objective.by_pair(student, teacher)))
    for i in range(len(student) - 1):
        arrays.check(f"s_fsp.{i}", flow(student[i], student[i + 1]))
    loss = objective(seen(student), seen(teacher), batch_of())["fsp"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, by_name(student))


def vid(arrays, case):
    student, teacher = map_of(arrays)
    objective = one("vid", of_maps([student], [teacher]), variance=arrays.scalar("hp.init_pred_var"))
    layer = objective.layers[0]
    arrays.check("log_scale_init", layer.log_scale, rtol=1e-6)  # a parameter starts in float32
    arrays.unused("hp.eps", why="a constant of the method, seen in every result")

    def rename(name):
        return name.replace("regressor.", "mean.")

    arrays.load(layer, "mod", rename)
    loss = objective(seen([student]), seen([teacher]), batch_of())["vid"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_feat": student})
    arrays.check_parameters(loss, layer, "mod", rename)


def semckd(arrays, case):
    student, teacher = maps_of(arrays)
    objective = one("semckd", of_maps(student, teacher, batch=len(student[0])))

    def rename(name):
        part, _, rest = name.partition(".")
        if part.startswith("regressor"):
            i, j = part.removeprefix("regressor")
            return f"regressors.{i}.{j}.{rest.removeprefix('regressor.')}"
        kind, number = part.split("_weight")
        return f"{'queries' if kind == 'query' else 'keys'}.{number}.{rest}"

    arrays.load(objective, "mod", rename)
    arrays.check("attention", objective.attention(student, teacher))
    loss = objective(seen(student), seen(teacher), batch_of())["semckd"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, by_name(student))
    arrays.check_parameters(loss, objective, "mod", rename)


def simkd(arrays, case):
    student, teacher = map_of(arrays)
    objective = one("simkd", of_maps([student], [teacher]), factor=arrays.scalar("hp.factor"))

    def rename(name):
        return name.removeprefix("transfer.")

    arrays.load(objective.projector, "mod", rename)
    projected, target = objective.project(seen([student]), seen([teacher]))
    arrays.check("projected_s", projected)
    arrays.check("target_t", target)
    arrays.check("pred_logits", objective.predict(projected, arrays.tensor("cls_weight"), arrays.tensor("cls_bias")))
    loss = objective(seen([student]), seen([teacher]), batch_of())["simkd"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_feat": student})
    arrays.check_parameters(loss, objective.projector, "mod", rename)


def ickd(arrays, case):
    student, teacher = map_of(arrays)

    def rename(name):
        return name.replace("conv2d", "conv").replace("l2norm", "norm")

    for tag, reduction in (("", "cifar"), ("_imagenet", "imagenet")):
        objective = one("ickd", of_maps([student], [teacher]), reduction=reduction)
        arrays.load(objective, "mod", rename)
        loss = objective(seen([student]), seen([teacher]), batch_of())["ickd"]
        arrays.check(f"loss{tag}", loss)
        if reduction == "cifar":
            arrays.check_gradient(loss, {"s_feat": student})
            arrays.check_parameters(loss, objective, "mod", rename)
