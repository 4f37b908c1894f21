"""A trained model leaves the workshop: ONNX files with their threshold, or a folder with a model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import torch

from speakerkd.api import Model, load
from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation.metrics import eer, sort_scores
from speakerkd.evaluation.protocol import Protocol, scores, vectors
from speakerkd.evaluation.recordings import audio_under
from speakerkd.frontend.mtcnn_onnx import NETWORKS
from speakerkd.models.onnx_export import Exported, export_onnx
from speakerkd.models.onnx_faces import write_faces
from speakerkd.models.trained_model import DESCRIPTION, WEIGHTS, read_description
from speakerkd.onnx_model import OnnxModel
from speakerkd.version import __version__
from speakerkd.work.files import whole_dir, write_json
from speakerkd.work.records import read_json

MOST_EER = 0.001  # between torch's EER on a list and the exported files', a share


def export_model(
    experiment: Path | str,
    to: Path | str | None = None,
    *,
    reads: Literal["waveform", "fbank"] = "fbank",
    int8: bool = False,
    faces: bool = True,
    teacher_weights: Path | str | None = None,
    trials: Path | str | None = None,
    audio_root: Path | str | None = None,
    most_eer: float = MOST_EER,
) -> Exported:
    """Export an experiment as ONNX files, with the threshold that `verify` would use; see `export_onnx`.

    Parameters
    ----------
    faces: for a model that a face network taught, add the detector and that network, so that `match` runs too. Where
        the teacher's weights are not at hand, onnx.json says so under `no_faces`.
    trials, audio_root: a labelled list, and the folder that its paths start from: its EER is computed by torch and by
        the files, and more than `most_eer` (a share) between them is refused.

    Raises
    ------
    InputError: where the files differ from torch, in embeddings or EER; nothing then stays.
    """
    model = load(experiment, device="cpu", teacher_weights=teacher_weights)
    model.package.to("cpu", torch.float32)  # what the files compute in
    threshold, source = model.threshold
    record = {"threshold": threshold, "threshold_source": source if threshold is not None else ""}
    target = Path(to) if to is not None else Path(experiment) / "onnx"
    if (trials is None) != (audio_root is None):
        raise InputError("a list without its recordings' folder, or the other way round", "export", "give both")

    def more(folder: Path) -> dict[str, Any]:
        if not faces or model.package.teacher is None:
            return {}
        try:
            return {"faces": write_faces(model.face_teacher, folder)}
        except InputError as error:
            for name in (*NETWORKS, "face"):
                (folder / f"{name}.onnx").unlink(missing_ok=True)
            return {"no_faces": str(error)}

    def check(folder: Path) -> dict[str, Any]:
        if trials is None or audio_root is None:
            return {}
        ours, theirs = eer_both(model, OnnxModel(folder), Path(trials), Path(audio_root))
        if abs(ours - theirs) > most_eer:
            what = f"EER {100 * theirs:.3f} % by the exported files, {100 * ours:.3f} % by torch on {trials}"
            raise InputError(what, target, "export without --int8" if int8 else "report this network")
        return {"eer": {"list": Path(trials).name, "torch": ours, "onnx": theirs}}

    return export_onnx(model.package, target, reads=reads, int8=int8, record=record, more=more, check=check)


def eer_both(model: Model, exported: OnnxModel, trials: Path, root: Path) -> tuple[float, float]:
    """The EER (a share) of a labelled list under the model's protocol, by torch and by exported files."""
    listed = read_trials(trials)
    if listed.label is None:
        raise InputError("a list without labels", trials, "give one whose trials are marked as target or not")
    sides = []
    for names in (listed.enrol_names, listed.test_names):
        sounds, reasons = audio_under(root, names)
        if reasons:
            name, why = next(iter(reasons.items()))
            raise InputError(f"{len(reasons)} recordings missing, {name}: {why}", trials, "give another --audio-root")
        sides.append([sounds[name].path for name in names])
    protocol = Protocol(name=model.package.protocol)
    eers = []
    for one in (model, exported):
        enrol, test = (vectors(protocol, one.embed(files, protocol.name)) for files in sides)
        eers.append(eer(sort_scores(scores(protocol, enrol, test, listed.enrol, listed.test), listed.label)))
    return eers[0], eers[1]


def export_card(experiment: Path | str, to: Path | str | None = None) -> Path:
    """Write a folder in Hugging Face's layout: README.md (the model card), model.safetensors, model.json.

    `speakerkd.load` takes the folder. Raises InputError where the folder is there already.
    """
    experiment = Path(experiment)
    described = read_description(experiment)
    if not (experiment / WEIGHTS).is_file():
        raise InputError(f"no {WEIGHTS} here", experiment, "train the model again, or copy its folder again")
    target = Path(to) if to is not None else experiment / "card"
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError("there is a folder here already", target, "give another with --to, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_dir(target) as part:
        for name in (WEIGHTS, DESCRIPTION, "calibration.json", "results.json"):
            if (experiment / name).is_file():
                shutil.copy(experiment / name, part / name)
        if described.teacher is not None:
            shared = described.model_copy(update={"teacher": described.teacher.elsewhere()})
            write_json(part / DESCRIPTION, shared.model_dump(mode="json"))
        (part / "README.md").write_text(_card(experiment, described.model_dump()), encoding="utf-8")
    return target


def _card(experiment: Path, described: dict[str, Any]) -> str:
    """The model card's text."""
    student, frontend = described["student"], described["frontend"] or {}
    teacher = described["teacher"]
    origin = described["origin"]
    taught = f"taught by the frozen network `{teacher['name']}`" if teacher else "trained without a teacher"
    source = f"imported from {origin['project']} ({origin['file']})" if origin else f"trained here, {taught}"
    return f"""---
license: other
library_name: speakerkd
tags: [speaker-verification, speaker-recognition, audio]
---

# {experiment.resolve().name}

A speaker-verification network, `{student.get("name")}`, {source}. Recordings at {frontend.get("rate", 16000)} Hz become
embeddings; two recordings are compared by protocol `{described["protocol"]}`.

    import speakerkd
    model = speakerkd.load("owner/name")    # or a folder
    model.verify("a.wav", "b.wav")

## Training data

{len(described["labels"])} speakers. Say here which corpus they come from, and under which licence it is.

## Results

{_results(experiment / "results.json")}

## Intended use

Research on speaker verification, and verification of people who agreed to it, at a threshold that was set on recordings
like those it will hear. Not for finding people in recordings of others, nor for decisions about people without a human
who can correct them.

## Limits

Embeddings of voices are biometric data: in many places storing and comparing them needs the consent of the person.
Error rates differ between languages, channels, ages and genders, and are known for the lists above alone. The
threshold of one list is not that of another. Recorded and synthetic voices are not detected.

## Licence

State the licence of these weights here; speakerkd itself ({__version__}) is Apache-2.0. {_taught_by(teacher)}
"""


def _taught_by(teacher: dict[str, Any] | None) -> str:
    """What a model owes to its teacher's licence."""
    if teacher is None:
        return ""
    return (
        f"The weights of the teacher `{teacher['name']}` are not in this folder: they, and perhaps what was trained "
        "with them, are under the licence of those who published them, often for research alone."
    )


def _results(path: Path) -> str:
    if not path.is_file():
        return "No list has been scored with this model yet (`speakerkd score`)."
    scores = read_json(path, dict[str, Any], "score a list again").get("scores", {})
    rows = ["| list, protocol | trials | EER % | 95 % interval |", "|---|---:|---:|---|"]
    for name, entry in sorted(scores.items()):
        ends = entry.get("eer_interval_percent") or entry.get("eer_interval")
        interval = f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else "-"
        rows.append(f"| {name} | {entry.get('trials', '-')} | {entry.get('eer_percent', '-')} | {interval} |")
    return "\n".join(rows) if len(rows) > 2 else "No list has been scored with this model yet (`speakerkd score`)."
