"""The recipes for pictures from end to end, at the smallest size, and what they say where something is missing."""

import json
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
    assert "--corpus cifar100" in missing.stderr and "--stage 0" in missing.stderr


def test_an_option_that_does_not_exist_and_the_help():
    assert bash("recipes/cifar/run.sh", "--stages", 2).returncode == 2
    assert "Stages: 0 pictures" in bash("recipes/tiny_imagenet/run.sh", "--help").stdout


@pytest.mark.slow
def test_clean_digits_teach_noisy_ones_and_each_stage_runs_again(tmp_path):
    words = ["egs/digits_noisy/run.sh", "--work", tmp_path, "--systems", "baseline kd+dimensional", "--seeds", "1"]
    words += ["--set", "train.epochs=4", "--teacher-set", "data.fraction=0.3 train.epochs=4"]
    first = bash(*words)
    assert first.returncode == 0, first.stderr
    table = first.stdout.split("stage 4")[1].splitlines()[1:]
    assert [row.split()[0] for row in table[2:4]] == ["baseline", "kd+dimensional"]
    structure = json.loads((tmp_path / "exp/digits-resnet20-resnet8-structure/structure.json").read_text())
    assert {name.rpartition("-")[2] for name in structure} == {"teacher", "baseline", "kd+dimensional"}
    assert (tmp_path / "exp/digits-resnet20-resnet8-structure/similarity.png").stat().st_size > 10_000
    again = bash(*words, "--stop-stage", "2")
    assert again.stdout.count("is trained already") == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stage", 2], "cifar10-resnet32x4-teacher/model.json, make it with: bash"),
        (["--corpus", "imagenet100"], "name them with --classes"),
    ],
)
def test_what_the_recipe_for_pairs_says_where_something_is_missing(tmp_path, words, said):
    failed = bash("recipes/paired_images/run.sh", "--work", tmp_path, *words)
    assert failed.returncode != 0
    assert said in failed.stderr


def test_the_second_papers_tables_are_all_known():
    assert "Table 2: radar and optical pairs" in bash("recipes/paired_images/compare.sh", "--help").stdout
    assert "no table '8', known: 2 3 4 5 6 7" in bash("recipes/paired_images/compare.sh", "--tables", 8).stderr


@pytest.mark.slow
def test_two_views_of_digits_learn_together_from_nothing_to_the_papers_rows(tmp_path):
    words = ["egs/digits_sensors/run.sh", "--work", tmp_path, "--scenarios", "cross", "--methods", "kdv1"]
    words += ["--set", "train.epochs=1 train.evaluate_every=1 train.checkpoint_every=1"]
    first = bash(*words)
    assert first.returncode == 0, first.stderr
    table = first.stdout.split("stage 4")[1].splitlines()[1:]
    names = [
        "picture-baseline",
        "edges-baseline",
        "picture_to_edges-kdv1",
        "picture-disentangled",
        "edges-disentangled",
    ]
    assert [row.split()[0] for row in table[2:7]] == names
    assert "weights, millions" in table[0]
    again = bash(*words, "--stop-stage", "3")
    assert again.stdout.count("is trained already") == 4


def test_the_third_papers_recipe_says_what_it_lacks(tmp_path):
    missing = bash("recipes/disentangled/run.sh", "--work", tmp_path, "--stage", 3, "--stop-stage", 3)
    assert missing.returncode == 1 and "images.json, make it with: bash" in missing.stderr
    unknown = bash("recipes/disentangled/run.sh", "--work", tmp_path, "--corpus", "sonar")
    assert unknown.returncode == 2 and "no corpus 'sonar'" in unknown.stderr
    assert bash("recipes/disentangled/compare.sh", "--tables", "9").returncode == 2
