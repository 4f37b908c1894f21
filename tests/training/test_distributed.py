"""If these fail, several processes train something else than one, or hang where one of them dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from feature_corpus import make_corpus, small
from safetensors.torch import load_file

from speakerkd.training.experiment import check_experiment
from speakerkd.training.loop import train


def start(config: Path, folder: Path, ranks: int) -> list[subprocess.Popen]:
    """The processes that torchrun would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "speakerkd.cli.main", "train", str(config), "--exp", str(folder)]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    return [
        subprocess.Popen(
            command,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


def terms(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["terms"] for row in rows if "terms" in row]


# plain gradient descent: the weights' change is the gradient. Every kind of row meets every other: prototypical
# negatives, a batch-wise objective (pkt), moving statistics (quality), rows without a teacher, BatchNorm, two batches
# whose gradients are averaged
GRADIENT = {
    "student__name": "resnet34",
    "student__width": 0.05,
    "distill": [{"name": "margin", "quality": {}}, {"name": "pkt", "weight": 100.0}],
    "optim__name": "sgd",
    "optim__momentum": 0.0,
    "optim__weight_decay": 0.0,
    "optim__lr": 1.0,
    "train__speakers": 4,
    "train__accumulate": 2,
    "train__precision": "fp64",  # 34 layers make 1e-7 of rounding 1e-4 of a gradient
    "train__steps_per_epoch": 1,
    "train__epochs": 1,
}


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step-{step}" / "weights.safetensors")


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path):
    feature_corpus = make_corpus(tmp_path / "partly", teacher=0.6)
    values = small(feature_corpus, **GRADIENT)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    processes = start(config, tmp_path / "two", 2)
    train(check_experiment(values, "test"), tmp_path / "one")
    for process in processes:
        assert process.wait(240) == 0, process.stderr.read()
    one, two = terms(tmp_path / "one")[0], terms(tmp_path / "two")[0]
    assert one.keys() == two.keys() >= {"softmax", "prototypical", "margin", "pkt", "loss"}
    assert two == pytest.approx(one, rel=1e-5)  # the log has six digits
    from speakerkd.training.build import build_parts

    parts = build_parts(check_experiment(values, "test"))
    before = {f"{m}.{key}": t for m, module in parts.modules.items() for key, t in module.state_dict().items()}
    before = {key: t.double() if t.is_floating_point() else t for key, t in before.items()}
    after_one, after_two = weights(tmp_path / "one", 1), weights(tmp_path / "two", 1)
    assert after_one.keys() == after_two.keys() == before.keys()
    for key, start_value in before.items():
        if not start_value.is_floating_point():
            continue
        gradient, other = after_one[key] - start_value, after_two[key] - start_value
        assert float((gradient - other).abs().max()) <= 1e-7 * max(float(gradient.abs().max()), 1e-2), key
    moved = [key for key in before if not torch.equal(after_one[key], before[key])]
    assert any(key.startswith("objectives.head") for key in moved)


def test_a_process_that_dies_ends_the_run_with_a_message(feature_corpus, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(small(feature_corpus, train__speakers=4, train__epochs=5000, train__log_every=1)))
    folder = tmp_path / "run"
    first, second = start(config, folder, 2)
    try:
        limit = time.monotonic() + 200
        while not (folder / "log.jsonl").exists() or '"terms"' not in (folder / "log.jsonl").read_text():
            assert first.poll() is None and time.monotonic() < limit, first.stderr.read()
            time.sleep(0.05)
        second.send_signal(signal.SIGKILL)
        _, message = first.communicate(timeout=100)
        assert first.returncode == 1
        assert "another process of the run is gone" in message
        assert "Traceback" not in message
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_two_nodes_of_torchrun_give_the_loss_and_weights_of_one_process(tmp_path):
    """Two launchers as on two machines, one process each: what `tools/slurm/torchrun.sh` starts."""
    values = small(make_corpus(tmp_path / "corpus", teacher=0.6), **GRADIENT)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = Path(sys.executable).parent
    nodes = [
        subprocess.Popen(
            [programs / "torchrun", "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1",
             "--rdzv-backend", "c10d", "--rdzv-id", "test", "--rdzv-endpoint", f"127.0.0.1:{port}", "--no-python",
             programs / "speakerkd", "train", config, "--exp", tmp_path / "two"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    train(check_experiment(values, "test"), tmp_path / "one")
    for node in nodes:
        _, message = node.communicate(timeout=300)
        assert node.returncode == 0, message
    assert terms(tmp_path / "two")[0] == pytest.approx(terms(tmp_path / "one")[0], rel=1e-5)
    one, two = weights(tmp_path / "one", 1), weights(tmp_path / "two", 1)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-7, atol=1e-9, msg=key)
    assert json.loads((tmp_path / "two/model.json").read_text())
