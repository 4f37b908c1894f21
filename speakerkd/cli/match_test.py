"""Say how often voices are matched to faces, and faces to voices, over the people of a data directory.

10,000 questions in each direction drawn from the seed, with other people of any gender (O) and of the same one (H); the
accuracies go to the model's results.json. A probe and its right option are of two sessions.

--fit asks every network the same: a linear map from its voices to the teacher's faces is fitted on training people. A
network that no face taught has no other figure, for its own cosines with faces say nothing.

Example: speakerkd match-test data/test --model exp/margin --centre data/train

Example: speakerkd match-test data/test --model exp/baseline --fit data/train
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.evaluation.settings import ModelSettings


class MatchTestOptions(ModelSettings):
    """The people, and the questions asked of them."""

    directory: Path = Field(description="data directory of people with faces")
    hard: bool = Field(False, description="refuse a directory without spk2gender")
    same_session: bool = Field(False, description="let a probe and its right option be of one session (utt2session)")
    triples: int = Field(10_000, ge=1, le=10_000_000, description="questions a set")
    options: list[Annotated[int, Field(ge=2, le=10_000)]] = Field([2], min_length=1, description="options a question")
    voice_to_face: list[Path] = Field(
        default_factory=list, description="lists of `voice face face` lines, the right one first"
    )
    face_to_voice: list[Path] = Field(default_factory=list, description="lists of `face voice voice` lines")
    pairs: Path | None = Field(None, description="verification list of voices and faces")
    centre: Path | None = Field(
        None, description="take off the mean voice and mean face of this data directory, the training one say"
    )
    fit: Path | None = Field(
        None, description="training data directory: fit a linear map from voices to faces there, and match by it too"
    )
    examples: Path | None = Field(None, description="picture (.png) of the first questions, with the cosines")
    protocol: Literal["mean", "whole"] = Field("mean", description="how voices are embedded")
    seed: int = Field(0, ge=0, description="of the questions and the intervals")
    bootstrap: int = Field(1000, ge=0, description="replicates of the intervals; 0: none")
    as_json: bool = Field(False, alias="json", description="print JSON")


@verb("directory", cost="model")
def match_test(settings: MatchTestOptions) -> None:
    """Match over the directory, keep the figures with the model's, and print them."""
    from speakerkd.evaluation import match_test
    from speakerkd.work.progress import bar

    lists = [("audio_to_face", path) for path in settings.voice_to_face]
    lists += [("face_to_audio", path) for path in settings.face_to_voice]
    with bar() as progress:
        done = match_test.match_test(
            settings.directory,
            settings.model,
            device=settings.device,
            progress=progress("voices"),
            hard=settings.hard,
            same_session=settings.same_session,
            triples=settings.triples,
            choices=settings.options,
            lists=lists,
            pairs=settings.pairs,
            centre=settings.centre,
            fit=settings.fit,
            protocol=settings.protocol,
            examples=settings.examples,
            seed=settings.seed,
            replicates=settings.bootstrap,
        )
    if settings.as_json:
        print(json.dumps(done.entries, indent=2, ensure_ascii=False))
        return
    print(f"{settings.directory}: {done.path.parent}")
    _print_table(done.entries)
    for sentence in dict.fromkeys(entry.get("made", {}).get("left_out") for entry in done.entries.values()):
        if sentence:
            print(f"on one side alone in {settings.directory}: {sentence}")
    if done.already:
        print("done already: made from the same files, with the same settings and code")
    print(f"figures in {done.path}")


def _print_table(entries: dict[str, dict[str, Any]]) -> None:
    names = {name: _label(name) for name in entries}
    width = max(len(label) for label in ("matching", *names.values()))
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


def _label(name: str) -> str:
    """`acc_match_audio_to_face_o_5` as the papers write it: A-F (O), of 5; published lists keep their names."""
    parts = re.fullmatch(r"acc_match_(audio_to_face|face_to_audio)_([oh])(?:_(\d+))?(_centred|_fit)?", name)
    if parts is None:
        return name.removeprefix("acc_match_").removeprefix("auc_verification_")
    direction = "A-F" if parts[1] == "audio_to_face" else "F-A"
    return (
        f"{direction} ({parts[2].upper()})"
        + (f", 1 of {parts[3]}" if parts[3] else "")
        + {"_centred": ", centred", "_fit": ", by a linear map", None: ""}[parts[4]]
    )
