"""One modality's side of DisCoM-KD: an encoder for what the modalities share, another for what this one has alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.errors import InputError
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.network import Network
from speakerkd.models.precision import at_least_float32, run_full
from speakerkd.tensors import Output


class DisentangledBranch(Network):
    """Two encoders of one kind and the task classifier over what they keep (third paper, section 3).

    z_inv = ReLU(BN(Linear(D, D/2))) of the invariant encoder; z_inf and z_irr are the two halves of the specific one.
    All are non-negative (the orthogonality term takes signed cosines and relies on it). The embedding (B, D) is
    [z_inv | z_inf], the logits are the task's, `parts` are (z_inv, z_inf, z_irr), each (B, D/2).

    invariant, specific: networks with equal, even `.dim` D. classes: K.
    """

    def __init__(self, invariant: Network, specific: Network, classes: int) -> None:
        super().__init__()
        if invariant.dim != specific.dim or invariant.dim % 2:
            raise InputError(
                f"encoders of {invariant.dim} and {specific.dim} dimensions cannot be halved alike",
                "disentangled",
                "give both the same even embedding size",
            )
        self.dim = invariant.dim
        self.classes = classes
        self.invariant, self.specific = invariant, specific
        self.projection = nn.Sequential(nn.Linear(self.dim, self.dim // 2), nn.BatchNorm1d(self.dim // 2))
        self.classifier = nn.Linear(self.dim, classes)

    @property
    def head(self) -> nn.Linear:
        """The task classifier (K, D)."""
        return self.classifier

    def preprocess(self, crops: Tensor) -> Tensor:
        """The encoders' own preparation of aligned pictures."""
        assert isinstance(self.invariant, FaceNetwork)
        return self.invariant.preprocess(crops)

    def separate(self, shared: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(z_inv, z_inf, z_irr), each (B, D/2), of the two encoders' embeddings (B, D)."""
        informative, irrelevant = at_least_float32(own).relu().chunk(2, 1)
        return run_full(self.projection, shared.relu()).relu(), informative, irrelevant

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """As the encoders' own; the maps are the invariant encoder's."""
        shared = self.invariant(x, maps)
        parts = self.separate(shared.embedding, self.specific(x).embedding)
        embedding = torch.cat(parts[:2], 1)
        return Output(embedding, run_full(self.classifier, embedding), shared.maps, parts=list(parts))


def build_disentangled(settings: Settings, build: Callable[[Any], Network], classes: int) -> DisentangledBranch:
    """A branch of two encoders with the same settings and different fresh weights; theirs are without a classifier."""
    if "classes" in type(settings).model_fields:
        settings = settings.model_copy(update={"classes": 0})
    return DisentangledBranch(build(settings), build(settings), classes)
