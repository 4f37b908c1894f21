"""Speech networks: log-Fbank (B, T, F) in, `Output` with a speaker embedding (B, D) out.

Each network normalises its input to mean 0 and variance 1 an utterance and band, in float32, so level and channel
offsets of a recording have no effect. No batch padding is used: an embedding depends on its own recording alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.config import Settings
from speakerkd.models.network import Network
from speakerkd.models.speaker_resnet import SpeakerResNet
from speakerkd.models.speaker_tdnn import Ecapa, XVector
from speakerkd.models.weights import from_voxceleb_trainer, load_foreign, load_into


class SpeakerSettings(Settings):
    """A speech network and its size."""

    name: Literal["resnet34", "resnetse34v2", "ecapa", "xvector"] = Field("resnet34", description="the network")
    width: float | None = Field(
        None,
        gt=0,
        le=2,
        description="channels as a share of the full network's: 1, 0.5, 0.25 are 64, 32, 16 in a ResNet's first stage "
        "(1024, 512, 256 in ECAPA-TDNN; 512, 256, 128 in the x-vector); null: 1, and 0.5 for resnetse34v2",
    )
    mels: int = Field(40, ge=8, le=256, description="Fbank bands F")
    embedding: int = Field(512, ge=2, le=8192, description="embedding size D")
    pooling: Literal["mean", "statistics", "sap", "asp", "asp_channel", "asp_context"] | None = Field(
        None,
        description="asp: one attention weight a frame (Okabe), asp_channel: one a frame and channel, asp_context: the "
        "same, seeing the utterance's statistics; null: the network's own (resnet34 asp, resnetse34v2 asp_channel, "
        "ecapa asp_context, xvector statistics)",
    )
    attention: int = Field(128, ge=1, le=4096, description="hidden units of the attention")
    frequency: Literal["flatten", "mean"] = Field(
        "flatten", description="ResNets: bands of the last map as further channels, or their mean"
    )

    weights: Path | None = Field(
        None, description="weights to start from: a state dict of this network, or voxceleb_trainer's for resnetse34v2"
    )
    normalise: bool | None = Field(
        None, description="ResNets: BatchNorm of the pooled statistics; null: yes, and no for resnetse34v2"
    )

    @property
    def share(self) -> float:
        """The width as a number: the given one, else the network's own."""
        if self.width is not None:
            return self.width
        return 0.5 if self.name == "resnetse34v2" else 1.0


def build_speaker(settings: SpeakerSettings) -> Network:
    """The network of `settings`: `.dim` D, `forward(x (B, T, F), maps=False) -> Output`.

    With `weights` it is loaded, every key accounted for; InputError where the file does not fit.
    """
    network = _fresh(settings)
    if settings.weights is not None:
        state = load_foreign(settings.weights)
        if settings.name == "resnetse34v2":
            state = from_voxceleb_trainer(state)
        load_into(network, state, settings.weights)
    return network


def _fresh(settings: SpeakerSettings) -> Network:
    channels = [max(1, round(c * settings.share)) for c in (64, 128, 256, 512)]
    if settings.name in ("resnet34", "resnetse34v2"):
        squeeze = settings.name == "resnetse34v2"
        return SpeakerResNet(
            channels,
            mels=settings.mels,
            dim=settings.embedding,
            squeeze=squeeze,
            pooling=settings.pooling or ("asp_channel" if squeeze else "asp"),
            attention=settings.attention,
            frequency=settings.frequency,
            normalise=not squeeze if settings.normalise is None else settings.normalise,
        )
    kind: type[Ecapa] | type[XVector]
    kind, full = (Ecapa, 1024) if settings.name == "ecapa" else (XVector, 512)
    return kind(
        round(full * settings.share),
        mels=settings.mels,
        dim=settings.embedding,
        attention=settings.attention,
        pooling=settings.pooling,
    )
