"""One modality's side of DisCoM-KD: an encoder for what the modalities share, another for what this one has alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.errors import InputError
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.network import Network
from speakerkd.models.precision import at_least_float32, run_full
from speakerkd.tensors import Output

Uses = Literal["both", "inv", "inf"]  # the parts that a branch classifies by and gives as its embedding


class DisentangledBranch(Network):
    """Two encoders of one kind and the task classifier over what they keep (third paper, section 3).

    z_inv = ReLU(BN(Linear(D, D/2))) of the invariant encoder; z_inf and z_irr are the two halves of the specific one.
    All are non-negative (the orthogonality term takes signed cosines and relies on it). The embedding is
    [z_inv | z_inf] (B, D), or one of the two (B, D/2); the logits are the task's, one linear layer on it; `parts` are
    (z_inv, z_inf, z_irr), each (B, D/2).

    invariant, specific: networks with equal, even `.dim` D. classes: K. uses: what the embedding is (third paper's
    Table 4: `inv` or `inf` alone).
    """

    def __init__(self, invariant: Network, specific: Network, classes: int, uses: Uses = "both") -> None:
        super().__init__()
        if invariant.dim != specific.dim or invariant.dim % 2:
            raise InputError(
                f"encoders of {invariant.dim} and {specific.dim} dimensions cannot be halved alike",
                "disentangled",
                "give both the same even embedding size",
            )
        whole = invariant.dim
        self.part_dim = whole // 2
        self.dim = whole if uses == "both" else self.part_dim
        self.classes, self.uses = classes, uses
        self.invariant, self.specific = invariant, specific
        self.projection = nn.Sequential(nn.Linear(whole, self.part_dim), nn.BatchNorm1d(self.part_dim))
        self.classifier = nn.Linear(self.dim, classes)

    @property
    def head(self) -> nn.Linear:
        """The task classifier (K, D)."""
        return self.classifier

    def part(self, uses: Uses) -> DisentangledBranch:
        """The branch with one part alone as its embedding, and what its classifier has learnt of that part."""
        branch = DisentangledBranch(self.invariant, self.specific, self.classes, uses)
        branch.projection = self.projection
        columns = slice(self.part_dim) if uses == "inv" else slice(self.part_dim, None)
        branch.classifier.to(self.classifier.weight)
        with torch.no_grad():
            branch.classifier.weight.copy_(self.classifier.weight[:, columns])
            branch.classifier.bias.copy_(self.classifier.bias)
        return branch

    def preprocess(self, crops: Tensor) -> Tensor:
        """The encoders' own preparation of aligned pictures."""
        assert isinstance(self.invariant, FaceNetwork)
        return self.invariant.preprocess(crops)

    def separate(self, shared: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(z_inv, z_inf, z_irr), each (B, D/2), of the two encoders' embeddings (B, D)."""
        informative, irrelevant = at_least_float32(own).relu().chunk(2, 1)  # each (B, D/2)
        return run_full(self.projection, shared.relu()).relu(), informative, irrelevant

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """As the encoders' own; the maps are the invariant encoder's."""
        shared = self.invariant(x, maps)  # embedding (B, D)
        parts = self.separate(shared.embedding, self.specific(x).embedding)  # three of (B, D/2)
        used = {"both": parts[:2], "inv": parts[:1], "inf": parts[1:2]}[self.uses]
        embedding = torch.cat(used, 1)  # (B, D) or (B, D/2)
        return Output(embedding, run_full(self.classifier, embedding), shared.maps, parts=list(parts))


def build_disentangled(
    settings: Settings, build: Callable[[Any], Network], classes: int, uses: Uses = "both"
) -> DisentangledBranch:
    """A branch of two encoders with the same settings and different fresh weights; theirs are without a classifier."""
    if "classes" in type(settings).model_fields:
        settings = settings.model_copy(update={"classes": 0})
    return DisentangledBranch(build(settings), build(settings), classes, uses)


class OtherBranches(Network):
    """The branches of all modalities but the first: pictures (B, C, H, W) whose rows are theirs in turns.

    branches: of equal `.dim`. channels: of each one's pictures, the first of C. The rows stay in the input's order.
    """

    def __init__(self, branches: Sequence[DisentangledBranch], channels: Sequence[int]) -> None:
        super().__init__()
        self.branches, self.channels = nn.ModuleList(branches), list(channels)
        self.dim = branches[0].dim

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        """Embedding, logits and parts of all rows; maps of a single branch alone."""
        count = len(self.branches)
        outputs = [  # of count branches, B/count rows each
            branch(x[which::count, :channels], maps and count == 1)
            for which, (branch, channels) in enumerate(zip(self.branches, self.channels, strict=True))
        ]
        if count == 1:
            return outputs[0]

        def turns(tensors: list[Tensor]) -> Tensor:
            return torch.stack(tensors, 1).flatten(0, 1)  # (B/count, count, D) to (B, D)

        return Output(
            turns([output.embedding for output in outputs]),
            turns([output.scores for output in outputs]),
            parts=[turns([output.parts[k] for output in outputs]) for k in range(3)],
        )
