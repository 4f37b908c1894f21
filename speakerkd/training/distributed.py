"""Several processes that compute what one would: rows gathered with their gradients, BatchNorm over the whole batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from speakerkd.tensors import Output

M = TypeVar("M", bound=nn.Module)


class _Gather(torch.autograd.Function):
    """All ranks' rows in rank order; the gradient of a row is the sum over what all ranks computed from it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # The ranks' losses are summed here and the parameters' gradients averaged over ranks later; as every rank
        # computes the same loss, what remains is the gradient of that one loss.
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        rows = len(total) // dist.get_world_size()
        return total[dist.get_rank() * rows : (dist.get_rank() + 1) * rows]


def gather_rows(x: Tensor) -> Tensor:
    """Rows (B, ...) of every rank as (ranks x B, ...), differentiable. With one process, `x` itself."""
    return _Gather.apply(x) if dist.is_initialized() and dist.get_world_size() > 1 else x


def gather_output(output: Output) -> Output:
    """A network's Output over the whole batch."""
    return Output(
        gather_rows(output.embedding),
        None if output.logits is None else gather_rows(output.logits),
        [gather_rows(m) for m in output.maps],
        None if output.strong is None else gather_output(output.strong),
        [gather_rows(p) for p in output.parts],
    )


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over ranks; a rank without one counts as zero. One message a dtype."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    groups: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.dtype, []).append(parameter)
    for group in groups.values():
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in group])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for parameter, grad in zip(group, flat.split([p.numel() for p in group]), strict=True):
            parameter.grad = grad.view_as(parameter).clone()


class _Sum(torch.autograd.Function):
    """Sum over ranks, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics are those of all ranks' rows; torch's own SyncBatchNorm works on GPUs only."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"BatchNorm of a {input.dim()}-dimensional input")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        kind = x.dtype
        x = x.float() if kind in (torch.bfloat16, torch.float16) else x
        axes = [0, *range(2, x.dim())]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        local = torch.cat([x.sum(axes), x.new_full((1,), x.numel() / x.shape[1])])
        total = _Sum.apply(local)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        if self.num_batches_tracked is not None and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                momentum = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
                self.running_var.lerp_(
                    (variance * count / (count - 1).clamp(min=1)).to(self.running_var.dtype), momentum
                )
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(kind)


def share_batchnorm(network: M, device: str) -> M:
    """The network itself, each BatchNorm in it over all ranks' rows; parameters, buffers and their names stay."""
    for name, child in network.named_children():
        if not isinstance(child, nn.modules.batchnorm._BatchNorm):
            share_batchnorm(child, device)
        elif device.startswith("cuda"):
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        elif not isinstance(child, SharedBatchNorm):
            shared = SharedBatchNorm(
                child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
            )
            shared._parameters, shared._buffers = child._parameters, child._buffers
            setattr(network, name, shared)
    return network
