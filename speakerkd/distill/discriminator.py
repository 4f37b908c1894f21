"""A small network that learns against the student with an optimiser of its own, all of it in the state dict."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

Network = Callable[[Tensor], Tensor]


def mlp(sizes: list[int], slope: float = 0.2) -> nn.Sequential:
    """Linear layers of these sizes with LeakyReLU between."""
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [nn.Linear(width, following), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1])


class Discriminator(nn.Module):
    """A network whose weights, and their Adam moments, are buffers.

    The run's optimiser therefore never touches them and a checkpoint of the objective holds all that a resumed run
    needs; the run calls nothing but forward and backward. `improve` takes one Adam step on the given loss; calling
    the module applies the network with its weights held fixed, so that gradients reach its input alone.
    """

    def __init__(self, network: nn.Module, lr: float = 1e-4, betas: tuple[float, float] = (0.5, 0.999)) -> None:
        super().__init__()
        self.lr, self.betas = lr, betas
        self._network = (network,)  # in a tuple: its parameters serve as shapes and names only
        self.names = {name: name.replace(".", "_") for name, _ in network.named_parameters()}
        for name, value in network.named_parameters():
            self.register_buffer(self.names[name], value.detach().clone())
            self.register_buffer(self.names[name] + "_mean", torch.zeros_like(value))
            self.register_buffer(self.names[name] + "_square", torch.zeros_like(value))
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def _weights(self) -> dict[str, Tensor]:
        """Copies, so that a later step does not disturb a graph that still waits for its backward pass."""
        return {name: getattr(self, key).clone() for name, key in self.names.items()}

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.functional_call(self._network[0], self._weights(), (x,))

    def improve(self, loss: Callable[[Network], Tensor]) -> None:
        """One Adam step down `loss(network)`; nothing outside training or where gradients are off."""
        if not (self.training and torch.is_grad_enabled()):
            return
        weights = {name: value.requires_grad_() for name, value in self._weights().items()}
        value = loss(lambda x: torch.func.functional_call(self._network[0], weights, (x,)))
        gradients = torch.autograd.grad(value, list(weights.values()))
        with torch.no_grad():
            self.steps += 1
            first, second = self.betas
            for name, gradient in zip(weights, gradients, strict=True):
                key = self.names[name]
                mean, square = getattr(self, key + "_mean"), getattr(self, key + "_square")
                mean.lerp_(gradient, 1 - first)
                square.lerp_(gradient.pow(2), 1 - second)
                step = mean / (1 - first**self.steps)
                getattr(self, key).sub_(self.lr * step / ((square / (1 - second**self.steps)).sqrt() + 1e-8))
