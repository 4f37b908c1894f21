"""The processes of a run: one, or those that torchrun started on one or several machines."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speakerkd.errors import InputError
from speakerkd.models.device import choose_device
from speakerkd.training.settings import TrainSettings

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)
LOST = ("connection closed by peer", "connection reset", "timed out", "broken pipe", "connection refused")
LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets, all of them
PATIENCE = 10.0  # seconds of waiting for other processes without a word
MEETING = 30.0  # seconds that they have to come: the variables of a run that has ended call nobody


class OneProcess:
    """What a run in one process needs of accelerate's Accelerator."""

    num_processes, process_index, is_main_process = 1, 0, True

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device.index or 0)

    def wait_for_everyone(self) -> None:
        """Nobody else is there."""

    def prepare_model(self, network: nn.Module) -> nn.Module:
        """The network itself."""
        return network


@contextlib.contextmanager
def join_processes(settings: TrainSettings) -> Iterator[Any]:
    """This process, alone or as one of those that torchrun started: accelerate's Accelerator, or a `OneProcess`.

    gloo on CPUs, nccl on GPUs. Where another process dies, the pending exchange fails, and so does this one: with an
    InputError. Leftovers of a launcher in a shell's environment, which name no run, are left alone with a warning.
    """
    device = choose_device(settings.device, "train.device")
    accelerator = _join(settings, device) if started_by_launcher() else OneProcess(device)
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


def started_by_launcher() -> bool:
    """Whether this process is to be one of several: all of torchrun's variables are set, for more than one process."""
    if os.environ.get("WORLD_SIZE", "1") in ("", "1"):
        return False
    missing = [name for name in LAUNCHER if not os.environ.get(name)]
    if missing:
        there = ", ".join(name for name in LAUNCHER if os.environ.get(name))
        log.warning("%s set without %s: training in one process (torchrun sets all)", there, ", ".join(missing))
        return False
    for name in LAUNCHER:
        if name != "MASTER_ADDR" and not os.environ[name].isdecimal():
            raise InputError(f"'{os.environ[name]:.40}' is not a number", name, "unset it, or start with torchrun")
    return True


def _join(settings: TrainSettings, device: str) -> Any:
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    rank, size, address, port = (os.environ[n] for n in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))
    where, timeout = f"{address}:{port}", timedelta(minutes=settings.timeout_minutes)
    word = "process %s of %s waits for the others at %s (to train in one, unset WORLD_SIZE)"
    waiting = threading.Timer(PATIENCE, log.warning, (word, rank, size, where))
    waiting.daemon = True
    waiting.start()
    try:
        if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            _find_torchrun(address, int(port))
        else:
            _meet(device, int(rank), int(size), (address, int(port)), timeout)
        return Accelerator(
            cpu=device == "cpu",
            mixed_precision="no",  # the loop says itself what runs in bf16
            kwargs_handlers=[
                InitProcessGroupKwargs(timeout=timeout),
                DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
            ],
        )
    except (RuntimeError, ValueError, OSError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the processes do not find each other ({reason:.120})",
            where,
            "start them with torchrun; to train in one, `unset WORLD_SIZE RANK LOCAL_RANK MASTER_ADDR MASTER_PORT`",
        ) from error
    finally:
        waiting.cancel()


def _find_torchrun(address: str, port: int) -> None:
    """Wait until torchrun, which holds the table through which its processes meet, answers; raises OSError."""
    until = time.monotonic() + MEETING
    while True:
        try:
            socket.create_connection((address, port), timeout=PATIENCE).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _meet(device: str, rank: int, size: int, address: tuple[str, int], timeout: timedelta) -> None:
    """Join processes that were started by hand; the first holds the table. Raises RuntimeError after `MEETING`."""
    table = torch.distributed.TCPStore(*address, size, rank == 0, timedelta(seconds=MEETING))
    table.set_timeout(timeout)
    backend = "gloo" if device == "cpu" else "nccl"
    torch.distributed.init_process_group(backend, timeout=timeout, store=table, rank=rank, world_size=size)


def _lost_peer(error: RuntimeError) -> bool:
    if isinstance(error, torch.distributed.DistError):
        return True
    return any(part in str(error).lower() for part in LOST)


def from_main(accelerator: OneProcess | Accelerator, value: str) -> str:
    """The main process's value, on every process."""
    if accelerator.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]
