"""speechbrain's ECAPA-TDNN and x-vector: embedding_model.ckpt, and hyperparams.yaml where it is to be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speakerkd.errors import InputError
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.published.source import Published, arguments, renamed, tensor
from speakerkd.models.speaker import SpeakerSettings

# what a model may say of itself, beyond what its weights' shapes say; None: anything that fits the shapes
ECAPA = {
    "input_size": None,
    "channels": None,
    "lin_neurons": None,
    "attention_channels": None,
    "kernel_sizes": [5, 3, 3, 3, 1],
    "dilations": [1, 2, 3, 4, 1],
    "res2net_scale": 8,
    "se_channels": 128,
    "global_context": True,
    "groups": [1, 1, 1, 1, 1],
    "dropout": 0.0,
    "device": None,
}
XVECTOR = {
    "in_channels": None,
    "tdnn_channels": None,
    "lin_neurons": None,
    "tdnn_blocks": 5,
    "tdnn_kernel_sizes": [5, 3, 3, 1, 1],
    "tdnn_dilations": [1, 2, 3, 1, 1],
    "activation": None,
    "device": None,
}
FEATURES = {
    "n_mels": None,
    "sample_rate": 16000,
    "n_fft": 400,
    "win_length": 25,
    "hop_length": 10,
    "left_frames": None,
    "right_frames": None,
    "deltas": False,
    "context": False,
    "requires_grad": False,
    "f_min": 0,
    "f_max": None,
}
NORM = {"norm_type": "sentence", "std_norm": False}


def read(state: Mapping[str, Tensor], config: Mapping[str, Any] | None, where: object) -> Published:
    """speechbrain's network in our terms: which of the two it is, and its sizes, follow from the weights.

    config: its hyperparams.yaml with constructors as plain mappings. Raises InputError for variants not known here.
    """
    ecapa = "blocks.0.conv.conv.weight" in state
    settings, moved = _ecapa(state, where) if ecapa else _xvector(state, where)
    notes = [] if config else ["no hyperparams.yaml: its usual features are assumed (mean of each band taken off)"]
    if config:
        _agree(config.get("embedding_model"), ECAPA if ecapa else XVECTOR, "embedding_model")
        features = _agree(config.get("compute_features"), FEATURES, "compute_features")
        if features.get("n_mels", settings.mels) != settings.mels:
            what = f"features of {features['n_mels']} bands, and weights for {settings.mels}"
            raise InputError(what, "compute_features of hyperparams.yaml", "give the model's own")
        _agree(config.get("mean_var_norm"), NORM, "mean_var_norm")
    frontend = FbankSettings(kind="speechbrain", mels=settings.mels, low=0, preemphasis=0)
    return Published(settings, moved, frontend, "whole", tuple(notes))


def _agree(values: Any, wanted: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A group of hyperparams.yaml, checked against what our network does."""
    where = "hyperparams.yaml"
    options = arguments(values if values is not None else {}, wanted, what, where)
    other = [f"{k}: {v}" for k, v in options.items() if wanted[k] is not None and v is not None and v != wanted[k]]
    if other:
        raise InputError(f"{what} with {', '.join(other)}", where, "this variant cannot be imported")
    return options


def _ecapa(state: Mapping[str, Tensor], where: object) -> tuple[SpeakerSettings, dict[str, Tensor]]:
    first = tensor(state, "blocks.0.conv.conv.weight", 3, where)
    attention = tensor(state, "asp.tdnn.conv.conv.weight", 3, where)
    fc = tensor(state, "fc.conv.weight", 3, where)
    moved = renamed(
        state,
        [
            ("blocks.", "blocks."),
            ("mfa.", "mfa."),
            ("asp.tdnn.conv.conv.", "pooling.attention.0."),
            ("asp.tdnn.norm.norm.", "pooling.attention.2."),
            ("asp.conv.conv.", "pooling.attention.4."),
            ("asp_bn.norm.", "norm."),
            ("fc.conv.", "fc."),
        ],
        where,
    )
    moved["fc.weight"] = moved["fc.weight"].flatten(1)
    settings = SpeakerSettings(
        name="ecapa",
        width=first.shape[0] / 1024,
        mels=first.shape[1],
        embedding=fc.shape[0],
        attention=attention.shape[0],
        cmvn="mean",
    )
    return settings, moved


def _xvector(state: Mapping[str, Tensor], where: object) -> tuple[SpeakerSettings, dict[str, Tensor]]:
    first = tensor(state, "blocks.0.conv.weight", 3, where)
    last = tensor(state, "blocks.16.w.weight", 2, where)
    fronts: list[tuple[str, str | None]] = [("blocks.16.w.", "fc.")]
    for layer in range(5):
        for part in range(3):
            fronts.append((f"blocks.{3 * layer + part}.", f"frames.{layer}.{part}."))
    settings = SpeakerSettings(
        name="xvector",
        width=first.shape[0] / 512,
        mels=first.shape[1],
        embedding=last.shape[0],
        pooling="tstp",
        cmvn="mean",
    )
    return settings, renamed(state, fronts, where)
