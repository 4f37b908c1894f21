"""ReDimNet's own releases (Yakovlev et al. 2024): a file with `model_config` and `state_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speakerkd.errors import InputError, nearest
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.published.source import Published, arguments, renamed
from speakerkd.models.speaker import SpeakerSettings
from speakerkd.models.speaker_redimnet import ReDimNetSettings, Stage

KNOWN = (
    "F",
    "C",
    "block_1d_type",
    "block_2d_type",
    "stages_setup",
    "group_divisor",
    "out_channels",
    "embed_dim",
    "num_classes",
    "class_dropout",
    "feat_agg_dropout",
    "head_activation",
    "hop_length",
    "pooling_func",
    "feat_type",
    "global_context_att",
    "emb_bn",
    "spec_params",
    "return_all_outputs",
    "tf_optimized_arch",
)
# of `spec_params`; masks act in training alone
SPECTRUM = (
    "sample_rate",
    "win_length",
    "f_min",
    "f_max",
    "n_fft",
    "norm_signal",
    "do_preemph",
    "spec_norm",
    "eps",
    "do_spec_aug",
    "freq_start_bin",
    "num_apply_spec_aug",
    "freq_mask_width",
    "time_mask_width",
)
FEATURES = {"pt": "torchaudio", "pt_mel": "torchaudio", "tf": "tensorflow", "tf_mel": "tensorflow"}
POOLINGS = {"ASTP": "astp", "TSTP": "tstp", "TAP": "mean"}


def read(state: Mapping[str, Tensor], config: Mapping[str, Any] | None, where: object) -> Published:
    """ReDimNet in our terms; config: the file's own `model_config`. Raises InputError for variants not known here."""
    if config is None:
        raise InputError("no `model_config` in the file", where, "give the released file as it is")
    options = arguments(config, KNOWN, "model_config", where)
    if options.get("tf_optimized_arch"):
        raise InputError("the variant `tf_optimized_arch`", where, "this variant cannot be imported")
    pooling = str(options.get("pooling_func", "ASTP"))
    if pooling not in POOLINGS:
        raise InputError(f"ReDimNet's pooling '{pooling}'", where, nearest(pooling, POOLINGS))
    context = "_context" if pooling == "ASTP" and options.get("global_context_att", False) else ""
    try:
        shape = ReDimNetSettings(
            bands=options.get("F", 72),
            channels=options.get("C", 16),
            context=options.get("block_1d_type", "att"),
            block=options.get("block_2d_type", "convnext_like"),
            groups=options.get("group_divisor", 4),
            outputs=options.get("out_channels"),
            last_norm=bool(options.get("emb_bn", False)),
            stages=[
                Stage(stride=stride, blocks=blocks, expansion=expansion, reduction=reduction)
                for stride, blocks, expansion, _, reduction in options.get("stages_setup", ())
            ],
        )
        settings = SpeakerSettings(
            name="redimnet",
            redimnet=shape,
            mels=shape.bands,
            embedding=options.get("embed_dim", 192),
            pooling=POOLINGS[pooling] + context,
            cmvn="mean",
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"a `model_config` that does not fit ({error})", where, "give the released file") from error
    fronts: list[tuple[str, str | None]] = [
        ("backbone.stem.", "stem."),
        ("backbone.mfa.", "mfa."),
        ("backbone.fin_wght1d.", "last."),
        ("pool.linear1.", "pooling.attention.0."),
        ("pool.linear2.", "pooling.attention.2."),
        ("bn.", "norm."),
        ("linear.", "fc."),
        ("bn2.", "last_norm."),
        ("spec.", None),  # windows and filters
        ("cls_head.", None),
        *((f"backbone.stage{number}.", f"stages.{number}.") for number in range(len(shape.stages))),
    ]
    notes = ("its training classifier was left behind",) if any(k.startswith("cls_head.") for k in state) else ()
    return Published(settings, renamed(state, fronts, where), _frontend(options, shape.bands, where), "whole", notes)


def _frontend(options: Mapping[str, Any], bands: int, where: object) -> FbankSettings:
    kind = str(options.get("feat_type", "pt"))
    if kind not in FEATURES:
        raise InputError(f"features of type '{kind}'", where, f"known: {', '.join(FEATURES)}")
    spectrum = arguments(options.get("spec_params", {}), SPECTRUM, "spec_params", where)
    norm, fft = spectrum.get("spec_norm", "mn"), spectrum.get("n_fft", 512)
    if norm != "mn" or fft != 512:
        raise InputError(f"features of spec_norm {norm} and n_fft {fft}", where, "this variant cannot be imported")
    rate = spectrum.get("sample_rate", 16000)
    return FbankSettings(
        kind=FEATURES[kind],
        mels=bands,
        rate=rate,
        frame_length=1000 * spectrum.get("win_length", 400) / rate,
        frame_shift=1000 * options.get("hop_length", 160) / rate,
        low=spectrum.get("f_min", 20),
        high=spectrum.get("f_max", 7600),
        preemphasis=0.97 if spectrum.get("do_preemph", True) else 0.0,
        scale_wave=bool(spectrum.get("norm_signal", False)),
    )
