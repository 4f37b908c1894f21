"""Where networks run: a device by its name."""

from __future__ import annotations

import torch

from speakerkd.errors import InputError


def choose_device(name: str = "auto", where: object = "--device") -> str:
    """The device of a name: auto, cpu, cuda, cuda:N or mps; auto is a GPU where there is one, else the CPU.

    Raises InputError for a device that is not there, or that cannot compute.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=torch.device(name))
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"no device '{name}' here ({reason:.80})", where, "use cpu or auto") from error
    return name
