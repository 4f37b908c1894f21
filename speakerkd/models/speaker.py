"""Speech networks: log-Fbank (B, T, F) in, `Output` with a speaker embedding (B, D) out.

Each network takes the mean off every band of an utterance, in float32, and most scale it to variance 1, so level and
channel offsets of a recording have no effect. No batch padding is used: an embedding depends on its recording alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from speakerkd.config import Settings, Table
from speakerkd.errors import nearest
from speakerkd.models.network import Network
from speakerkd.models.speaker_campplus import CamPlusPlus
from speakerkd.models.speaker_redimnet import SIZES, ReDimNet, ReDimNetSettings
from speakerkd.models.speaker_resnet import SHAPES, SpeakerResNet
from speakerkd.models.speaker_tdnn import Ecapa, XVector
from speakerkd.models.weights import from_voxceleb_trainer, load_foreign, load_into

Name = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet221",
    "resnet293",
    "resnetse34l",
    "resnetse34v2",
    "ecapa",
    "xvector",
    "campplus",
    "redimnet",
    "redimnet_b0",
    "redimnet_b1",
    "redimnet_b2",
    "redimnet_b3",
    "redimnet_b4",
    "redimnet_b5",
    "redimnet_b6",
]


# networks of other packages: each makes, from SpeakerSettings, a module as `build_speaker` returns
STUDENTS: Table[Callable[[SpeakerSettings], Network]] = Table({}, "speakerkd.students")


def _known(name: str) -> str:
    if name not in get_args(Name) and name not in STUDENTS:
        fix = nearest(name, [*get_args(Name), *STUDENTS])
        raise PydanticCustomError("network", "no such network: {fix}", {"fix": fix})
    return name


NetworkName = Annotated[str, AfterValidator(_known)]


class SpeakerSettings(Settings):
    """A speech network and its size."""

    name: NetworkName = Field("resnet34", description="the network; other packages' names too")
    width: float | None = Field(
        None,
        gt=0,
        le=2,
        description="channels as a share of the full network's: 1, 0.5, 0.25 are 64, 32, 16 in a ResNet's first stage "
        "(1024, 512, 256 in ECAPA-TDNN; 512, 256, 128 in the x-vector; 32, 16, 8 a layer in CAM++); null: 1, but 0.5 "
        "for resnetse34v2 and from resnet50 on, 0.25 for resnetse34l; ReDimNets have sizes instead",
    )
    mels: int = Field(40, ge=8, le=256, description="Fbank bands F")
    embedding: int = Field(512, ge=2, le=8192, description="embedding size D")
    pooling: (
        Literal["mean", "statistics", "sap", "asp", "asp_channel", "asp_context", "tstp", "astp", "astp_context"] | None
    ) = Field(
        None,
        description="asp: one attention weight a frame (Okabe), asp_channel: one a frame and channel, asp_context: the "
        "same, seeing the utterance's statistics; tstp, astp, astp_context: wespeaker's; null: the network's own "
        "(resnet34 asp, resnet50 on tstp, resnetse34v2 asp_channel, resnetse34l sap, ecapa asp_context, xvector "
        "statistics, campplus tstp, redimnet astp_context)",
    )
    attention: int = Field(128, ge=1, le=4096, description="hidden units of the attention")
    frequency: Literal["flatten", "mean"] | None = Field(
        None,
        description="ResNets: bands of the last map as further channels, or their mean; null: flatten, and mean for "
        "resnetse34l",
    )
    weights: Path | None = Field(
        None, description="weights to start from: a state dict of this network, or voxceleb_trainer's for resnetse34v2"
    )
    normalise: bool | None = Field(
        None, description="ResNets: BatchNorm of the pooled statistics; null: yes, and no for resnetse34"
    )
    cmvn: Literal["mean", "mean_variance"] | None = Field(
        None,
        description="what is taken off each band of an utterance; null: the network's own (mean for campplus and "
        "redimnet, mean_variance for the others)",
    )
    second_layer: bool = Field(
        False, description="ResNets and ReDimNets: a second linear layer gives the embedding (wespeaker)"
    )
    redimnet: ReDimNetSettings | None = Field(None, description="redimnet: its shape; null for redimnet_b0 to _b6")

    @model_validator(mode="after")
    def _fits(self) -> SpeakerSettings:
        if (self.redimnet is not None) != (self.name == "redimnet"):
            raise ValueError("`redimnet:` goes with name: redimnet, and name: redimnet needs it")
        shape = self.redimnet or SIZES.get(self.name)
        if shape is None:
            return self
        if self.width not in (None, 1):
            raise ValueError("a ReDimNet has no width, choose redimnet_b0 to redimnet_b6")
        if self.mels != shape.bands:
            raise ValueError(f"{self.name} reads {shape.bands} bands, mels is {self.mels}")
        bands = shape.bands
        for stage in shape.stages:
            if bands % stage.stride:
                raise ValueError(f"{bands} bands cannot be divided by a stage's stride of {stage.stride}")
            bands //= stage.stride
        return self

    @property
    def share(self) -> float:
        """The width as a number: the given one, else the network's own."""
        if self.width is not None:
            return self.width
        return SHAPES[self.name].share if self.name in SHAPES else 1.0


def build_speaker(settings: SpeakerSettings) -> Network:
    """The network of `settings`: `.dim` D, `forward(x (B, T, F), maps=False) -> Output`.

    With `weights` it is loaded, every key accounted for; InputError where the file does not fit.
    """
    network = _fresh(settings) if settings.name in get_args(Name) else STUDENTS[settings.name](settings)
    if settings.weights is not None:
        state = load_foreign(settings.weights)
        if settings.name == "resnetse34v2":
            state = from_voxceleb_trainer(state)
        load_into(network, state, settings.weights)
    return network


def _fresh(settings: SpeakerSettings) -> Network:
    if settings.name in SHAPES:
        return _resnet(settings)
    common = {"dim": settings.embedding, "attention": settings.attention}
    if settings.name.startswith("redimnet"):
        return ReDimNet(
            settings.redimnet or SIZES[settings.name],
            pooling=settings.pooling or "astp_context",
            norm=settings.cmvn or "mean",
            second=settings.second_layer,
            **common,
        )
    if settings.name == "campplus":
        growth = max(2, 2 * round(32 * settings.share / 2))
        pooling, norm = settings.pooling or "tstp", settings.cmvn or "mean"
        return CamPlusPlus(growth, mels=settings.mels, pooling=pooling, norm=norm, **common)
    kind: type[Ecapa] | type[XVector]
    kind, full = (Ecapa, 1024) if settings.name == "ecapa" else (XVector, 512)
    return kind(
        round(full * settings.share),
        mels=settings.mels,
        pooling=settings.pooling,
        norm=settings.cmvn or "mean_variance",
        **common,
    )


def _resnet(settings: SpeakerSettings) -> Network:
    shape = SHAPES[settings.name]
    return SpeakerResNet(
        shape,
        [max(1, round(c * settings.share)) for c in (64, 128, 256, 512)],
        mels=settings.mels,
        dim=settings.embedding,
        pooling=settings.pooling or shape.pooling,
        attention=settings.attention,
        frequency=settings.frequency or shape.frequency,
        normalise=shape.normalise if settings.normalise is None else settings.normalise,
        norm=settings.cmvn or "mean_variance",
        second=settings.second_layer,
    )
