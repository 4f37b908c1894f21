"""voxceleb_trainer (Chung et al. 2020): ResNetSE34L and ResNetSE34V2; the config it was trained with may be given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speakerkd.errors import InputError
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.published.source import Published, renamed, tensor
from speakerkd.models.speaker import SpeakerSettings

NAMES = {"ResNetSE34L": "resnetse34l", "ResNetSE34V2": "resnetse34v2"}
BANDS = 8  # the last map of ResNetSE34V2 has an eighth of the bands
FILTERS = ("torchfb.mel_scale.fb", "torchfb.1.mel_scale.fb")


def read(state: Mapping[str, Tensor], config: Mapping[str, Any] | None, where: object) -> Published:
    """voxceleb_trainer's network in our terms: which of the two it is, and its sizes, follow from the weights."""
    options = dict(config or {})
    loss = [key for key in state if key.startswith("__L__.")]
    state = {key.removeprefix("__S__."): value for key, value in state.items() if not key.startswith("__L__.")}
    stem = tensor(state, "conv1.weight", 4, where)
    name = "ResNetSE34L" if stem.shape[-1] == 7 else "ResNetSE34V2"
    if options.get("model", name) != name:
        what = f"weights of {name}, and a config of {options['model']}"
        raise InputError(what, where, f"the names known are {', '.join(NAMES)}")
    if options.get("log_input") is False:
        raise InputError("a network trained without `log_input`", where, "this variant cannot be imported")
    fc = tensor(state, "fc.weight", 2, where)
    last = tensor(state, "layer4.0.conv1.weight", 4, where).shape[0]
    filters = next((state[key] for key in FILTERS if key in state), None)
    fixed: list[tuple[str, str | None]] = [(f, f) for f in ("conv1.", "bn1.", "layer", "fc.")]
    fixed += [("torchfb.", None), ("instancenorm.", None)]
    notes = [f"its loss was left behind ({len(loss)} keys)"] if loss else []
    if name == "ResNetSE34L":
        pooling = "sap" if fc.shape[1] == last else "asp"
        mels = filters.shape[1] if filters is not None else int(options.get("n_mels", 40))
        if filters is None and "n_mels" not in options:
            notes.append("neither the file nor a config says how many bands it reads: 40 are assumed")
        attention = tensor(state, "attention", 2, where)
        fronts = [*fixed, ("sap_linear.", "pooling.attention.hidden."), ("attention", "pooling.attention.score.weight")]
        moved = renamed({**state, "attention": attention.T}, fronts, where)
        hidden = attention.shape[0]
    else:
        inputs = tensor(state, "attention.0.weight", 3, where)
        mels = inputs.shape[1] // last * BANDS
        # one attention weight a channel: SAP takes the mean alone, which no pooling of ours does by channel
        if fc.shape[1] != 2 * inputs.shape[1]:
            raise InputError("ResNetSE34V2 with SAP", where, "import one with encoder_type ASP")
        pooling, hidden = "asp_channel", inputs.shape[0]
        moved = renamed(state, [*fixed, ("attention.", "pooling.attention.")], where)
    if options.get("n_mels", mels) != mels:
        raise InputError(f"weights for {mels} bands, and a config of {options['n_mels']}", where, "give its own config")
    if "log_input" not in options:
        notes.append("trained with `log_input`, as the published ones are, it is assumed")
    share = stem.shape[0] / 64
    settings = SpeakerSettings(
        name=NAMES[name], width=share, mels=mels, embedding=fc.shape[0], pooling=pooling, attention=hidden
    )
    emphasis = 0.97 if name == "ResNetSE34V2" else 0.0
    frontend = FbankSettings(kind="torchaudio", mels=mels, low=0, preemphasis=emphasis)
    return Published(settings, moved, frontend, "crops", tuple(notes))
