"""Verbs that use a trained model: match voices and faces, verify two recordings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speakerkd.cli.evaluate import Device, Model

if TYPE_CHECKING:
    from speakerkd.api import Match

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command()(match)
    app.command("match-test")(match_test)
    app.command()(verify)


def match(
    *,
    audio: Annotated[Path | None, typer.Option(help="a recording, with --faces", show_default=False)] = None,
    faces: Annotated[
        list[Path] | None, typer.Option(help="pictures or videos, one or more", show_default=False)
    ] = None,
    face: Annotated[Path | None, typer.Option(help="a picture or video, with --audios", show_default=False)] = None,
    audios: Annotated[list[Path] | None, typer.Option(help="recordings, one or more", show_default=False)] = None,
    model: Model = None,
    teacher_weights: Annotated[
        Path | None, typer.Option(help="weights of the face teacher, if they have moved", show_default=False)
    ] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Say which face belongs to a voice, or which voice to a face. Faces are found and aligned.

    Example: speakerkd match --audio a.wav --faces f1.jpg f2.jpg f3.jpg

    Example: speakerkd match --face f.jpg --audios a.wav b.wav --json
    """
    files = {"--audio": audio, "--faces": faces, "--face": face, "--audios": audios}
    given = {name for name, value in files.items() if value}
    if given not in ({"--audio", "--faces"}, {"--face", "--audios"}):
        raise typer.BadParameter("give --audio and --faces, or --face and --audios; a test set is for match-test DIR")
    from speakerkd import api

    loaded = api.load(model, device, teacher_weights)
    _show(loaded.match(audio, faces) if audio else loaded.match_voices(face, audios), json)


def match_test(
    directory: Annotated[Path, typer.Argument(help="data directory of people with faces", show_default=False)],
    *,
    model: Model = None,
    hard: Annotated[bool, typer.Option("--hard", help="refuse a directory without spk2gender")] = False,
    same_session: Annotated[
        bool, typer.Option("--same-session", help="let a probe and its right option be of one session (utt2session)")
    ] = False,
    triples: Annotated[int, typer.Option(help="questions a set", min=1)] = 10_000,
    options: Annotated[
        list[int] | None, typer.Option(help="options a question [default: 2]", show_default=False)
    ] = None,
    voice_to_face: Annotated[
        list[Path] | None,
        typer.Option(help="lists of `voice face face` lines, the right one first", show_default=False),
    ] = None,
    face_to_voice: Annotated[
        list[Path] | None, typer.Option(help="lists of `face voice voice` lines", show_default=False)
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="verification list of voices and faces", show_default=False)
    ] = None,
    centre: Annotated[
        Path | None,
        typer.Option(
            help="take off the mean voice and mean face of this data directory, the training one say",
            show_default=False,
        ),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="picture (.png) of the first questions, with the cosines", show_default=False)
    ] = None,
    protocol: Annotated[str, typer.Option(help="how voices are embedded, mean or whole")] = "mean",
    seed: Annotated[int, typer.Option(help="of the questions and the intervals", min=0)] = 0,
    bootstrap: Annotated[int, typer.Option(help="replicates of the intervals; 0: none", min=0)] = 1000,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Say how often voices are matched to faces, and faces to voices, over the people of a data directory.

    10,000 questions in each direction drawn from the seed, with other people of any gender (O) and of the same one
    (H); the accuracies go to the model's results.json. A probe and its right option are of two sessions.

    Example: speakerkd match-test data/test --model exp/margin --centre data/train
    """
    _over_directory(
        directory,
        model,
        device,
        json=json,
        hard=hard,
        same_session=same_session,
        triples=triples,
        choices=options or [2],
        lists=[("audio_to_face", path) for path in voice_to_face or []]
        + [("face_to_audio", path) for path in face_to_voice or []],
        pairs=pairs,
        centre=centre,
        examples=examples,
        protocol=protocol,
        seed=seed,
        replicates=bootstrap,
    )


def _show(found: Match, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        _print_json(asdict(found) | {"chosen": found.chosen})
        return
    width = max(len(candidate.path) for candidate in found.candidates)
    for place, candidate in enumerate(found.candidates, 1):
        print(f"{place:>3}  {candidate.path:<{width}}  {candidate.similarity:+.4f}")
    print(f"{found.probe}: {found.chosen or 'undecided, the first two are equal'}")


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def _over_directory(data: Path, model: Path | None, device: str, *, json: bool, **settings: Any) -> None:
    from speakerkd.cli.progress import bar
    from speakerkd.evaluation.match_directory import match_directory
    from speakerkd.evaluation.model import load_speaker_model
    from speakerkd.evaluation.results import update_results

    package = load_speaker_model(model, device)
    with bar() as progress:
        entries = match_directory(
            data, package, spaces=package.directory / "spaces.npz", progress=progress("voices"), **settings
        )
    path = package.directory / "results.json"
    update_results(path, "match", entries)
    if json:
        _print_json(entries)
        return
    names = {name: _label(name) for name in entries}
    width = max(len(label) for label in ("matching", *names.values()))
    print(f"{data}: {package.directory}")
    print(f"{'matching':<{width}}  accuracy %   95 % interval   AUC %   questions")
    for name, entry in entries.items():
        if "left_out" in entry:
            print(f"{names[name]:<{width}}  left out: {entry['left_out']}")
            continue
        if "accuracy_percent" in entry:
            ends = entry["interval_percent"]
            interval = f"[{ends[0]:.1f}, {ends[1]:.1f}]" if ends else "-"
            accuracy, questions = f"{entry['accuracy_percent']:.2f}", entry["questions"]
        else:
            interval, accuracy, questions = "-", "-", entry["pairs"]
        print(f"{names[name]:<{width}}  {accuracy:>10}  {interval:>14}  {entry['auc_percent']:>6.2f}  {questions:>10,}")
    for chance in dict.fromkeys(e["chance_percent"] for e in entries.values() if "chance_percent" in e):
        print(f"{'chance':<{width}}  {chance:>10.2f}  {'':>14}  {50:>6.2f}")
    print(f"figures in {path}")


def _label(name: str) -> str:
    """`acc_match_audio_to_face_o_5` as the papers write it: A-F (O), of 5; published lists keep their names."""
    found = re.fullmatch(r"acc_match_(audio_to_face|face_to_audio)_([oh])(?:_(\d+))?(_centred)?", name)
    if found is None:
        return name.removeprefix("acc_match_").removeprefix("auc_verification_")
    direction = "A-F" if found[1] == "audio_to_face" else "F-A"
    return (
        f"{direction} ({found[2].upper()})"
        + (f", 1 of {found[3]}" if found[3] else "")
        + (", centred" if found[4] else "")
    )


def verify(
    first: Annotated[Path, typer.Argument(help="a recording", show_default=False)],
    second: Annotated[Path, typer.Argument(help="another recording", show_default=False)],
    *,
    model: Model = None,
    threshold: Annotated[
        float | None, typer.Option(help="scores at or above it are of one speaker", show_default=False)
    ] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Say whether two recordings are of one speaker.

    The threshold is the given one, else the model's calibration (`speakerkd score --calibrate`), else that of the EER
    of a list which was scored with the model.

    Example: speakerkd verify a.wav b.wav
    """
    from dataclasses import asdict

    from speakerkd import api

    verdict = api.load(model, device).verify(first, second, threshold)
    if json:
        _print_json(asdict(verdict))
        return
    print(f"score {verdict.score:.4f} (minus the mean distance of ten crops, 0 is identical)")
    if verdict.same is None:
        print(f"no verdict: {verdict.source}")
        return
    sure = "" if verdict.probability is None else f", probability {verdict.probability:.4f} at even odds"
    print(f"{'same speaker' if verdict.same else 'different speakers'}{sure}")
    print(f"threshold {verdict.threshold:.4f}: {verdict.source}")
