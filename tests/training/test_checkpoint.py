"""Checkpoints are files like any other: a damaged one is passed over, and leads nowhere outside its folder."""

import json

import pytest
import torch
from torch import nn

from speakerkd.errors import InputError
from speakerkd.training.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_that_names_a_file_outside_its_folder_is_damaged(tmp_path):
    network = nn.Linear(2, 2)
    path = save_checkpoint(tmp_path, 1, {"student": network}, torch.optim.SGD(network.parameters(), 0.1), {})
    assert load_checkpoint(path).step == 1
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes((path / "weights.safetensors").read_bytes())
    state = json.loads((path / "state.json").read_text())
    state["files"]["../outside.safetensors"] = state["files"]["weights.safetensors"]
    (path / "state.json").write_text(json.dumps(state))

    with pytest.raises(InputError, match="not a file of this folder"):
        load_checkpoint(path)
