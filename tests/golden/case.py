"""One golden file as an adapter sees it: arrays that remember whether they were used, and comparisons against them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Case(Mapping[str, np.ndarray]):
    """The arrays of `<method>_<case>.npz`.

    Reading or checking an array marks it as used; `unused` says on purpose that some are not. The harness fails a
    file of which an array was neither, so that no reference number is skipped silently.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.method, _, self.case = self.path.stem.rpartition("_")
        with np.load(self.path, allow_pickle=False) as archive:
            self.arrays = {name: archive[name] for name in archive.files}
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.used.add(name)
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def scalar(self, name: str) -> float | int:
        """A stored scalar (or one-element array) as a Python number."""
        return self[name].reshape(()).item()

    def tensor(self, name: str, grad: bool = False) -> Tensor:
        """A stored array as a tensor of its own dtype (float64 for values, int64 for labels)."""
        return torch.from_numpy(np.array(self[name])).requires_grad_(grad)

    def tensors(self, prefix: str, grad: bool = False) -> list[Tensor]:
        """`<prefix>.0`, `<prefix>.1`, ... for as many as there are."""
        names = [f"{prefix}.{i}" for i in range(len(self))]
        return [self.tensor(name, grad) for name in names if name in self.arrays]

    def state(self, prefix: str) -> dict[str, Tensor]:
        """The arrays under `<prefix>.` as a state dict without the prefix."""
        return {name[len(prefix) + 1 :]: self.tensor(name) for name in self.arrays if name.startswith(prefix + ".")}

    def load(self, module: nn.Module, prefix: str, rename: Callable[[str], str] = lambda name: name) -> nn.Module:
        """Load the state under `<prefix>.` after `rename` into `module`, made float64; only buffers may be absent."""
        state = {rename(name): value for name, value in self.state(prefix).items()}
        missing, unexpected = module.double().load_state_dict(state, strict=False)
        parameters = {name for name, _ in module.named_parameters()}
        assert not unexpected, f"{self.path.name}: no place for {unexpected}"
        assert not parameters & set(missing), f"{self.path.name}: no value for {sorted(parameters & set(missing))}"
        return module

    def check(self, name: str, value: Any, rtol: float = 1e-7, atol: float = 1e-9) -> None:
        """Compare a value with the stored array of this name (shapes up to axes of length one)."""
        expected = self[name]
        actual = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        assert actual.size == expected.size, f"{self.path.name}: {name} has shape {actual.shape}, not {expected.shape}"
        np.testing.assert_allclose(
            actual.reshape(expected.shape), expected, rtol, atol, err_msg=f"{self.path.name}: {name}"
        )

    def check_gradient(self, loss: Tensor, inputs: Mapping[str, Tensor], tag: str = "grad") -> None:
        """Compare d loss / d input with `<tag>.<input>` for every named input; the graph is kept."""
        names = list(inputs)
        gradients = torch.autograd.grad(loss, [inputs[n] for n in names], retain_graph=True, allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            self.check(f"{tag}.{name}", torch.zeros_like(inputs[name]) if gradient is None else gradient)

    def check_parameters(
        self,
        loss: Tensor,
        module: nn.Module,
        prefix: str,
        rename: Callable[[str], str] = lambda name: name,
        tag: str = "grad",
    ) -> None:
        """Compare the parameters' gradients with every stored `<tag>.<prefix>.*`; `rename` as in `load`."""
        parameters = dict(module.named_parameters())
        start = f"{tag}.{prefix}."
        stored = {name[len(start) :] for name in self.arrays if name.startswith(start)}
        assert stored, f"{self.path.name}: holds no {start}*"
        self.check_gradient(loss, {f"{prefix}.{name}": parameters[rename(name)] for name in stored}, tag)

    def unused(self, *patterns: str, why: str) -> None:
        """Say which arrays (shell patterns) are left out on purpose, and why."""
        assert why
        for pattern in patterns:
            self.used.update(fnmatch.filter(self.arrays, pattern))

    def unread(self) -> list[str]:
        return sorted(set(self.arrays) - self.used)
