"""A published checkpoint becomes an experiment directory that every verb takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from speakerkd.config import read_yaml, to_yaml
from speakerkd.errors import InputError, nearest
from speakerkd.models.published import redimnet, speechbrain, voxceleb_trainer, wespeaker
from speakerkd.models.published.source import Published
from speakerkd.models.speaker import build_speaker
from speakerkd.models.trained_model import DESCRIPTION, Origin, save_trained_model
from speakerkd.models.weights import load_foreign, load_into, read_checkpoint
from speakerkd.work.files import digest, whole_file

Reader = Callable[[Mapping[str, Tensor], Mapping[str, Any] | None, object], Published]
PROJECTS: dict[str, Reader] = {
    "wespeaker": wespeaker.read,
    "speechbrain": speechbrain.read,
    "voxceleb_trainer": voxceleb_trainer.read,
    "redimnet": redimnet.read,
}
# what the files are called in a folder as its project gives it out: weights, config
FILES = {
    "wespeaker": (("avg_model.pt", "final_model.pt", "model.pt"), ("config.yaml",)),
    "speechbrain": (("embedding_model.ckpt",), ("hyperparams.yaml",)),
    "voxceleb_trainer": ((), ()),
    "redimnet": ((), ()),
}
FINETUNE = "finetune.yaml"


@dataclass(frozen=True, slots=True)
class Converted:
    """An imported model: its folder, the network's name, parameters, and what the user should know."""

    directory: Path
    network: str
    parameters: int
    published: Published


def convert(
    project: str, checkpoint: Path | str, directory: Path | str, *, config: Path | str | None = None
) -> Converted:
    """Import a published network as the experiment directory `directory`.

    project: wespeaker, speechbrain, voxceleb_trainer or redimnet. checkpoint: its weights, or a folder with them under
    the project's usual names. config: its YAML, where the checkpoint is not in one folder with it. Nothing in the
    files is executed. Writes model.safetensors, model.json and finetune.yaml, to be laid over a training config.

    Raises InputError for unknown projects and networks, weights whose keys or shapes do not all fit, and a directory
    that holds a model already.
    """
    if project not in PROJECTS:
        raise InputError(f"unknown project '{project}'", "speakerkd import", nearest(project, PROJECTS))
    directory = Path(directory)
    if (directory / DESCRIPTION).exists():
        raise InputError("there is a model here already", directory, "give another folder, or remove this one")
    weights, described = _files(project, Path(checkpoint), None if config is None else Path(config))
    values: Mapping[str, Any] | None = None if described is None else _plain_yaml(described)
    if project == "redimnet":
        values = _embedded_config(weights, values)
    published = PROJECTS[project](load_foreign(weights), values, weights)
    network = build_speaker(published.settings).eval()
    load_into(network, published.state, weights)
    with torch.no_grad():
        trial = network(torch.randn(1, 200, published.settings.mels, generator=torch.Generator().manual_seed(0)))
    if not torch.isfinite(trial.embedding).all():
        raise InputError("its embeddings are not finite", weights, "give undamaged weights")
    directory.mkdir(parents=True, exist_ok=True)
    save_trained_model(
        directory,
        task="speaker",
        student=network,
        settings=published.settings,
        frontend=published.frontend,
        protocol=published.protocol,
        origin=Origin(project=project, file=weights.name, digest=digest(weights)),
    )
    with whole_file(directory / FINETUNE) as stream:
        stream.write(
            "# Laid over a training config, this starts from the imported network: `speakerkd train CONFIG THIS`.\n"
        )
        student = "".join(f"  {line}\n" for line in to_yaml(published.settings).splitlines() if line[:8] != "weights:")
        stream.write(
            f"student:\n{student}train:\n  init: {yaml.safe_dump(str(directory.absolute())).splitlines()[0]}\n"
        )
    return Converted(directory, published.settings.name, sum(p.numel() for p in network.parameters()), published)


def _files(project: str, checkpoint: Path, config: Path | None) -> tuple[Path, Path | None]:
    """The weights' file and the config's."""
    weights, configs = FILES[project]
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    if checkpoint.is_dir():
        paths = [folder / name for name in weights if (folder / name).is_file()]
        if not paths:
            usual = f" ({', '.join(weights)})" if weights else ""
            raise InputError(f"a folder without the usual file of weights{usual}", checkpoint, "name the file itself")
        checkpoint = paths[0]
    if config is None:
        config = next((folder / name for name in configs if (folder / name).is_file()), None)
    return checkpoint, config


def _embedded_config(weights: Path, config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """ReDimNet's files hold their config beside the weights."""
    inner = read_checkpoint(weights).get("model_config")
    return inner if isinstance(inner, Mapping) else config


class _Plain(yaml.SafeLoader):
    """Reads a constructor's arguments as a mapping and makes nothing of it; `<key>` refers to a value of the file."""


def _arguments(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)  # the third and last kind of node
    return loader.construct_scalar(node)


_Plain.add_multi_constructor("!", _arguments)


def _plain_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping whose tags (`!new:`, `!ref`) are read as plain values."""
    if not path.is_file():
        return read_yaml(path)  # says what is wrong
    try:
        values = yaml.load(path.read_text("utf-8"), Loader=_Plain)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"not valid YAML ({str(error).splitlines()[0]})", path, "give the model's config") from error
    if not isinstance(values, dict):
        raise InputError("a config is a mapping of keys to values", path, "give the model's config")
    return {key: _resolved(value, values) for key, value in values.items()}


def _resolved(value: Any, values: Mapping[str, Any], depth: int = 0) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(inner, values, depth) for key, inner in value.items()}
    named = isinstance(value, str) and value.startswith("<") and value.endswith(">") and depth < 8
    return _resolved(values.get(value[1:-1]), values, depth + 1) if named else value
