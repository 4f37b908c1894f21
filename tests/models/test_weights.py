"""Foreign weights: nothing in a file is executed, nothing is loaded in part."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from speakerkd.errors import InputError
from speakerkd.models.weights import from_voxceleb_trainer, load_foreign, load_into


def network():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


STATE = {
    "0.weight": torch.ones(3, 2),
    "0.bias": torch.zeros(3),
    "1.weight": torch.ones(3),
    "1.bias": torch.zeros(3),
    "1.running_mean": torch.full((3,), 2.0),
    "1.running_var": torch.full((3,), 4.0),
}


@pytest.mark.parametrize("wrapper", [None, "state_dict", "net_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_wrapped_and_prefixed_state_dicts(tmp_path, wrapper, prefix):
    state = {prefix + k: v for k, v in STATE.items()}
    torch.save({"epoch": 3, wrapper: state} if wrapper else state, tmp_path / "w.pth")
    loaded = load_foreign(tmp_path / "w.pth")
    assert loaded.keys() == STATE.keys()
    net = network()
    load_into(net, loaded, "w.pth")  # without the counter, which old files lack
    assert net[1].running_var.tolist() == [4.0, 4.0, 4.0]


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert torch.equal(load_foreign(tmp_path / "w.safetensors")["0.weight"], STATE["0.weight"])


class Harmful:
    def __reduce__(self):
        return (eval, ("__import__('pathlib').Path('harm').touch()",))


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "args": Harmful()}, "w.pth")
    with pytest.raises(InputError, match="not opened, since that would run code"):
        load_foreign("w.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint, or a damaged one"),
        (b"<html>404</html>", "not a checkpoint, or a damaged one"),
        (pickle.dumps([1, 2]), "not a checkpoint|Python objects"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_that_are_no_weights(tmp_path, content, message, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_foreign(tmp_path / name)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_truncated_file(tmp_path, name):
    path = tmp_path / name
    save_file(STATE, path) if name.endswith("safetensors") else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_foreign(path)


def test_absent_file_folder_and_empty_dictionary(tmp_path):
    with pytest.raises(InputError, match="no such weights file"):
        load_foreign(tmp_path / "absent.pth")
    with pytest.raises(InputError, match="a folder"):
        load_foreign(tmp_path)
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"no tensors in it \(it has: epoch\)"):
        load_foreign(tmp_path / "w.pth")


def without(key):
    return {k: v for k, v in STATE.items() if k != key}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (without("0.bias"), "1 missing (0.bias)"),
        ({**STATE, "2.weight": torch.ones(1)}, "1 unexpected (2.weight)"),
        ({**STATE, "0.weight": torch.ones(2, 3)}, "(0.weight is 2x3 in the file and 3x2 in the network)"),
        ({}, "6 missing (0.weight, 0.bias, 1.weight, ...)"),
    ],
)
def test_every_key_is_accounted_for(state, message):
    net = network()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_into(net, state, "w.pth")
    assert message in str(caught.value) and "w.pth" in str(caught.value)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())  # nothing was half-loaded


def test_weights_that_are_not_finite():
    with pytest.raises(InputError, match=r"1 weights not finite \(0.bias\)"):
        load_into(network(), {**STATE, "0.bias": torch.tensor([0.0, float("nan"), 0.0])}, "w.pth")


def test_known_extras_are_left_out_by_name():
    load_into(network(), {**STATE, "logits.weight": torch.ones(2, 2)}, "w.pth", ignore=("logits.",))


def test_voxceleb_trainer_names():
    foreign = {
        "__S__.conv1.weight": 1,
        "__S__.attention.0.bias": 2,
        "__S__.torchfb.0.flipped_filter": 3,
        "__L__.fc.weight": 4,
    }
    assert from_voxceleb_trainer(foreign) == {"conv1.weight": 1, "pooling.attention.0.bias": 2}
    plain = {"layer1.0.se.fc.0.weight": 1, "attention.3.weight": 2}
    assert from_voxceleb_trainer(plain) == {"layer1.0.se.fc.0.weight": 1, "pooling.attention.3.weight": 2}
