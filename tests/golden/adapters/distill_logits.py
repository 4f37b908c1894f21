"""Golden adapters of the methods on class scores."""

from __future__ import annotations

from torch.nn.functional import cross_entropy

from adapters.objectives import batch_of, of_logits, one, scored
from speakerkd.distill.ctkd import strength
from speakerkd.distill.logits import standardise
from speakerkd.distill.mlkd import by_pairs, by_sample, unsure

PLAIN_AND_STANDARDISED = (("", False), ("_lskd", True))


def kd(arrays, case):
    student, teacher = arrays.tensor("s_logits", grad=True), arrays.tensor("t_logits")

    def loss(**settings):
        return one("kd", of_logits(student), **settings)(scored(student), scored(teacher), batch_of())["kd"]

    whole = loss(temperature=arrays.scalar("hp.T"))
    arrays.check("loss", whole)
    arrays.check_gradient(whole, {"s_logits": student})
    arrays.check("loss_T1_batchmean", loss(temperature=1.0, form="mfh"))
    arrays.check("loss_T1_mean", loss(temperature=1.0, form="mfh_mean"))


def lskd(arrays, case):
    student, teacher = arrays.tensor("s_logits", grad=True), arrays.tensor("t_logits")
    objective = one("kd", of_logits(student), standardise=True, temperature=arrays.scalar("hp.T"))
    loss = objective(scored(student), scored(teacher), batch_of())["kd"]
    arrays.check("loss", loss)
    arrays.check_gradient(loss, {"s_logits": student})
    arrays.check("s_standardised", standardise(student, eps=arrays.scalar("hp.eps")))


def dkd(arrays, case):
    temperature = arrays.scalar("hp.T")
    factors = {"alpha": arrays.scalar("hp.alpha"), "beta": arrays.scalar("hp.beta")}
    for tag, standardised in PLAIN_AND_STANDARDISED:
        student, teacher = arrays.tensor("s_logits", grad=True), arrays.tensor("t_logits")
        outputs = scored(student), scored(teacher), batch_of(arrays.tensor("labels"))
        settings = {"warm_up": 0, "standardise": standardised, "temperature": temperature}
        whole = sum(one("dkd", of_logits(student), **settings, **factors)(*outputs).values())
        arrays.check(f"loss{tag}", whole)
        arrays.check_gradient(whole, {"s_logits": student}, f"grad{tag}")
        parts = one("dkd", of_logits(student), **settings, alpha=1.0, beta=1.0)(*outputs)
        for part, term in (("tckd", "dkd_target"), ("nckd", "dkd_others")):
            arrays.check(f"loss{tag}_{part}", parts[term])
            arrays.check_gradient(parts[term], {"s_logits": student}, f"grad{tag}_{part}")


def ctkd(arrays, case):
    settings = {"temperature": arrays.scalar("hp.t_start"), "span": arrays.scalar("hp.t_end")}
    for tag, standardised in PLAIN_AND_STANDARDISED:
        student, teacher = arrays.tensor("s_logits", grad=True), arrays.tensor("t_logits")
        first = arrays.scalar("global_T")
        objective = one("ctkd", of_logits(student), standardise=standardised, first=first, **settings)
        objective.g.data.fill_(first)  # whole precision, where a parameter starts in float32
        objective.start_step(arrays.scalar("hp.epoch") - 1 + 0.5)  # epochs are counted from 1 there, from 0 here
        arrays.check("temperature", objective.temperature())
        loss = objective(scored(student), scored(teacher), batch_of())["ctkd"]
        arrays.check(f"loss{tag}", loss)
        arrays.check_gradient(loss, {"s_logits": student, "global_T": objective.g}, f"grad{tag}")
    arrays.check("lambda_", strength(arrays.scalar("hp.epoch")))
    for kind in ("cosine", "linear"):
        table = [strength(epoch, 10, kind) for epoch in range(len(arrays[f"{kind}_decay_table"]))]
        arrays.check(f"{kind}_decay_table", table)


def mlkd(arrays, case):
    labels, temperatures = arrays.tensor("labels"), arrays["hp.temps"].tolist()
    assert temperatures[0] == arrays.scalar("hp.T")
    settings = {
        "task_weight": arrays.scalar("hp.ce_weight"),
        "ce_weight": arrays.scalar("hp.ce_weight"),
        "kd_weight": arrays.scalar("hp.kd_weight"),
        "temperature": temperatures[0],
        "others": temperatures[1:],
    }
    for tag, standardised in PLAIN_AND_STANDARDISED:
        s_weak, s_strong = (arrays.tensor(f"s_logits_{view}", grad=True) for view in ("weak", "strong"))
        t_weak, t_strong = (arrays.tensor(f"t_logits_{view}") for view in ("weak", "strong"))
        objective = one("mlkd", of_logits(s_weak), standardise=standardised, **settings)
        terms = objective(scored(s_weak, s_strong), scored(t_weak, t_strong), batch_of(labels))
        task = objective.task_weight * cross_entropy(s_weak, labels)  # what the training loop adds
        arrays.check(f"loss_ce{tag}", task + terms["mlkd_ce"])
        for part, term in (("kd", "mlkd_sample"), ("cc", "mlkd_class"), ("bc", "mlkd_batch")):
            arrays.check(f"loss_{part}{tag}", terms[term])
        total = task + sum(terms.values())
        arrays.check(f"loss{tag}", total)
        arrays.check_gradient(total, {"s_logits_weak": s_weak, "s_logits_strong": s_strong}, f"grad{tag}")
    samples, classes = unsure(t_weak)
    arrays.check("sample_mask", samples)
    arrays.check("class_mask", classes)
    arrays.check("kd_T3", by_sample(s_weak, t_weak, 3.0).mean())
    of_samples, of_classes = by_pairs(s_weak, t_weak, 3.0)
    arrays.check("cc_T3", of_classes.mean())
    arrays.check("bc_T3", of_samples.mean())
