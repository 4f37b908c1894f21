"""Checkpoints: the whole state of a run in tensors and JSON, written whole or not at all, checked before they are used.

checkpoints/step-N/weights.safetensors    modules, with their buffers
                   optimizer.safetensors  the optimiser's state, by parameter name
                   random.safetensors     random states
                   state.json             step, settings, figures; sizes and digests of the files beside it
"""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.maths import total
from speakerkd.version import __version__
from speakerkd.work.files import below, digest, whole_dir, write_json
from speakerkd.work.records import read_json

log = logging.getLogger(__name__)


class FileState(BaseModel):
    """A file as it was written."""

    bytes: int
    sha256: str


class State(BaseModel):
    """The JSON part of a checkpoint: where the run stood.

    metric: the task's figure of these weights; metrics: of each network of several. regular: the settings, not the
    clock, asked for it.
    """

    step: int = Field(ge=0)
    version: str
    files: dict[str, FileState]
    figures: dict[str, float] = Field(default_factory=dict)
    metric: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    regular: bool = False


@dataclass(slots=True)
class Checkpoint:
    """A checkpoint that was read. weights: {module: {name: tensor}}."""

    path: Path
    step: int
    state: State
    weights: dict[str, dict[str, Tensor]]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]


def save_checkpoint(
    folder: Path, step: int, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> Path:
    """Write `folder/step-<step>`. state: anything that is JSON; metrics under "metrics" decide which stay as best.

    Raises InputError where the folder cannot be written to or is full; nothing half-written then stays.
    """
    path = folder / f"step-{step}"
    weights = {f"{name}.{key}": t for name, module in modules.items() for key, t in module.state_dict().items()}
    try:
        with whole_dir(path) as part:
            save_file(_separate(weights), part / "weights.safetensors")
            save_file(_separate(_optimizer_tensors(modules, optimizer)), part / "optimizer.safetensors")
            save_file(_random_tensors(), part / "random.safetensors")
            files = {}
            for file in sorted(part.iterdir()):
                _to_disk(file)
                files[file.name] = {"bytes": file.stat().st_size, "sha256": digest(file)}
            record = {**state, "step": step, "version": __version__, "files": files}
            write_json(part / "state.json", record)
    except (InputError, SafetensorError, OSError) as error:
        reason = error.what if isinstance(error, InputError) else f"cannot be written ({_reason(error)})"
        last = newest_step(folder)
        kept = f"the last good checkpoint is step-{last}" if last is not None else "no checkpoint is there yet"
        fix = f"free space there, or check its rights, then --resume; {kept}"
        raise InputError(f"the checkpoint {reason}", path, fix) from error
    return path


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def steps_there(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, ascending."""
    if not folder.is_dir():
        return []
    matches = (re.fullmatch(r"step-(\d+)", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def newest_step(folder: Path) -> int | None:
    there = steps_there(folder)
    return there[-1] if there else None


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, damaged ones passed over with a warning; None where there is none.

    Raises InputError where all are damaged.
    """
    there = steps_there(folder)
    for step in reversed(there):
        try:
            return load_checkpoint(folder / f"step-{step}")
        except InputError as error:
            log.warning("%s is damaged (%s), the one before it is taken", error.where, error.what)
    if there:
        raise InputError("every checkpoint is damaged", folder, "remove the folder and train again")
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises InputError where a file is missing or not as it was written."""
    fix = "take an older checkpoint"
    try:
        state = read_json(path / "state.json", State, fix)
        for name, wanted in state.files.items():
            file = below(path, name)
            if file.stat().st_size != wanted.bytes or digest(file) != wanted.sha256:
                raise InputError(f"{name} is not as it was written", path, fix)
        flat = load_file(path / "weights.safetensors")
        optimizer = load_file(path / "optimizer.safetensors")
        states = load_file(path / "random.safetensors")
    except FileNotFoundError as error:
        raise InputError(f"{Path(error.filename).name} is missing", path, fix) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"cannot be read: {error}", path, fix) from error
    weights: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        module, _, key = name.partition(".")
        weights.setdefault(module, {})[key] = tensor
    return Checkpoint(path, state.step, state, weights, optimizer, states)


def restore(checkpoint: Checkpoint, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Put weights, optimiser and random states back.

    Raises InputError that names what does not fit, for a checkpoint of another model.
    """
    for name, module in modules.items():
        load_strictly(module, checkpoint.weights.get(name, {}), f"{name} of {checkpoint.path}")
    _restore_optimizer(checkpoint, modules, optimizer)
    _restore_random(checkpoint.random)


def load_strictly(module: nn.Module, weights: dict[str, Tensor], where: object) -> None:
    """Load weights, every key accounted for.

    Raises InputError with the first that is missing, unknown or of another shape.
    """
    own = module.state_dict()
    fix = "it was made with other settings, take the checkpoint of this model"
    for key, tensor in own.items():
        if key not in weights:
            raise InputError(f"no weights for '{key}'", where, fix)
        if weights[key].shape != tensor.shape:
            shapes = f"{tuple(weights[key].shape)}, the model's is {tuple(tensor.shape)}"
            raise InputError(f"'{key}' has shape {shapes}", where, fix)
    unknown = sorted(weights.keys() - own.keys())
    if unknown:
        raise InputError(f"the model has no '{unknown[0]}' ({len(unknown)} unknown)", where, fix)
    module.load_state_dict(weights)


def prune(folder: Path, keep_last: int, keep_best: int, lower_is_better: bool, networks: Iterable[str] = ()) -> None:
    """Remove checkpoints other than the newest, the last regular ones, and those with the best metric.

    keep_last, keep_best: how many of these stay. networks: names in `metrics`, of which the best stay too. What a
    killed run left half-written goes.
    """
    for path in folder.glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)
    there = steps_there(folder)
    stay = {*there[-1:], *regular_steps(folder)[-keep_last:], *best_steps(folder, keep_best, lower_is_better)}
    for name in networks:
        stay.update(best_steps(folder, keep_best, lower_is_better, name))
    for step in there:
        if step not in stay:
            shutil.rmtree(folder / f"step-{step}", ignore_errors=True)


def regular_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints that the settings, not the clock, asked for; ascending."""
    return [step for step in steps_there(folder) if (state := _state(folder, step)) is not None and state.regular]


def _state(folder: Path, step: int) -> State | None:
    """The JSON part of a checkpoint, None where it cannot be read."""
    try:
        return read_json(folder / f"step-{step}" / "state.json", State, "")
    except InputError:
        return None


def best_steps(folder: Path, count: int, lower_is_better: bool, network: str | None = None) -> list[int]:
    """Steps of the `count` checkpoints with the best metric (or a network's), best first; of equal ones the newer."""
    scored = []
    for step in steps_there(folder):
        state = _state(folder, step)
        metric = None if state is None else state.metric if network is None else state.metrics.get(network)
        if metric is not None:
            scored.append((metric if lower_is_better else -metric, -step))
    return [-step for _, step in sorted(scored)[:count]]


def average(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several states of one module, summed in float64; whole numbers are the last one's."""
    last = states[-1]
    return {
        key: (total(state[key].double() for state in states) / len(states)).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in last.items()
    }


def parameter_names(modules: dict[str, nn.Module]) -> dict[int, str]:
    """{id of a parameter: its name}; a parameter that several modules share has its first name."""
    names: dict[int, str] = {}
    for module, part in modules.items():
        for key, parameter in part.named_parameters():
            names.setdefault(id(parameter), f"{module}.{key}")
    return names


def _optimizer_tensors(modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    names = parameter_names(modules)
    result = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if value is not None:
                result[f"{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    return result


def _restore_optimizer(checkpoint: Checkpoint, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    by_name: dict[str, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.optimizer.items():
        parameter, _, key = name.rpartition("/")
        by_name.setdefault(parameter, {})[key] = tensor
    names = parameter_names(modules)
    state: dict[int, dict[str, Tensor]] = {}
    position = 0
    groups = optimizer.state_dict()["param_groups"]
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            stored = by_name.pop(names[id(parameter)], None)
            if stored is not None:
                state[position] = {key: _laid_out_as(parameter, tensor) for key, tensor in stored.items()}
            position += 1
    if by_name:
        raise InputError(
            f"the optimiser's state has an unknown parameter '{next(iter(by_name))}'",
            checkpoint.path,
            "it was made with other settings, take the checkpoint of this model",
        )
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The tensor in the parameter's memory order (channels-last, say): fused optimisers read both side by side."""
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def _random_tensors() -> dict[str, Tensor]:
    version, internal, gauss = random.getstate()
    legacy = np.random.get_state(legacy=False)
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(internal, dtype=torch.int64),
        "python_gauss": torch.tensor([version, gauss is not None, gauss or 0.0], dtype=torch.float64),
        "numpy": torch.from_numpy(legacy["state"]["key"].astype(np.int64)),
        "numpy_rest": torch.tensor([legacy["state"]["pos"], legacy["has_gauss"], legacy["gauss"]], dtype=torch.float64),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        tensors["cuda"] = torch.cuda.get_rng_state()
    return tensors


def _restore_random(tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    version, has, gauss = tensors["python_gauss"].tolist()
    random.setstate((int(version), tuple(tensors["python"].tolist()), gauss if has else None))
    position, has_gauss, gauss = tensors["numpy_rest"].tolist()
    state = {"key": tensors["numpy"].numpy().astype(np.uint32), "pos": int(position)}
    np.random.set_state({"bit_generator": "MT19937", "state": state, "has_gauss": int(has_gauss), "gauss": gauss})


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory, as safetensors wants them."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().contiguous().cpu()
        if plain.data_ptr() in seen:
            plain = plain.clone()
        seen.add(plain.data_ptr())
        result[name] = plain
    return result


def _to_disk(path: Path) -> None:
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
