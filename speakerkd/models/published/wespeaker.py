"""wespeaker (Wang et al. 2023): a state dict (avg_model.pt) and the config.yaml beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speakerkd.errors import InputError, nearest
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.published.source import Published, arguments, renamed
from speakerkd.models.speaker import SpeakerSettings
from speakerkd.models.speaker_redimnet import SIZES

RESNETS = {f"ResNet{n}": f"resnet{n}" for n in (18, 34, 50, 101, 152, 221, 293)}
REDIMNETS = {f"ReDimNetB{n}": f"redimnet_b{n}" for n in range(7)}
KNOWN = (*RESNETS, "CAMPPlus", *REDIMNETS)
POOLINGS = {"TAP": "mean", "TSTP": "tstp", "ASTP": "astp"}
ARGUMENTS = ("feat_dim", "embed_dim", "pooling_func", "two_emb_layer")
FEATURES = ("num_mel_bins", "frame_shift", "frame_length", "dither")
CLASSIFIER = "projection."


def read(state: Mapping[str, Tensor], config: Mapping[str, Any] | None, where: object) -> Published:
    """wespeaker's network in our terms. Raises InputError for networks, poolings and settings not known here."""
    if config is None:
        raise InputError("a wespeaker checkpoint needs its config", where, "give config.yaml with --config")
    name = str(config.get("model"))
    if name not in KNOWN:
        raise InputError(f"wespeaker's network '{name}'", "model of its config", nearest(name, KNOWN))
    options = arguments(config.get("model_args", {}), ARGUMENTS, "model_args", "its config")
    two = bool(options.get("two_emb_layer", False))
    redimnet = name in REDIMNETS
    pooling = str(options.get("pooling_func", "ASTP" if redimnet else "TSTP"))
    if pooling not in POOLINGS:
        raise InputError(f"wespeaker's pooling '{pooling}'", "its config", nearest(pooling, POOLINGS))
    ours = POOLINGS[pooling] + ("_context" if redimnet and pooling == "ASTP" else "")
    frontend = _frontend(config)
    mels = int(options.get("feat_dim", 60 if name == "ReDimNetB0" else 72 if redimnet else 80))
    if frontend.mels != mels:
        what = f"features of {frontend.mels} bands, and a network that reads {mels}"
        raise InputError(what, "its config", "give the config that the network was trained with")
    default = 192 if redimnet else 512 if name == "CAMPPlus" else 256
    values: dict[str, Any] = {"mels": mels, "embedding": int(options.get("embed_dim", default)), "cmvn": "mean"}
    values |= {"pooling": ours, "second_layer": two}
    if redimnet:
        values |= _redimnet(REDIMNETS[name], mels)
    else:
        values["name"] = RESNETS.get(name, "campplus")
    if name in RESNETS:
        values |= {"width": 0.5, "normalise": False}
    settings = SpeakerSettings(**values)
    names = _campplus if name == "CAMPPlus" else _redimnet_keys if redimnet else _resnet_keys
    moved = names({key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}, where)
    return Published(settings, moved, frontend, "whole", _notes(state))


def _notes(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    left = [key for key in state if key.startswith(CLASSIFIER)]
    notes = ("its authors subtract a training set's mean embedding before the cosine: `score --subtract-mean`",)
    return notes + ((f"its training classifier was left behind ({len(left)} keys)",) if left else ())


def _redimnet(name: str, mels: int) -> dict[str, Any]:
    """wespeaker's ReDimNets have no BatchNorm after the pooling."""
    return {"name": "redimnet", "redimnet": SIZES[name].model_copy(update={"bands": mels, "norm": False})}


def _frontend(config: Mapping[str, Any]) -> FbankSettings:
    data = config.get("dataset_args", {})
    kind = data.get("frontend", "fbank")
    if kind != "fbank":
        raise InputError(f"wespeaker's front end '{kind}'", "dataset_args of its config", "only fbank is known here")
    cmvn = data.get("cmvn_args", {})
    if data.get("cmvn", True) is False or cmvn.get("norm_mean", True) is False or cmvn.get("norm_var", False):
        what = "features without mean normalisation, or with variance normalisation"
        raise InputError(what, "dataset_args of its config", "this variant cannot be imported")
    options = arguments(data.get("fbank_args", {}), FEATURES, "fbank_args", "its config")
    return FbankSettings(
        mels=options.get("num_mel_bins", 80),
        rate=data.get("resample_rate", 16000),
        frame_length=options.get("frame_length", 25),
        frame_shift=options.get("frame_shift", 10),
    )


def _resnet_keys(state: Mapping[str, Tensor], where: object) -> dict[str, Tensor]:
    moved = renamed(state, [(f, f) for f in ("conv1.", "bn1.", "layer")] + [*POOL, *LAST], where)
    return {key.replace(".shortcut.", ".downsample."): value for key, value in moved.items()}


POOL = [("pool.linear1.", "pooling.attention.0."), ("pool.linear2.", "pooling.attention.2.")]
LAST = [("seg_1.", "fc."), ("seg_bn_1.", "second.1."), ("seg_2.", "second.2.")]


def _campplus(state: Mapping[str, Tensor], where: object) -> dict[str, Tensor]:
    fronts: list[tuple[str, str | None]] = [
        ("head.", "head."),
        ("xvector.tdnn.linear.", "tdnn.0."),
        ("xvector.tdnn.nonlinear.batchnorm.", "tdnn.1."),
        ("xvector.out_nonlinear.batchnorm.", "out_nonlinear.0."),
        ("xvector.dense.linear.", "fc."),
        ("xvector.dense.nonlinear.batchnorm.", "norm."),
        # the pooling stands twice among the modules, and has no weights in CAM++ as published
        ("pool.linear1.", None),
        ("pool.linear2.", None),
        ("xvector.stats.linear1.", "pooling.attention.0."),
        ("xvector.stats.linear2.", "pooling.attention.2."),
    ]
    for block in range(3):
        for layer in range(24):
            front, ours = f"xvector.block{block + 1}.tdnnd{layer + 1}.", f"blocks.{block}.{layer}."
            fronts += [
                (f"{front}nonlinear1.batchnorm.", f"{ours}nonlinear1.0."),
                (f"{front}nonlinear2.batchnorm.", f"{ours}nonlinear2.0."),
                (front, ours),
            ]
        fronts += [
            (f"xvector.transit{block + 1}.nonlinear.batchnorm.", f"transits.{block}.0."),
            (f"xvector.transit{block + 1}.linear.", f"transits.{block}.2."),
        ]
    moved = renamed(state, fronts, where)
    if "fc.weight" in moved:
        moved["fc.weight"] = moved["fc.weight"].flatten(1)
    return moved


def _redimnet_keys(state: Mapping[str, Tensor], where: object) -> dict[str, Tensor]:
    stages = sum(1 for key in state if key.startswith("backbone.inputs_weights.")) - 1
    fronts: list[tuple[str, str | None]] = [(f"backbone.{part}.", f"{part}.") for part in ("stem", "mfa")]
    fronts += [*POOL, *LAST]
    for number in range(stages):
        fronts.append((f"backbone.stage{number}.", f"stages.{number}."))
    moved = {}
    for key, value in state.items():
        weight = re.fullmatch(r"backbone\.inputs_weights\.(\d+)", key)
        if weight:
            number = int(weight[1])
            moved[f"stages.{number}.0.w" if number < stages else "last.w"] = value
            continue
        ours = next(iter(renamed({key: value}, fronts, where)))
        part = re.fullmatch(r"(stages\.\d+)\.(\d+)\.(.+)", ours)
        # ours counts the weighted sum and the change to a map, which come first, among a stage's modules
        moved[f"{part[1]}.{int(part[2]) + 2}.{part[3]}" if part else ours] = value
    return moved
