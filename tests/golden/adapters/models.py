"""Golden adapters of speakerkd.models, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py.

Networks get the weights and inputs of "Deterministic weights and inputs": 32-bit hashes of a name and a position.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import nn

from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.pooling import AttentiveStatisticsPooling, ChannelAttentivePooling
from speakerkd.models.speaker import SpeakerSettings, build_speaker

NETWORK = 1e-9  # relative, in float64; the files' own suggestion is 1e-7


def uniform(name: str, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) of a name."""
    word = 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B1 + zlib.crc32(name.encode("ascii"))) & word
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & word
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & word
    x ^= x >> 16
    return x / 2**32


def fill(network: nn.Module, rename=lambda name: name) -> nn.Module:
    """Give every weight and statistic the value of its (renamed) name; float64 and eval mode."""
    network.double().eval()
    prelu = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.PReLU)}
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        u = uniform(rename(name), tensor.numel())
        if tensor.ndim >= 2:
            value = (2 * u - 1) * np.sqrt(3 / (tensor.numel() / tensor.shape[0]))
        elif name in prelu:
            value = 0.2 + 0.1 * u
        elif name.endswith((".running_mean", ".bias")):
            value = 0.1 * (2 * u - 1)
        else:
            value = 0.75 + 0.5 * u
        tensor.copy_(torch.from_numpy(value).view_as(tensor))
    return network


def picture(case: str, *shape: int) -> torch.Tensor:
    """Case a reads input0, case b input1."""
    name = f"input{'ab'.index(case)}"
    return torch.from_numpy(2 * uniform(name, int(np.prod(shape))) - 1).view(shape)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def check_sums(arrays, name: str, output: torch.Tensor) -> None:
    """[mean, population standard deviation, sum |x|, first, last] of a map, and its shape where that is stored."""
    x = output.detach().numpy()
    sums = [x.mean(), x.std(), np.abs(x).sum(), x.flat[0], x.flat[-1]]
    arrays.check(f"chk.{name}", sums, NETWORK, 1e-12)
    if f"shape.{name}" in arrays:
        arrays.check(f"shape.{name}", x.shape, 0, 0)


def watched(network: nn.Module, names) -> dict[str, torch.Tensor]:
    """A dictionary that the next forward pass fills with the outputs of these modules, by their names."""
    seen: dict[str, torch.Tensor] = {}
    for name in names:
        network.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: seen.__setitem__(name, y))
    return seen


def detinit_check(arrays, case):
    for key, name in (
        ("u_input0", "input0"),
        ("u_conv", "input_layer.0.weight"),
        ("u_running_var", "body.0.res_layer.0.running_var"),
    ):
        arrays.check(key, uniform(name, 8), 0, 0)
    arrays.check("input0_first8", picture("a", 8), 0, 0)


def ir50(arrays, case):
    network = fill(build_face(FaceSettings(name="ir50")))
    arrays.check("param_count", parameters(network), 0, 0)
    seen = watched(network, ["input_layer", *(f"body.{i}" for i in (0, 2, 6, 20, 23))])
    with torch.no_grad():
        output = network(picture(case, 1, 3, 112, 112), maps=True)
    arrays.check("embedding", output.embedding, NETWORK)
    for name, value in seen.items():
        check_sums(arrays, name, value)
    for end, stage in zip((2, 6, 20, 23), output.maps, strict=True):
        assert stage is seen[f"body.{end}"]


def image(name):
    def adapter(arrays, case):
        network = fill(build_image(ImageSettings(name=name, classes=100, stem_map=True)))
        arrays.check("param_count", parameters(network), 0, 0)
        with torch.no_grad():
            output = network(picture(case, 2, 3, 32, 32), maps=True)
        arrays.check("logits", output.logits, NETWORK)
        arrays.check("embedding", output.embedding, NETWORK)
        for number, value in enumerate([*output.maps, output.embedding]):
            check_sums(arrays, f"feat{number}", value)

    return adapter


def resnetse34v2(arrays, case):
    network = build_speaker(SpeakerSettings(name="resnetse34v2"))
    fill(network, lambda name: name.removeprefix("pooling."))
    arrays.check("param_count", parameters(network), 0, 0)
    bands = picture(case, 2, 40, {"a": 50, "b": 37}[case])
    seen = watched(network, ["bn1", *(f"layer{i}" for i in (1, 2, 3, 4)), "pooling.attention"])
    inputs = []
    network.conv1.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    with torch.no_grad():
        output = network((bands + 1e-6).transpose(1, 2), maps=True)
    arrays.check("embedding", output.embedding, NETWORK)
    check_sums(arrays, "instancenorm", inputs[0][:, 0])
    for name, value in seen.items():
        if name == "pooling.attention":
            check_sums(arrays, "attention", value.softmax(2))
        else:
            check_sums(arrays, name, value)
    for number, stage in enumerate(output.maps, 1):
        assert stage is seen[f"layer{number}"]


def gradient_of_pattern(arrays, tag, output, inputs):
    """The files' gradient: of sum(output * coef), coef[i] = i % 5 - 2 over the flat index."""
    coefficients = (torch.arange(output.numel()) % 5 - 2).view_as(output)
    arrays.check_gradient((output * coefficients).sum(), inputs, tag)


def asp(arrays, case):
    feat = arrays.tensor("feat", grad=True)
    frames = feat.flatten(1, 2)  # (B, C * F, T)
    channels = frames.shape[1]

    by_channel = ChannelAttentivePooling(channels, 128)
    arrays.load(by_channel.attention, "v2.attention")
    output = by_channel(frames)
    arrays.check("out_v2_train", output)
    gradient_of_pattern(arrays, "grad_v2", output, {"feat": feat})
    for name in ("running_mean", "running_var"):
        arrays.check(f"v2.attention_after.2.{name}", getattr(by_channel.attention[2], name))
    arrays.check("out_v2_eval", by_channel.eval()(frames))

    by_frame = AttentiveStatisticsPooling(feat.shape[1], feat.shape[1]).double()
    state = {"hidden.weight": "L.sap_linear.weight", "hidden.bias": "L.sap_linear.bias"}
    weights = {ours: arrays.tensor(theirs) for ours, theirs in state.items()}
    by_frame.attention.load_state_dict({**weights, "score.weight": arrays.tensor("L.attention").T})
    output = by_frame(feat.mean(2))
    arrays.check("out_L", output)
    gradient_of_pattern(arrays, "grad_L", output, {"feat": feat})

    for tag, context in (("astp", None), ("astp_gc", "astp")):
        pooling = ChannelAttentivePooling(channels, len(arrays[f"{tag}.linear1.bias"]), "tanh", context, floor=1e-7)
        arrays.load(pooling, tag, lambda name: name.replace("linear1", "attention.0").replace("linear2", "attention.2"))
        output = pooling(frames)
        arrays.check(f"out_{tag}", output)
        gradient_of_pattern(arrays, f"grad_{tag}", output, {"feat": feat})


def asp_masked(arrays, case):
    x = arrays.tensor("x", grad=True)
    places = {"tdnn.conv.conv": "attention.0", "tdnn.norm.norm": "attention.2", "conv.conv": "attention.4"}

    def rename(name):
        front, _, last = name.rpartition(".")
        return f"{places[front]}.{last}"

    hidden = len(arrays["mod.tdnn.conv.conv.bias"])
    pooling = ChannelAttentivePooling(x.shape[1], hidden, "relu-bn-tanh", "ecapa", floor=1e-12)
    arrays.load(pooling, "mod", rename)
    frames = (arrays.tensor("lengths") * x.shape[2]).ceil().long()  # speechbrain: every frame that begins before
    output = pooling(x, frames)
    arrays.check("out", output)
    gradient_of_pattern(arrays, "grad", output, {"x": x})


NETS = ("resnet8x4", "resnet32x4", "vgg8", "vgg13", "MobileNetV2", "ShuffleV1", "ShuffleV2")

ADAPTERS = {
    "asp": asp,
    "asp_masked": asp_masked,
    "detinit_check": detinit_check,
    "ir50": ir50,
    "net_ResNetSE34V2": resnetse34v2,
    **{f"net_{name}": image(name) for name in NETS},
}
