"""The verbs for pictures, as a newcomer types them; every fault is one line and an exit status."""

import json

import numpy as np
import pytest

from speakerkd.cli.main import run

CONFIG = """
task: image
data: {dev: null, fraction: 0.1, view: {size: 16, crop: padded, test_crop: 1, flip: false}}
student: {name: resnet8}
loss: {name: softmax}
teacher: {archive: teacher.npz}
distill: [{name: margin, distance: l2n, margin: 0.3^2}]
optim: {name: sgd, lr: 0.1, lr_batch: 64, nesterov: false}
train: {epochs: 2, batch: 32, compile: false, precision: fp32, evaluate_every: 0}
"""


def call(*words):
    """Exit status of a command."""
    try:
        run([str(word) for word in words])
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    assert call("prepare", "images", folder / "data", "--kind", "digits") == 0
    assert call("embed-text", folder / "data", "--teacher", "ngrams") == 0
    return folder


def test_from_nothing_to_a_table(digits, capsys):
    (digits / "config.yaml").write_text(CONFIG)
    for seed in (1, 2):
        words = [
            "--exp",
            digits / f"margin-seed{seed}",
            "--set",
            f"data.train={digits / 'data'}",
            "--set",
            f"seed={seed}",
        ]
        assert call("train", digits / "config.yaml", *words) == 0
    capsys.readouterr()
    models = [digits / "margin-seed1", digits / "margin-seed2"]
    assert call("classify", *models) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert "top-1 %" in head
    assert "image to text %" in head
    results = [json.loads((model / "results.json").read_text())["classify"]["test"] for model in models]
    top1 = [result["figures"]["top1"] for result in results]
    assert row.split()[:4] == ["margin", f"{np.mean(top1):.2f}", "±", f"{np.std(top1, ddof=1):.2f}"]
    assert results[0]["pictures"] == 359
    assert call("report", *models, "--out", digits / "report.html") == 0
    assert f"{np.mean(top1):.2f}" in capsys.readouterr().out
    rates = [json.loads(line).get("lr") for line in (models[0] / "log.jsonl").read_text().splitlines()]
    assert 0.05 in rates  # half of the rate that is meant for 64


def test_the_stand_in_is_called_one(digits, capsys):
    assert call("embed-text", digits / "data", "--teacher", "ngrams") == 0
    assert "stand-in without meaning" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepare", "images", "OUT"], "no corpus is named"),
        (["prepare", "images", "OUT", "--root", "absent"], "no such folder"),
        (["prepare", "images", "OUT", "--kind", "digits", "--size", "16"], "pictures of 8 pixels, 16 asked for"),
        (["prepare", "images", "OUT", "--kind", "digits", "--test-share", "1.5"], "a test share of 1.5"),
        (["embed-text", "DATA", "--teacher", "clipp"], "did you mean 'clip'"),
        (["embed-text", "DATA", "--teacher", "absent.npz"], "no such text table"),
        (["embed-text", "DATA", "--teacher", "ngrams", "--alias", "one"], "CLASS=NAME"),
        (["embed-text", "DATA", "--teacher", "ngrams", "--prompts", "imagenet"], "did you mean 'imagenet_80'"),
        (["classify", "absent"], "no trained model"),
    ],
)
def test_faults_are_one_line(digits, tmp_path, capsys, words, message):
    places = {"OUT": tmp_path / "out", "DATA": digits / "data"}
    assert call(*[places.get(word, word) for word in words]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("speakerkd: error: ")
    assert message in error[0]
