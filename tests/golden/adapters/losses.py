"""Golden adapters of speakerkd.losses, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py."""

from __future__ import annotations

import torch

from speakerkd.losses import build_loss


def accuracy(scores, labels):
    """Percent of rows whose greatest score is the label's."""
    return 100.0 * (scores.argmax(1) == labels).double().mean()


def angleproto(arrays, case):
    x = arrays.tensor("x", grad=True)
    settings = {
        "name": "prototypical",
        "utterances": x.shape[1],
        "scale": arrays.scalar("w"),
        "offset": arrays.scalar("b"),
    }
    loss = build_loss(settings, x.shape[2], x.shape[0]).double()
    terms, _ = loss(x.flatten(0, 1), torch.arange(len(x)))
    arrays.check("loss", terms["prototypical"])
    arrays.check_gradient(terms["prototypical"], {"x": x, "w": loss.scale, "b": loss.offset})
    arrays.check("prec1", accuracy(loss.similarities(x.flatten(0, 1)), torch.arange(len(x))), rtol=1e-6)


def softmaxproto(arrays, case):
    x, labels = arrays.tensor("x", grad=True), arrays.tensor("labels")
    classes, dim = arrays["fc_weight"].shape
    settings = {
        "name": "softmax_prototypical",
        "utterances": x.shape[1],
        "scale": arrays.scalar("hp.w"),
        "offset": arrays.scalar("hp.b"),
    }
    loss = build_loss(settings, dim, classes).double()
    loss.classifier.load_state_dict({"weight": arrays.tensor("fc_weight"), "bias": arrays.tensor("fc_bias")})
    terms, logits = loss(x.flatten(0, 1), labels.repeat_interleave(x.shape[1]))
    total = sum(terms.values())
    arrays.check("loss_softmax", terms["softmax"])
    arrays.check("loss_angleproto", terms["prototypical"])
    arrays.check("loss", total)
    inputs = {"x": x, "fc_weight": loss.classifier.weight, "fc_bias": loss.classifier.bias}
    arrays.check_gradient(total, inputs)
    arrays.check("prec1", accuracy(logits, labels.repeat_interleave(x.shape[1])), rtol=1e-6)


def aamsoftmax(arrays, case):
    labels = arrays.tensor("labels")
    classes, dim = arrays["weight"].shape
    variants = {
        "": {"name": "aam"},
        "_easy": {"name": "aam", "easy": True},
        "_wespeaker": {"name": "aam", "beyond": "cosine"},
        "_am": {"name": "am"},
    }
    for tag, variant in variants.items():
        x = arrays.tensor("x", grad=True)
        settings = {**variant, "margin": arrays.scalar("hp.margin"), "scale": arrays.scalar("hp.scale")}
        loss = build_loss(settings, dim, classes).double()
        loss.classifier.load_state_dict({"weight": arrays.tensor("weight")})
        (value,) = loss(x, labels)[0].values()
        arrays.check(f"loss{tag}", value)
        inputs = {"x": x, "weight": loss.classifier.weight}
        stored = {name: inputs[name] for name in inputs if f"grad{tag}.{name}" in arrays}
        arrays.check_gradient(value, stored, f"grad{tag}")
        if f"prec1{tag}" in arrays:
            scores = loss.with_margin(loss.classifier.cosines(x), labels)
            arrays.check(f"prec1{tag}", accuracy(scores, labels), rtol=1e-6)


ADAPTERS = {"angleproto": angleproto, "softmaxproto": softmaxproto, "aamsoftmax": aamsoftmax}
