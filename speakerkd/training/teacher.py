"""The teacher's Output in a step: from cached embeddings, or from a network that runs along."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.tensors import Output
from speakerkd.training.settings import TeacherSettings


class Teacher(nn.Module):
    """Gives the teacher's Output for its input: cached embeddings (B, D), or raw pictures for `network`.

    head: frozen linear classifier over the embeddings, whose scores are the logits. trainable: `network` learns too;
    else it stays in eval mode and gives no gradients.
    """

    def __init__(
        self,
        dim: int,
        network: nn.Module | None = None,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        head: nn.Linear | None = None,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.trainable = dim, trainable
        self.network, self.head = network, head
        self._preprocess = preprocess
        if not trainable:
            self.requires_grad_(False)
        elif head is not None:
            head.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Teacher:
        """A frozen teacher stays as it is deployed, whatever mode the run is in."""
        return super().train(mode and self.trainable)

    def forward(self, given: Tensor, maps: bool = False) -> Output:
        if self.network is None:
            output = Output(given)
        else:
            with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
                x = given if self._preprocess is None else self._preprocess(given)
                output = self.network(x, maps=maps)
        if output.logits is None and self.head is not None:
            output.logits = self.head(output.embedding.float())
        return output


def build_teacher(settings: TeacherSettings, example: Tensor) -> Teacher:
    """The teacher of a speaker or face run; example: what the source gives for it, (B, D) or pictures (B, 112, 112, 3).

    Raises InputError where an online teacher has no name or weights, or the head does not fit.
    """
    network, preprocess = None, None
    if settings.online:
        from speakerkd.teach import load_teacher

        if settings.name is None:
            raise InputError("an online teacher needs a name", "teacher.name", "set it to ir50, mobilefacenet, ...")
        network = load_teacher(settings.name, settings.weights)
        preprocess = network.preprocess
        dim = network.dim
    else:
        dim = example.shape[1]
    head = None
    if settings.head is not None:
        from speakerkd.teach import load_head

        head = load_head(settings.head)
        if head.in_features != dim:
            raise InputError(
                f"the head takes embeddings of {head.in_features} numbers, the teacher gives {dim}",
                settings.head,
                "run `speakerkd teach --head` on this teacher's embeddings",
            )
    return Teacher(dim, network, preprocess, head, settings.trainable)


def map_shapes(network: nn.Module | None, x: Tensor) -> list[tuple[int, int, int]]:
    """(C, H, W) of each map that a network gives for input x (2, ...); empty without a network."""
    if network is None:
        return []
    training = network.training
    network.eval()
    with torch.no_grad():
        maps = network(x, maps=True).maps
    network.train(training)
    return [tuple(m.shape[1:]) if m.ndim == 4 else (*m.shape[1:], 1) for m in maps]
