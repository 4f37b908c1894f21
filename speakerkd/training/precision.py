"""How a machine computes fastest without changing a result: number format, memory order, compilation."""

from __future__ import annotations

import contextlib
import shutil

import torch
from torch import Tensor, nn

from speakerkd.models.precision import inference_dtype, keep_freed_memory

# Work of the whole run, in floating-point operations a processor thread or a GPU, from which compiling saves more time
# than it takes: one or two minutes, for a step a quarter shorter.
WORTH_COMPILING = {"cpu": 3e14, "cuda": 1e17}
STEP_OVER_FORWARD = 3  # a backward pass costs about two forward passes


def working_type(precision: str, device: torch.device) -> torch.dtype:
    """The type that matrix products run in: `auto` takes bf16 where the machine has it.

    bf16 stands beside float32 weights (autocast); float64 is that of the weights too.
    """
    if precision == "auto":
        return inference_dtype(device)
    return {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager:
    """The context in which networks run; losses stand outside it."""
    return torch.autocast(device.type, dtype=dtype) if dtype == torch.bfloat16 else contextlib.nullcontext()


def forward_operations(network: nn.Module, x: Tensor) -> float:
    """Floating-point operations of one forward pass, a multiply-add as two, of input x; nothing is trained by it."""
    from torch.utils.flop_counter import FlopCounterMode

    training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    network.train(training)
    return float(counter.get_total_flops())


def worth_compiling(setting: bool | str, device: torch.device, operations: float, ranks: int) -> bool:
    """Whether to compile; `auto` decides by the run's forward operations alone, so a resumed run decides the same."""
    if setting != "auto":
        return bool(setting)
    if device.type not in WORTH_COMPILING:  # Apple's GPU: nobody has measured when it pays
        return False
    if device.type == "cpu" and (ranks > 1 or not any(map(shutil.which, ("g++", "clang++", "c++")))):
        return False
    units = torch.get_num_threads() if device.type == "cpu" else ranks
    return STEP_OVER_FORWARD * operations > WORTH_COMPILING[device.type] * units


def prepare_device(device: torch.device) -> None:
    """Set what makes a device faster for a whole run of equal batches."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        keep_freed_memory()
