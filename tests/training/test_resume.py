"""If these fail, a run that was killed ends with other weights than one that was not, or starts from garbage."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from feature_corpus import small
from safetensors.torch import load_file

from speakerkd.errors import InputError
from speakerkd.training.checkpoint import load_newest, steps_there
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loop import train

# every kind of state: moving averages of quality weights, CRD's memories, a curriculum, dropout's and CRD's random
# draws, weights' moving average, a schedule with warm-up, gradient clipping and accumulation
EVERYTHING = {
    "distill": [
        {"name": "margin", "quality": {}},
        {"name": "crd", "negatives": 8, "ramp_epochs": 1.0},
        {"name": "afkd"},
    ],
    "student.name": "resnet34",
    "student.width": 0.05,
    "train.epochs": 3,
    "train.ema": 0.9,
    "train.accumulate": 2,
    "train.clip_norm": 1.0,
    "train.checkpoint_every": 0.34,
    "train.keep_last": 50,
    "optim.schedule.warmup": 1,
}


def experiment(feature_corpus: Path, **changes):
    everything = {key.replace(".", "__"): value for key, value in EVERYTHING.items()}
    return check_experiment(small(feature_corpus, **{**everything, **changes}), "test")


def equal(a: Path, b: Path) -> bool:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


def all_states(folder: Path) -> dict[str, torch.Tensor]:
    newest = load_newest(folder / "checkpoints")
    return {**{f"{m}.{k}": t for m, part in newest.weights.items() for k, t in part.items()}, **newest.optimizer}


@pytest.fixture(scope="module")
def undisturbed(feature_corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(experiment(feature_corpus), folder)
    return folder


class KilledError(Exception):
    pass


def killed_at(step: int):
    """A report that ends the run in the middle of a step's bookkeeping."""

    def report(row):
        if row["step"] == step and "terms" in row:
            raise KilledError

    return report


@pytest.mark.parametrize("step", sorted(np.random.default_rng(0).permutation(np.arange(1, 6))[:4].tolist()))
def test_a_run_broken_off_at_any_step_ends_bit_for_bit_the_same(feature_corpus, undisturbed, tmp_path, step):
    folder = tmp_path / "run"
    with pytest.raises(KilledError):
        train(experiment(feature_corpus), folder, report=killed_at(step))
    summary = train(experiment(feature_corpus), folder, resume=True)
    assert summary["step"] == 6
    assert equal(folder, undisturbed)
    mine, theirs = all_states(folder), all_states(undisturbed)
    assert mine.keys() == theirs.keys()
    different = [key for key in mine if not torch.equal(mine[key], theirs[key])]
    assert not different
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "terms" in row] == [1, 2, 3, 4, 5, 6]  # none twice, none missing


@pytest.mark.slow
def test_sigkill_at_ten_random_moments(feature_corpus, undisturbed, tmp_path):
    config = tmp_path / "config.yaml"
    values = small(feature_corpus, **{key.replace(".", "__"): value for key, value in EVERYTHING.items()})
    config.write_text(yaml.safe_dump(values))
    folder = tmp_path / "run"
    log = folder / "log.jsonl"
    command = [sys.executable, "-m", "speakerkd.cli.main", "train", str(config), "--exp", str(folder), "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    rng = np.random.default_rng(1)
    for _ in range(10):
        before = log.stat().st_size if log.exists() else 0
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (log.exists() and log.stat().st_size > before):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.15)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert equal(folder, undisturbed)


def test_sigkill_once(feature_corpus, undisturbed, tmp_path):
    config = tmp_path / "config.yaml"
    values = small(feature_corpus, **{key.replace(".", "__"): value for key, value in EVERYTHING.items()})
    config.write_text(yaml.safe_dump(values))
    folder = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "speakerkd.cli.main", "train", str(config), "--exp", str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and not steps_there(folder / "checkpoints"):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(experiment(feature_corpus), folder, resume=True)
    assert equal(folder, undisturbed)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(feature_corpus, undisturbed, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    (folder / "finished.json").unlink()
    there = steps_there(folder / "checkpoints")
    weights = folder / "checkpoints" / f"step-{there[-1]}" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # one bit, the size stays
    weights.write_bytes(content)
    (folder / "checkpoints" / f"step-{there[-2]}" / "state.json").write_text('{"step": ')
    train(experiment(feature_corpus), folder, resume=True)
    for damaged in (f"step-{there[-1]}", f"step-{there[-2]}/state.json"):
        assert f"{damaged} is damaged" in caplog.text
    assert equal(folder, undisturbed)


def test_other_settings_are_refused_one_by_one(feature_corpus, undisturbed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    (folder / "finished.json").unlink()
    with pytest.raises(InputError) as error:
        train(experiment(feature_corpus, optim__lr=0.02, student__width=0.1, train__log_every=7), folder, resume=True)
    assert "optim.lr: 0.01 -> 0.02" in str(error.value)
    assert "student.width: 0.05 -> 0.1" in str(error.value)
    assert "log_every" not in str(error.value)  # changes no weight


def test_an_unfinished_run_wants_resume_and_a_finished_one_is_left_alone(feature_corpus, undisturbed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(experiment(feature_corpus), folder)["already_finished"]
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    (folder / "finished.json").unlink()
    with pytest.raises(InputError, match="add --resume"):
        train(experiment(feature_corpus), folder)


def test_a_checkpoint_of_another_model_names_what_does_not_fit(feature_corpus, undisturbed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    (folder / "finished.json").unlink()
    for path in (folder / "checkpoints").iterdir():
        if path.name != "step-6":
            shutil.rmtree(path)
    other = experiment(feature_corpus, student__width=0.1)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("width: 0.05", "width: 0.1"))
    with pytest.raises(InputError, match=r"conv1\.weight.*has shape"):
        train(other, folder, resume=True)
