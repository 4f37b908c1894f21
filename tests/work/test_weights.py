"""The same tensors give the same file, whatever order a library keeps its metadata in."""

import subprocess
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from speakerkd.work.weights import write_tensors

ABOUT = {name: name * 3 for name in ("format", "speakerkd", "labels", "é", "z", "a", "teacher", "seed")}


def test_two_processes_write_the_same_bytes(tmp_path):
    tensors = {"b.weight": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(7), "c": torch.ones(3).half()}
    write_tensors(tmp_path / "first.safetensors", tensors, ABOUT)
    script = (
        "import torch; from speakerkd.work.weights import write_tensors;"
        "tensors = {'c': torch.ones(3).half(), 'a': torch.tensor(7), 'b.weight': torch.arange(6.0).reshape(2, 3)};"
        f"write_tensors({str(tmp_path / 'second.safetensors')!r}, tensors, {dict(reversed(ABOUT.items()))!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()

    read = load_file(tmp_path / "first.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in tensors.items())
    with safe_open(tmp_path / "first.safetensors", "pt") as stored:
        assert stored.metadata() == ABOUT
