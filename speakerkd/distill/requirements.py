"""Says before training whether a pair of networks can give what an objective needs, and what to change where not."""

from __future__ import annotations

from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.errors import InputError


def check_fit(method: type[Objective], settings: ObjectiveSettings, pair: Pair, where: str) -> None:
    """Refuse a pair of networks that cannot feed a method.

    Parameters
    ----------
    method, settings: the objective and its settings.
    pair: what the networks can give.
    where: what an error names, such as `distill[0]`.

    Raises
    ------
    InputError: with the reason and the nearest remedy.
    """
    needs = method.requirements(settings, pair)
    if settings.project and "embedding" not in needs:
        raise InputError(f"{settings.name} does not look at teacher embeddings here", where, "leave out project: true")
    for need, check in CHECKS.items():
        if need in needs and (fault := check(settings, pair)):
            raise InputError(f"{settings.name} does not fit this pair of networks: {fault[0]}", where, fault[1])


Fault = tuple[str, str] | None


def _logits(settings: ObjectiveSettings, pair: Pair) -> Fault:
    if fault := _student_logits(settings, pair):
        return fault
    if pair.teacher_classes is None:
        return (
            "it compares class scores, and the teacher gives embeddings without class scores",
            "run `speakerkd embed-teacher --classifier`, which trains one on them, and set teacher.classifier to "
            "teacher_classifier.safetensors",
        )
    if pair.classes < 2:
        return "it compares class scores, and there is one class", "use more classes"
    if pair.teacher_classes != pair.classes:
        return (
            f"the teacher scores {pair.teacher_classes} classes and the student {pair.classes}",
            "run `speakerkd embed-teacher --classifier` on the student's training data",
        )
    return None


def _student_logits(settings: ObjectiveSettings, pair: Pair) -> Fault:
    if pair.student_logits:
        return None
    return (
        "it needs the student's class scores, and the task loss has no classifier",
        "choose a task loss with a classifier, such as loss.name: softmax_prototypical",
    )


def _layout(settings: ObjectiveSettings, pair: Pair) -> Fault:
    if pair.same_layout:
        return None
    return (
        "it compares maps position by position, and the positions of two different kinds of input, such as a voice's "
        "time and frequency and a face's rows and columns, do not correspond",
        "use a method on embeddings, such as margin, fitnet, pkt or crd"
        + (", or hook: embedding" if "hook" in type(settings).model_fields else ""),
    )


def _maps(settings: ObjectiveSettings, pair: Pair) -> Fault:
    fallback = ", or hook: embedding" if "hook" in type(settings).model_fields else ""
    if not pair.teacher_maps:
        return (
            "it compares maps, and the teacher gives none: it is cached as embeddings, or an ONNX file",
            "set teacher.online: true, with a network that has maps (ir50, mobilefacenet, ...)" + fallback,
        )
    if not pair.student_maps:
        return "it compares maps, and the student gives none", "choose a convolutional student" + fallback
    return None


def _equal_dims(settings: ObjectiveSettings, pair: Pair) -> Fault:
    if settings.project or pair.teacher_dim == pair.student_dim:
        return None
    return (
        f"embeddings of {pair.student_dim} and {pair.teacher_dim} dimensions cannot be compared",
        "set project: true, which puts the trainable head on the teacher",
    )


def _labels(settings: ObjectiveSettings, pair: Pair) -> Fault:
    if pair.labels is not None and len(pair.labels) == pair.samples:
        return None
    return "it needs the class of every training sample", "give Pair.labels, one class for each of Pair.samples"


def _parts(settings: ObjectiveSettings, pair: Pair) -> Fault:
    if pair.disentangled:
        return None
    return (
        "it trains two disentangled networks side by side, and the teacher is frozen or one of the two gives no parts",
        "make both disentangled and set teacher.trainable: true",
    )


CHECKS = {
    "logits": _logits,
    "student_logits": _student_logits,
    "layout": _layout,
    "maps": _maps,
    "equal_dims": _equal_dims,
    "labels": _labels,
    "parts": _parts,
}
