"""A device by its name: Apple's GPU where torch has it, and one line where it has not."""

import pytest
import torch

import speakerkd
from speakerkd.errors import InputError
from speakerkd.models.device import choose_device
from speakerkd.models.precision import inference_dtype
from speakerkd.training.precision import worth_compiling


def test_a_device_that_is_not_here_is_one_line(model_dir):
    missing = [name for name, there in (("mps", torch.backends.mps.is_available()), ("cuda:99", False)) if not there]
    for name in missing:
        with pytest.raises(InputError, match=f"no device '{name}' here.*use cpu or auto"):
            speakerkd.load(model_dir, name)
    assert choose_device("cpu") == "cpu"


def test_apples_gpu_runs_plain_networks_in_float32():
    """What its name decides before anything is computed; the rest needs such a machine."""
    assert inference_dtype("mps") == torch.float32
    assert worth_compiling("auto", torch.device("mps"), 1e30, 1) is False
