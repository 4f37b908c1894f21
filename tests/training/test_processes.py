"""If these fail, what a shell has left behind makes a plain start wait for processes that never come."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
import yaml
from feature_corpus import make_corpus, small

from speakerkd.errors import InputError
from speakerkd.training import processes
from speakerkd.training.processes import LAUNCHER, OneProcess, join_processes, started_by_launcher
from speakerkd.training.settings import TrainSettings


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch):
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "left",
    [{"WORLD_SIZE": "8"}, {"WORLD_SIZE": "2", "RANK": "0"}, {"RANK": "3", "LOCAL_RANK": "1"}, {"WORLD_SIZE": ""}],
)
def test_leftovers_of_a_launcher_train_in_one_process(left, monkeypatch, caplog):
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    with join_processes(TrainSettings(device="cpu")) as one:
        assert isinstance(one, OneProcess) and one.num_processes == 1 and one.device == torch.device("cpu")
    if int(left.get("WORLD_SIZE") or 1) > 1:
        assert "WORLD_SIZE" in caplog.text and "MASTER_ADDR" in caplog.text


def test_all_variables_of_a_launcher_mean_several_processes(monkeypatch):
    for name, value in zip(LAUNCHER, ("0", "2", "0", "localhost", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    assert started_by_launcher()
    monkeypatch.setenv("MASTER_PORT", "http")
    with pytest.raises(InputError, match="'http' is not a number"):
        started_by_launcher()


@pytest.mark.parametrize("agent", ["", "True"], ids=["by hand", "torchrun"])
def test_processes_that_never_come_are_waited_for_aloud_and_not_for_long(agent, monkeypatch, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    monkeypatch.setattr(processes, "PATIENCE", 0.01)
    monkeypatch.setattr(processes, "MEETING", 1.0)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", agent)
    for name, value in zip(LAUNCHER, ("0", "2", "0", "127.0.0.1", port), strict=True):
        monkeypatch.setenv(name, value)
    refused = pytest.raises(InputError, match="do not find each other.*unset WORLD_SIZE RANK")
    with caplog.at_level(logging.WARNING), refused, join_processes(TrainSettings(device="cpu")):
        pass
    assert f"process 0 of 2 waits for the others at 127.0.0.1:{port} (to train in one, unset WORLD_SIZE)" in caplog.text


@pytest.mark.slow  # ten seconds of patience, and torch's import
def test_where_something_else_answers_at_the_port_our_line_is_the_only_one(tmp_path):
    """torch itself prints a page of C++ frames at every try."""
    make_corpus(tmp_path / "train")
    (tmp_path / "speech.yaml").write_text(yaml.safe_dump(small(tmp_path / "train")))
    command = [Path(sys.executable).with_name("speakerkd"), "train", "speech.yaml"]
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        places = ("1", "2", "1", "127.0.0.1", str(server.server_port))
        shell = os.environ | dict(zip(LAUNCHER, places, strict=True))
        training = subprocess.Popen(command, cwd=tmp_path, env=shell, stderr=subprocess.PIPE, text=True)
        line = training.stderr.readline()
        training.kill()
        training.wait()
        training.stderr.close()
        server.shutdown()
    assert line.startswith("process 1 of 2 waits for the others at 127.0.0.1:"), line


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_device_that_is_not_there_is_refused_before_training():
    refused = pytest.raises(InputError, match=r"no device 'cuda:1' here .*train\.device.*use cpu or auto")
    with refused, join_processes(TrainSettings(device="cuda:1")):
        pass
