"""The command line as a user types it."""

import subprocess
import sys

import click
import pytest

from speakerkd.cli.options import spread


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        (["match", "--audio", "a", "--faces", "f", "g"], ["match", "--audio", "a", "--faces", "f", "--faces", "g"]),
        (["match", "--faces", "f", "g", "--json"], ["match", "--faces", "f", "--faces", "g", "--json"]),
        (["match", "--faces", "f", "--faces", "g", "h"], ["match", "--faces", "f", "--faces", "g", "--faces", "h"]),
        (["score", "--db", "5", "-5", "--json"], ["score", "--db", "5", "--db", "-5", "--json"]),
        (["match", "--faces=f", "x"], ["match", "--faces=f", "x"]),
        (["score", "--trials", "t"], ["score", "--trials", "t"]),
        (["match", "--faces", "f", "--", "--faces", "g"], ["match", "--faces", "f", "--", "--faces", "g"]),
    ],
)
def test_flags_with_many_values_are_spread(typed, parsed):
    many = dict.fromkeys(("--faces", "--trials", "--db"), lambda text: True)
    assert spread(typed, many) == parsed


@pytest.mark.parametrize("typed", [["--faces"], ["--faces", "--json"], ["--faces", "--audio", "a"]])
def test_a_flag_with_many_values_needs_one(typed):
    with pytest.raises(click.UsageError, match="--faces needs a value"):
        spread(typed, {"--faces": lambda text: True})


def speakerkd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "speakerkd.cli.main", *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_every_verb():
    shown = speakerkd("--help")
    assert shown.returncode == 0
    for verb in (
        "prepare",
        "validate",
        "fbank",
        "faces",
        "embed-teacher",
        "embed-text",
        "train",
        "embed",
        "score",
        "match",
        "match-test",
        "verify",
        "report",
    ):
        assert verb in shown.stdout


def test_help_imports_nothing_heavy():
    heavy = ("torch", "numpy", "scipy", "av", "sklearn", "pydantic")
    code = f"import sys, speakerkd.cli.main; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_bad_usage_exits_2_and_bad_input_exits_1_with_one_line(tmp_path):
    assert speakerkd("no-such-verb").returncode == 2
    failed = speakerkd("validate", str(tmp_path / "absent"))
    assert failed.returncode == 1
    assert failed.stderr.startswith("speakerkd: error: ")
    assert failed.stderr.count("\n") == 1
