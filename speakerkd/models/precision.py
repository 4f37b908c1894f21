"""What makes networks fast without changing results: half precision where it costs nothing, and memory kept."""

from __future__ import annotations

import ctypes
import platform
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def at_least_float32(x: Tensor) -> Tensor:
    """`x` itself in float32 or float64, else its float32 copy."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def run_full(layer: nn.Module, x: Tensor) -> Tensor:
    """`layer(x)` in the layer's own precision even under autocast; a bf16 embedding would keep 3 digits."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))


def inference_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """bfloat16 where the device multiplies it faster than float32, else float32.

    A GPU from compute capability 8.0; a processor with AMX, AVX512-BF16 or Arm's bf16 instructions.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.get_device_capability(device)[0] >= 8
    elif kind == "cpu":
        abilities = torch.cpu.get_capabilities()
        fast = any(abilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


def channels_last(module: M) -> M:
    """The module itself, its convolutions' weights in the memory order that is fastest under bf16."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it


def keep_freed_memory() -> None:
    """Make glibc keep large freed blocks: else every batch's maps are returned to the system and zeroed again."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mmap_max, trim_threshold = -4, -1
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def compile_network(network: nn.Module, options: dict[str, Any] | None = None) -> Any:
    """`network` under torch.compile for inputs of one shape; options: of the compiler.

    torch's cache of compiled code on disk does not ask for how many threads it was made, unless it is told: kernels
    that an earlier run made for one thread would run on one thread here, a third slower as a whole.
    """
    threads: dict[str, Any] = {"cpp.threads": torch.get_num_threads()}
    return torch.compile(network, dynamic=False, options=threads | (options or {}))
