"""If these fail, a message tells a user to do what does not help: each remedy is done as it says, then the verb again.

A situation is made, its verb refuses in one line, the line holds the remedy, the remedy is done, the verb then ends
well.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_damage import remove
from hostile_world import PATTERN, verb
from test_hostile_files import restore, state, world  # noqa: F401  (a fixture)

DATA = "data/train"
TRIALS = f"{DATA}/trials_original"
SCORE = f"score --trials {TRIALS} --embeddings v.npz --out o --bootstrap 0"
TRAIN = "train speech.yaml --exp exp/new"
FOLDER = f"prepare folder out --audio-root rec --jobs 1 --pattern '{PATTERN}'"
Action = str | Callable[[], object]


@dataclass(frozen=True)
class Case:
    """What goes wrong, what the line says, and what a user then does: commands of ours, or what hands do.

    then: the command that must end well in place of the first, where the remedy is another option.
    """

    name: str
    make: Sequence[Action]
    command: str
    says: str
    do: Sequence[Action] = ()
    then: str | None = None


def gone(*names: str) -> Callable[[], object]:
    return lambda: [remove(Path(name)) for name in names]


def written(name: str, text: str, encoding: str = "utf-8") -> Callable[[], object]:
    return lambda: Path(name).write_text(text, encoding)


def changed(name: str, old: str, new: str) -> Callable[[], object]:
    def change() -> None:
        text = Path(name).read_text("utf-8")
        assert old in text
        Path(name).write_text(text.replace(old, new), "utf-8")

    return change


def cut(name: str, share: float = 0.4) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(Path(name).read_bytes()[: int(share * Path(name).stat().st_size)])


def copied_again(name: str) -> Callable[[], object]:
    return lambda: shutil.copy(Path("../copy") / name, name)


def weights_moved() -> None:
    path = Path("exp/voice/model.json")
    values = json.loads(path.read_text())
    values["teacher"]["weights"] = "/nowhere"
    path.write_text(json.dumps(values))
    shutil.move("exp/face", "elsewhere")


def two_lines() -> str:
    first, *rest = Path(TRIALS).read_text().splitlines(keepends=True)
    return first + next(line for line in rest if line[0] != first[0])


CASES = [
    Case(
        "fbank-no-table",
        [gone(f"{DATA}/wav.scp")],
        f"fbank {DATA} --mels 8 --jobs 1",
        "make it with `speakerkd prepare`",
        [f"prepare folder data --audio-root rec --image-root pics --pattern '{PATTERN}' --jobs 1"],
    ),
    Case(
        "fbank-typo",
        [],
        f"fbank {DATA} --mels 8 --jobs 1 --set hight=7000",
        "did you mean 'high'?",
        [],
        f"fbank {DATA} --mels 8 --jobs 1 --set high=7000",
    ),
    Case(
        "fbank-high",
        [],
        f"fbank {DATA} --mels 8 --jobs 1 --set high=100000",
        "the rate allows 0 to 8000",
        [],
        f"fbank {DATA} --mels 8 --jobs 1 --set high=8000",
    ),
    Case(
        "fbank-truncated",
        [cut("rec/p0/s0/0.wav")],
        f"fbank {DATA} --mels 8 --jobs 1",
        "keep what is there with --truncated keep",
        [],
        f"fbank {DATA} --mels 8 --jobs 1 --truncated keep",
    ),
    Case(
        "fbank-empty",
        [cut("rec/p0/s0/0.wav", 0)],
        f"fbank {DATA} --mels 8 --jobs 1",
        "copy the recording again",
        [copied_again("rec/p0/s0/0.wav")],
    ),
    Case(
        "fbank-allowed",
        [cut("rec/p0/s0/0.wav", 0)],
        f"fbank {DATA} --mels 8 --jobs 1",
        "allow more than 0.01 with --max-rejected",
        [],
        f"fbank {DATA} --mels 8 --jobs 1 --max-rejected 0.5",
    ),
    Case(
        "faces-no-table",
        [gone(f"{DATA}/face.scp")],
        f"faces {DATA} --no-detect --jobs 1",
        "make it with `speakerkd prepare`, giving it pictures",
        [f"prepare folder data --audio-root rec --image-root pics --pattern '{PATTERN}' --jobs 1"],
    ),
    Case(
        "teacher-no-faces",
        [gone(f"{DATA}/aligned.scp")],
        f"embed-teacher {DATA} --teacher exp/face",
        "make it with `speakerkd faces`",
        [f"faces {DATA} --no-detect --jobs 1"],
    ),
    Case(
        "teacher-no-name",
        [],
        f"embed-teacher {DATA} --teacher exp/fac",
        "an experiment directory",
        [],
        f"embed-teacher {DATA} --teacher exp/face",
    ),
    Case(
        "teacher-needs-weights",
        [],
        f"embed-teacher {DATA} --teacher onnx",
        "--weights",
        [],
        f"embed-teacher {DATA} --teacher onnx --weights recogniser.onnx --name o",
    ),
    Case(
        "train-no-features",
        [gone(f"{DATA}/feats.scp")],
        TRAIN,
        "run `speakerkd fbank` on it first",
        [f"fbank {DATA} --mels 8 --jobs 1"],
    ),
    Case(
        "train-no-teacher",
        [gone(f"{DATA}/teacher.scp")],
        TRAIN,
        "run `speakerkd embed-teacher`",
        [f"embed-teacher {DATA} --teacher exp/face"],
    ),
    Case("train-untaught", [gone(f"{DATA}/teacher.scp")], TRAIN, "set `distill: []`", [], f"{TRAIN} --set distill=[]"),
    Case(
        "train-unfinished",
        [],
        "train speech.yaml --exp exp/half",
        "add --resume to go on with it",
        [],
        "train speech.yaml --exp exp/half --resume",
    ),
    Case(
        "train-other-name",
        [],
        "train speech.yaml --exp exp/half",
        "choose another --name",
        [],
        "train speech.yaml --name another",
    ),
    Case(
        "train-batch",
        [],
        f"{TRAIN} --set train.speakers=99",
        "set train.speakers to 4 or less",
        [],
        f"{TRAIN} --set train.speakers=4",
    ),
    Case(
        "train-method",
        [],
        TRAIN + " --set 'distill=[{name: at}]'",
        "use a method on embeddings, such as margin, fitnet",
        [],
        TRAIN + " --set 'distill=[{name: fitnet}]'",
    ),
    Case(
        "train-scores",
        [gone(f"{DATA}/teacher_classifier.safetensors")],
        TRAIN + " --set 'distill=[{name: kd}]'",
        "run `speakerkd embed-teacher --classifier`, which trains one on them, and set teacher.classifier to "
        "teacher_classifier.safetensors",
        [f"embed-teacher {DATA} --teacher exp/face --classifier"],
        TRAIN + " --set 'distill=[{name: kd}]' teacher.classifier=teacher_classifier.safetensors",
    ),
    Case(
        "train-twice",
        [],
        TRAIN + f" --set data.train=[{DATA},{DATA}]",
        "name every recording once in data.train",
        [],
        TRAIN + f" --set data.train=[{DATA}]",
    ),
    Case(
        "score-nothing",
        [],
        f"score --trials {TRIALS} --model exp/voice --out o --bootstrap 0",
        "add --data DIR",
        [],
        f"score --trials {TRIALS} --model exp/voice --out o --bootstrap 0 --data {DATA}",
    ),
    Case(
        "score-no-model",
        [gone("exp/latest")],
        f"score --trials {TRIALS} --data {DATA} --out o --bootstrap 0",
        "name its folder with --model",
        [],
        f"score --trials {TRIALS} --data {DATA} --out o --bootstrap 0 --model exp/voice",
    ),
    Case(
        "score-no-file",
        [gone("v.npz")],
        SCORE,
        "make them with `speakerkd embed`",
        [f"embed {DATA} --model exp/voice --out v.npz"],
    ),
    Case(
        "score-missing",
        [lambda: Path("t").write_text(two_lines() + "1 p0/s0/0 p9/s9/9\n")],
        SCORE.replace(TRIALS, "t"),
        "score the rest with --skip-missing",
        [],
        SCORE.replace(TRIALS, "t") + " --skip-missing",
    ),
    Case(
        "score-utf16",
        [lambda: Path("t").write_text(two_lines(), "utf-16")],
        SCORE.replace(TRIALS, "t"),
        "save it as UTF-8",
        [lambda: Path("t").write_text(two_lines(), "utf-8")],
    ),
    Case(
        "score-blank",
        [lambda: Path("t").write_text(two_lines() + "1 p0/s0/0 p0/s0/1 (2)\n")],
        SCORE.replace(TRIALS, "t") + " --skip-missing",
        "a blank in a name is written %20",
        [changed("t", "1 (2)", "1%20(2)")],
    ),
    Case(
        "score-cohort",
        [],
        SCORE.replace("v.npz", "mean.npz") + " --protocol mean --norm s-norm",
        "name one with --cohort",
        [],
        SCORE.replace("v.npz", "mean.npz") + " --protocol mean --norm s-norm --cohort cohort.npz",
    ),
    Case(
        "embed-other-bands",
        [f"fbank {DATA} --mels 16 --jobs 1"],
        f"embed {DATA} --model exp/voice --out new.npz",
        "make them again with `speakerkd fbank --mels 8`",
        [f"fbank {DATA} --mels 8 --jobs 1"],
    ),
    Case(
        "embed-ending",
        [],
        f"embed {DATA} --model exp/voice --out new.txt",
        "let its name end in one of .npz",
        [],
        f"embed {DATA} --model exp/voice --out new.npz",
    ),
    Case(
        "match-weights",
        [weights_moved],
        "match --audio rec/p0/s0/0.wav --faces face.png --model exp/voice",
        "say where they are with --teacher-weights",
        [],
        "match --audio rec/p0/s0/0.wav --faces face.png --model exp/voice --teacher-weights elsewhere",
    ),
    Case(
        "match-no-face",
        [],
        "match --audio rec/p0/s0/0.wav --faces pics/p0/s0/f.png --model exp/voice",
        "give one in which the face is clear",
        [],
        "match --audio rec/p0/s0/0.wav --faces face.png --model exp/voice",
    ),
    Case(
        "match-test-no-teacher",
        [gone(f"{DATA}/teacher.scp")],
        f"match-test {DATA} --model exp/voice --triples 20 --bootstrap 0",
        "make them with `speakerkd embed-teacher`",
        [f"embed-teacher {DATA} --teacher exp/face"],
    ),
    Case(
        "match-test-options",
        [],
        f"match-test {DATA} --model exp/voice --triples 20 --bootstrap 0 --options 9",
        "fewer options",
        [],
        f"match-test {DATA} --model exp/voice --triples 20 --bootstrap 0 --options 2",
    ),
    Case(
        "report-damaged",
        [cut("exp/voice/results.json")],
        "report exp/voice --out page.html",
        "move it away, then run `speakerkd score`",
        [gone("exp/voice/results.json"), f"score --trials {TRIALS} --model exp/voice --data {DATA} --bootstrap 0"],
    ),
    Case(
        "export-there",
        [lambda: Path("card").mkdir(), written("card/x", "x")],
        "export exp/base --card --to card",
        "give another with --to",
        [],
        "export exp/base --card --to card2",
    ),
    Case(
        "export-no-weights",
        [gone("exp/base/model.safetensors")],
        "export exp/base --card --to card",
        "copy its folder again",
        [copied_again("exp/base/model.safetensors")],
    ),
    Case(
        "prepare-pattern",
        [],
        "prepare folder out --audio-root rec --jobs 1 --pattern '(?P<speaker>zz)'",
        "correct --pattern",
        [],
        FOLDER,
    ),
    Case("prepare-too-many", [], FOLDER + " --test-speakers 9", "give 2 to 4", [], FOLDER + " --test-speakers 2"),
    Case(
        "prepare-list",
        [written("l", "p0\np7\n")],
        FOLDER + " --test-list l",
        "correct the list",
        [written("l", "p0\np1\n")],
    ),
    Case(
        "prepare-copied",
        [cut("rec/p0/s0/0.wav", 0)],
        FOLDER,
        "copy the recording again",
        [copied_again("rec/p0/s0/0.wav")],
    ),
    Case(
        "augment-nothing",
        [],
        f"augment {DATA} --jobs 1",
        "give --musan DIR, --rirs DIR or --speeds 0.9 1.1",
        [],
        f"augment {DATA} --jobs 1 --speeds 0.9 1.1",
    ),
    Case(
        "augment-no-features",
        [gone(f"{DATA}/feats.json")],
        f"augment {DATA} --jobs 1 --speeds 0.9",
        "make them with `speakerkd fbank` first",
        [f"fbank {DATA} --mels 8 --jobs 1"],
    ),
    Case(
        "augment-rirs",
        [lambda: os.mkdir("empty")],
        f"augment {DATA} --jobs 1 --rirs empty",
        "give the folder of RIRS_NOISES, or of recordings",
        [],
        f"augment {DATA} --jobs 1 --rirs musan/noise",
    ),
    Case(
        "verify-image",
        [],
        "verify rec/p0/s0/0.wav rec/p1/s0/0.wav --model exp/image",
        "give a speech model",
        [],
        "verify rec/p0/s0/0.wav rec/p1/s0/0.wav --model exp/voice",
    ),
    Case("classify-voice", [], "classify exp/voice", "give one that classifies pictures", [], "classify exp/image"),
    Case(
        "enroll-nobody",
        [],
        "enroll team.db --remove Bob",
        "see `speakerkd enroll GALLERY --list`",
        ["enroll team.db --list"],
        "enroll team.db --remove Ann",
    ),
    Case(
        "validate-nothing",
        [],
        "validate data/tran",
        "make it with `speakerkd prepare`",
        [f"prepare folder data/out --audio-root rec --pattern '{PATTERN}' --jobs 1"],
        "validate data/out/train",
    ),
]


def _done(action: Action) -> None:
    if callable(action):
        action()
    else:
        assert verb(*shlex.split(action)) == 0, action


@pytest.mark.slow  # half a minute, most of it to make the folder
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_a_message_says_to_do_helps(case, world, capfd):  # noqa: F811
    before, folders = state(), {path for path in Path().rglob("*") if path.is_dir()}
    try:
        for action in case.make:
            _done(action)
        capfd.readouterr()
        status, shown = verb(*shlex.split(case.command)), capfd.readouterr().err
        lines = [line for line in shown.splitlines() if line.startswith("speakerkd: error: ")]
        assert status == 1 and len(lines) == 1 and case.says in lines[0], (status, shown)
        for action in case.do:
            _done(action)
        assert verb(*shlex.split(case.then or case.command)) == 0, (shown, capfd.readouterr().err)
    finally:
        restore(world, before)
        for folder in {path for path in Path().rglob("*") if path.is_dir()} - folders:
            remove(folder)


def test_order_is_mended_as_validate_says(world, capsys):  # noqa: F811
    """`validate` prints rules instead of one line; each names what makes the file good again."""
    before = state()
    lines = Path(f"{DATA}/utt2spk").read_bytes().splitlines(keepends=True)
    Path(f"{DATA}/utt2spk").write_bytes(b"\xef\xbb\xbf" + b"".join(reversed(lines)).replace(b"\n", b"\r\n"))
    assert verb("validate", DATA) == 1
    printed = capsys.readouterr().out
    for rule in ("no byte-order mark", "a line feed alone", "sorted bytewise (LC_ALL=C)"):
        assert rule in printed
    Path(f"{DATA}/utt2spk").write_bytes(b"".join(sorted(lines)))
    assert verb("validate", DATA) == 0
    restore(world, before)
