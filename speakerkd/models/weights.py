"""Weights of other projects: read without running their code, loaded with every key accounted for."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.work.reading import check_file

# under which names trainers keep the network beside epoch, optimiser and the like
WRAPPERS = ("state_dict", "net_state_dict", "model_state_dict", "model", "network", "student")
# front of every key: DataParallel, torch.compile
PREFIXES = ("module.", "_orig_mod.")
PACKED = "._packed_params._packed_params"  # weight and bias of a linear layer in int8
COUNTER = "num_batches_tracked"  # counts training batches; no result depends on it


def load_foreign(path: Path | str) -> dict[str, Tensor]:
    """Read a state dict from a `.safetensors` file or a torch checkpoint, `{name: tensor}` on the CPU.

    A checkpoint is read with `weights_only=True`: nothing in it is executed. A state dict inside a dictionary
    (`state_dict`, `net_state_dict`, ...) is taken out, the prefixes of DataParallel and torch.compile removed, and
    int8 linear layers unpacked to `weight` and `bias`.
    Raises InputError for a file that is absent, damaged, or holds no tensors.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path)
    for name in WRAPPERS:
        inner = checkpoint.get(name)
        if isinstance(inner, Mapping) and any(isinstance(v, Tensor) for v in inner.values()):
            checkpoint = inner
            break
    state = _unpacked(checkpoint)
    if not state:
        keys = ", ".join(list(map(str, checkpoint))[:5])
        raise InputError(f"no tensors in it (it has: {keys or 'nothing'})", path, "give a file with a state dict")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _unpacked(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a state dict, those of torch's int8 linear layers in float."""
    layers = [str(key).removesuffix(PACKED) for key, value in checkpoint.items() if str(key).endswith(PACKED)]
    steps = {f"{layer}.{name}" for layer in layers for name in ("scale", "zero_point")}  # of activations
    state = {str(key): value for key, value in checkpoint.items() if isinstance(value, Tensor) and key not in steps}
    for layer in layers:
        weight, bias = checkpoint[layer + PACKED]
        state[f"{layer}.weight"] = weight.dequantize()
        if bias is not None:
            state[f"{layer}.bias"] = bias.detach()
    return state


def read_checkpoint(path: Path) -> Mapping[str, object]:
    """All that a weights file holds, nothing in it executed; raises InputError as `load_foreign` does."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_file(path, "weights file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_pickle(path):
            raise InputError(
                "it holds Python objects beside tensors and is not opened, since that would run code from the file",
                path,
                "save its state_dict alone, or as safetensors",
            ) from error
        raise InputError("not a checkpoint, or a damaged one", path, "download or copy it again") from error
    except (SafetensorError, EOFError, RuntimeError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise InputError("not a checkpoint, or a damaged one", path, "download or copy it again") from error
    if not isinstance(content, Mapping):
        raise InputError(f"it holds a {type(content).__name__}, not a state dict", path, "save the state_dict")
    return content


def _is_pickle(path: Path) -> bool:
    """Whether a file that `weights_only` refused is a sound one: torch's zip, or a pickle that says so and ends."""
    with open(path, "rb") as stream:
        start = stream.read(2)
        stream.seek(-1, os.SEEK_END)
        end = stream.read(1)
    return start == b"PK" or (start[:1] == pickle.PROTO and end == pickle.STOP)


def load_into(model: nn.Module, state: Mapping[str, Tensor], where: object, ignore: Sequence[str] = ()) -> None:
    """Copy a state dict into a network; every key must be there, known, of the right shape, and finite.

    `ignore`: prefixes of keys that the file may have beyond the network, such as its training classifier's.
    Raises one InputError that counts the missing, unexpected and misshaped keys and names the first of each.
    """
    wanted = model.state_dict()
    kept = {k: v for k, v in state.items() if k in wanted or not (k.startswith(tuple(ignore)) or k.endswith(COUNTER))}
    missing = [k for k in wanted if k not in kept and not k.endswith(COUNTER)]
    unexpected = [k for k in kept if k not in wanted]
    misshaped = [k for k in kept if k in wanted and kept[k].shape != wanted[k].shape]
    faults = [_listing("missing", missing), _listing("unexpected", unexpected)]
    if misshaped:
        key = misshaped[0]
        shapes = f"{key} is {_shape(kept[key])} in the file and {_shape(wanted[key])} in the network"
        faults.append(f"{len(misshaped)} of another shape ({shapes})")
    if any(faults):
        raise InputError(
            f"weights of another network than {type(model).__name__}: " + ", ".join(f for f in faults if f),
            where,
            "give the weights of this network, or settings that fit them",
        )
    infinite = [k for k, v in kept.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if infinite:
        raise InputError(_listing("weights not finite", infinite), where, "give undamaged weights")
    model.load_state_dict({**{k: v for k, v in wanted.items() if k.endswith(COUNTER)}, **kept})


def _listing(kind: str, keys: Sequence[str], shown: int = 3) -> str:
    if not keys:
        return ""
    more = ", ..." if len(keys) > shown else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:shown])}{more})"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def from_voxceleb_trainer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of voxceleb_trainer's ResNetSE34V2 checkpoints in ours (`resnetse34v2`).

    Takes the network out of the trainer's wrapper (`__S__.`), leaves its loss (`__L__.`) and its Mel front end
    (`torchfb.`) behind, and moves the attention into the pooling.
    """
    renamed = {}
    for key, value in state.items():
        ours = key.removeprefix("module.").removeprefix("__S__.")
        if not ours.startswith(("__L__.", "torchfb.", "instancenorm.")):
            renamed["pooling." + ours if ours.startswith("attention.") else ours] = value
    return renamed
