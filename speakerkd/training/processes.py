"""The processes of a run: one, or those that torchrun started on one or several machines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch

from speakerkd.errors import InputError
from speakerkd.training.settings import TrainSettings

LOST = ("connection closed by peer", "connection reset", "timed out", "broken pipe", "connection refused")


@contextlib.contextmanager
def join_processes(settings: TrainSettings) -> Iterator[Any]:
    """accelerate's Accelerator for this process; gloo on CPUs, nccl on GPUs.

    Where another process dies, the pending exchange fails, and so does this one: with an InputError.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("no GPU to be had", "train.device", "set it to auto or cpu")
    accelerator = Accelerator(
        cpu=settings.device == "cpu" or not torch.cuda.is_available(),
        mixed_precision="no",  # the loop says itself what runs in bf16
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=timedelta(minutes=settings.timeout_minutes)),
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
        ],
    )
    try:
        yield accelerator
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    except RuntimeError as error:
        if str(error).startswith("CUDA error"):
            reason = str(error).splitlines()[0]
            raise InputError(f"the GPU failed ({reason})", accelerator.device, "check it, then --resume") from error
        if accelerator.num_processes > 1 and _lost_peer(error):
            raise InputError(
                "another process of the run is gone", "torch.distributed", "see its message above, then --resume"
            ) from error
        raise


def _lost_peer(error: RuntimeError) -> bool:
    if isinstance(error, torch.distributed.DistError):
        return True
    return any(part in str(error).lower() for part in LOST)


def from_main(accelerator, value: str) -> str:
    """The main process's value, on every process."""
    if accelerator.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]
