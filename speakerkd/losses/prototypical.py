"""Angular prototypical loss, alone or with softmax (Chung et al. 2020, "In defence of metric learning")."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.losses.base import LossSettings, TaskLoss
from speakerkd.maths import unit

LEAST_SCALE = 1e-6


class PrototypicalSettings(LossSettings):
    """Angular prototypical loss."""

    name: Literal["prototypical", "softmax_prototypical"] = "prototypical"
    utterances: int = Field(2, ge=2, description="utterances M of a speaker, adjacent in the batch")
    scale: float = Field(10.0, gt=0, description="first value of the learnt scale w")
    offset: float = Field(-5.0, description="first value of the learnt offset b")


class SoftmaxPrototypicalSettings(PrototypicalSettings):
    """Softmax plus angular prototypical loss, the first paper's task loss."""

    name: Literal["softmax_prototypical"] = "softmax_prototypical"
    bias: bool = Field(True, description="the classifier has a bias (a shared classifier sets it to 0)")
    softmax_weight: float = Field(1.0, ge=0, description="factor of the softmax term")
    prototypical_weight: float = Field(1.0, ge=0, description="factor of the prototypical term")


def similarities(embedding: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """w cos(query, prototype) + b of every query against every speaker; embedding (S, M, D) -> (S, S).

    The query is a speaker's first utterance, the prototype the mean of the others.
    """
    queries, prototypes = unit(embedding[:, 0]), unit(embedding[:, 1:].mean(1))
    return scale * queries @ prototypes.T + offset


class Prototypical(TaskLoss):
    """Cross-entropy of each query's similarities against its own speaker's prototype."""

    Settings = PrototypicalSettings
    settings: PrototypicalSettings

    def __init__(self, settings: PrototypicalSettings, dim: int, classes: int) -> None:
        super().__init__(settings, dim, classes)
        self.scale = nn.Parameter(torch.tensor(settings.scale))
        self.offset = nn.Parameter(torch.tensor(settings.offset))

    def similarities(self, embedding: Tensor) -> Tensor:
        """embedding (S*M, D), a speaker's M utterances adjacent -> (S, S). Raises InputError for other row counts."""
        utterances = self.settings.utterances
        if len(embedding) % utterances:
            raise InputError(
                f"a batch of {len(embedding)} utterances does not hold {utterances} of each speaker",
                "loss.utterances",
                "set it to the sampler's utterances a speaker",
            )
        lift = (self.scale.clamp(min=LEAST_SCALE) - self.scale).detach()  # a bare clamp would end its gradient for good
        return similarities(embedding.unflatten(0, (-1, utterances)), self.scale + lift, self.offset)

    def terms(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        scores = self.similarities(embedding)
        return {"prototypical": F.cross_entropy(scores, torch.arange(len(scores), device=scores.device))}, None


class SoftmaxPrototypical(Prototypical):
    """Cross-entropy of a linear layer on the un-normalised embeddings of all utterances, plus the prototypical loss."""

    Settings = SoftmaxPrototypicalSettings
    settings: SoftmaxPrototypicalSettings
    classifier: nn.Linear

    def __init__(self, settings: SoftmaxPrototypicalSettings, dim: int, classes: int) -> None:
        super().__init__(settings, dim, classes)
        self.classifier = nn.Linear(dim, classes, bias=settings.bias)

    def terms(self, embedding: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        pairs, _ = super().terms(embedding, label)
        logits = self.classifier(embedding)
        return {
            "softmax": self.settings.softmax_weight * F.cross_entropy(logits, label),
            "prototypical": self.settings.prototypical_weight * pairs["prototypical"],
        }, logits
