"""Face networks by name: the ready ones take their weights from a file, `resnet18` and `resnet34` are trained here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.config import Settings
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.weights import load_foreign, load_into

# keys that a file has beyond the network: the classifier over the training identities
CLASSIFIERS = {"inception": ("logits.",)}


class FaceSettings(Settings):
    """A face network and its weights."""

    name: Literal["ir50", "mobilefacenet", "inception", "edgeface", "resnet18", "resnet34"] = Field(
        "ir50", description="the network; resnet18 and resnet34 are the ones that `speakerkd train` can train"
    )
    weights: Path | None = Field(None, description="weights file; null: fresh weights")
    width: float = Field(1.0, gt=0, le=2, description="resnet18, resnet34: channels as a share of 64, 128, 256, 512")
    embedding: int = Field(512, ge=2, le=8192, description="resnet18, resnet34: embedding size D")


def _ir50(_: FaceSettings) -> FaceNetwork:
    from speakerkd.models.face_ir50 import IR50

    return IR50()


def _mobilefacenet(_: FaceSettings) -> FaceNetwork:
    from speakerkd.models.face_mobilefacenet import MobileFaceNet

    return MobileFaceNet()


def _inception(_: FaceSettings) -> FaceNetwork:
    from speakerkd.models.face_inception import Inception

    return Inception()


def _edgeface(settings: FaceSettings) -> FaceNetwork:
    from speakerkd.models.face_edgeface import EdgeFace

    return EdgeFace(settings.weights)


def _resnet(settings: FaceSettings) -> FaceNetwork:
    from speakerkd.models.face_resnet import FaceResNet

    return FaceResNet(int(settings.name.removeprefix("resnet")), settings.width, settings.embedding)


NETWORKS: dict[str, Callable[[FaceSettings], FaceNetwork]] = {
    "ir50": _ir50,
    "mobilefacenet": _mobilefacenet,
    "inception": _inception,
    "edgeface": _edgeface,
    "resnet18": _resnet,
    "resnet34": _resnet,
}


def build_face(settings: FaceSettings) -> FaceNetwork:
    """The network of `settings`: `.dim` D, `.preprocess(uint8 (B, 112, 112, 3) RGB) -> x`, `forward(x, maps=False)`.

    With `weights` it is loaded, every key accounted for, and in eval mode; InputError where the file does not fit.
    """
    network = NETWORKS[settings.name](settings)
    if settings.weights is not None and settings.name != "edgeface":  # whose size its weights tell
        load_into(network, load_foreign(settings.weights), settings.weights, CLASSIFIERS.get(settings.name, ()))
    if settings.weights is not None:
        network.eval()
    return network
