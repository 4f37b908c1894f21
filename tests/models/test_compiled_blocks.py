"""Compiled training on a processor gives what torch's own layers give."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from speakerkd.models.blocks import BatchNorm2d, SqueezeBlock
from speakerkd.models.precision import compile_network


def same(mine: nn.Module, theirs: nn.Module, x: torch.Tensor, seed: torch.Tensor, digits: float = 1e-4) -> None:
    outputs, inputs = [], []
    for network in (mine, theirs):
        leaf = x.clone().requires_grad_()
        y = network(leaf)
        (y * seed).sum().backward()
        outputs.append(y.detach())
        inputs.append(leaf.grad)
    torch.testing.assert_close(*outputs, rtol=digits, atol=digits)
    torch.testing.assert_close(*inputs, rtol=10 * digits, atol=digits)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 1e-4), (torch.bfloat16, 0.02)])
def test_batch_norm_equals_torch(dtype, digits):
    torch.manual_seed(0)
    norm, plain = BatchNorm2d(8), nn.BatchNorm2d(8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    plain.load_state_dict(norm.state_dict())
    compiled = compile_network(norm)
    for step in range(3):
        x = (5 + torch.randn(4, 8, 6, 5) * torch.arange(1, 9)[:, None, None]).to(dtype)
        same(compiled, plain, x, torch.randn(4, 8, 6, 5, dtype=dtype), digits)
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(norm.state_dict()[name], value, rtol=1e-4, atol=1e-4, msg=f"{name}, step {step}")
    torch.testing.assert_close(norm.weight.grad, plain.weight.grad, rtol=10 * digits, atol=10 * digits)
    torch.testing.assert_close(norm.bias.grad, plain.bias.grad, rtol=digits, atol=digits)


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "stride"), [(16, 2), (24, 1)])
def test_a_squeeze_block_equals_its_uncompiled_self(inputs, stride):
    """Values, gradients and running statistics over three steps, with statistics far from their fresh values."""
    torch.manual_seed(0)
    block = SqueezeBlock(inputs, 24, stride)
    for norm in (block.bn1, block.bn2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    nn.init.constant_(block.conv1.weight, 0.02)
    twin = copy.deepcopy(block)
    compiled = compile_network(block)
    for _ in range(3):
        same(compiled, twin, torch.randn(3, inputs, 8, 10), torch.randn(3, 24, 8 // stride, 10 // stride))
    for (name, mine), theirs in zip(block.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-3, msg=name)
    for (name, mine), theirs in zip(block.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
def test_a_squeeze_block_in_bf16_stays_as_near_to_float32_as_the_uncompiled_one():
    torch.manual_seed(0)
    exact = SqueezeBlock(24, 24, 1)
    x, seed = torch.randn(8, 24, 10, 12), torch.randn(8, 24, 10, 12)

    def gradients(network: nn.Module, dtype: torch.dtype) -> torch.Tensor:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = network(x.to(dtype))
        (y.float() * seed).sum().backward()
        return torch.cat([y.detach().float().flatten(), *(p.grad.flatten() for p in network.parameters())])

    wanted = gradients(copy.deepcopy(exact), torch.float32)
    plain = (gradients(copy.deepcopy(exact), torch.bfloat16) - wanted).norm() / wanted.norm()
    compiled = copy.deepcopy(exact)
    network = compile_network(compiled)
    network.zero_grad = compiled.zero_grad
    error = (gradients(network, torch.bfloat16) - wanted).norm() / wanted.norm()
    assert error < max(1.5 * plain, 0.01), (error, plain)


@pytest.mark.slow
def test_code_made_for_one_thread_is_not_reused_for_two(tmp_path):
    """torch's cache on disk would hand it out; the kernels then lack every `omp parallel` section."""
    script = """
import sys, torch
from speakerkd.models.precision import compile_network
torch.set_num_threads(int(sys.argv[1]))
compile_network(torch.nn.Sequential(torch.nn.BatchNorm2d(64), torch.nn.ReLU()))(torch.randn(8, 64, 32, 32))
"""
    parallel = []
    for threads in ("1", "2"):
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", script, threads], env=environment, check=True, capture_output=True)
        sources = [path.read_text() for path in tmp_path.rglob("*.cpp")]
        parallel.append(any("omp parallel num_threads(2)" in source for source in sources))
    assert parallel == [False, True]
