"""The recipes for pictures from end to end, at the smallest size, and what they say where something is missing."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bash(*words):
    command = ["bash", *[str(word) for word in words]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_digits_from_nothing_to_a_table_and_again(tmp_path):
    words = ["egs/digits/run.sh", "--work", tmp_path, "--teacher", "ngrams", "--systems", "baseline margin"]
    words += ["--set", "train.epochs=2"]
    first = bash(*words)
    assert first.returncode == 0, first.stderr
    assert "a stand-in without meaning" in first.stdout
    table = first.stdout.split("stage 4")[1].splitlines()[1:]
    assert table[0].split()[:3] == ["system", "top-1", "%"]
    assert [row.split()[0] for row in table[2:4]] == ["baseline", "margin"]
    assert (tmp_path / "exp" / "digits-resnet8x4.html").is_file()
    again = bash(*words, "--stop-stage", "2")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is trained already") == 2


def test_a_stage_says_which_stage_makes_what_it_lacks(tmp_path):
    missing = bash("recipes/cifar/run.sh", "--work", tmp_path, "--stage", 2)
    assert missing.returncode == 1
    assert "images.json, make it with: bash" in missing.stderr
    assert "--corpus cifar100 --stage 0" in missing.stderr


def test_an_option_that_does_not_exist_and_the_help():
    assert bash("recipes/cifar/run.sh", "--stages", 2).returncode == 2
    assert "Stages: 0 pictures" in bash("recipes/tiny_imagenet/run.sh", "--help").stdout
