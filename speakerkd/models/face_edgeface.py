"""EdgeFace (George et al. 2023): timm's EdgeNeXt with 512 outputs, from its authors' torch weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from speakerkd.errors import InputError
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.precision import run_full
from speakerkd.models.weights import load_foreign, load_into
from speakerkd.tensors import Output

# channels of the stem -> network of timm: EdgeFace-XXS, -XS, -S and -Base
NETWORKS = {24: "edgenext_xx_small", 32: "edgenext_x_small", 48: "edgenext_small", 80: "edgenext_base"}


class EdgeFace(FaceNetwork):
    """Pictures (B, 3, 112, 112) in [-1, 1] to embeddings (B, 512); the maps are the four stages' outputs.

    weights: a file of EdgeFace in any size, which its stem tells; layers of low rank (`gamma`) are made whole.
    None: EdgeFace-XS with fresh weights.
    """

    dim = 512

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        try:
            import timm
            from timm.models.edgenext import EdgeNeXt
        except ImportError as error:
            fix = "install the extra: pip install 'speakerkd[timm]'"
            raise InputError("timm is not installed", "the teacher 'edgeface'", fix) from error
        state = None if weights is None else whole_layers(load_foreign(weights))
        stem = None if state is None else state.get("stem.0.weight")
        channels = 32 if state is None else len(stem) if stem is not None else 0
        if channels not in NETWORKS:
            raise InputError("not the weights of an EdgeFace", str(weights), "give a .pt file of EdgeFace's authors")
        network = timm.create_model(NETWORKS[channels], num_classes=self.dim)
        assert isinstance(network, EdgeNeXt)
        self.network = network
        if state is not None and weights is not None:
            load_into(self.network, state, weights)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        x = self.network.stem(x)  # (B, 3, 112, 112) to (B, C, 28, 28)
        stages = []
        for stage in self.network.stages:
            x = stage(x)  # (B, C, H, W), the sides halved but in the first
            stages.append(x)
        embedding = run_full(self.network.head, self.network.norm_pre(x))  # (B, D)
        return Output(embedding, maps=stages if maps else [])


def whole_layers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """EdgeFace's state dict with timm's keys: the two factors of each layer of low rank (`gamma`) multiplied."""
    plain = {key.removeprefix("model."): value for key, value in state.items()}
    for key in [key for key in plain if key.endswith(".linear2.weight")]:
        layer = key.removesuffix(".linear2.weight")
        plain[f"{layer}.weight"] = plain.pop(key) @ plain.pop(f"{layer}.linear1.weight")
        if f"{layer}.linear2.bias" in plain:
            plain[f"{layer}.bias"] = plain.pop(f"{layer}.linear2.bias")
    return plain
