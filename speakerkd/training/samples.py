"""A few training samples as the networks see them, as pictures for TensorBoard."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.sampler import evenly_spaced
from speakerkd.training.build import Parts


@torch.no_grad()
def sample_pictures(parts: Parts, count: int) -> dict[str, Tensor]:
    """{student, teacher: (N, C, H, W) in 0 to 1} of samples spread over the data, in the views of one random draw.

    Features become grey pictures, time to the right and low bands at the bottom. A teacher's input is shown where its
    network runs along; cached embeddings are nothing to look at.
    """
    source = parts.source
    index = evenly_spaced(len(source.keys), count)
    draws = np.random.default_rng(parts.experiment.seed).random((len(index), source.draws))
    on_device = torch.from_numpy(draws.astype(np.float32)).to(source.device)
    view, _ = source.view(source.student(index, draws).to(source.device), on_device)
    pictures = {"student": _picture(view)}
    runs_along = parts.teacher is not None and parts.teacher.network is not None
    raw = source.teacher(index, draws) if runs_along else None
    if raw is not None:
        seen, _ = source.teacher_view(raw.to(source.device), on_device)
        pictures["teacher"] = _picture(seen)
    return pictures


def _picture(x: Tensor) -> Tensor:
    """Features (N, T, F) or pictures (N, C, H, W), (N, H, W, 3), each stretched to 0 to 1; of C neither 1 nor 3 the
    first channel."""
    x = x.detach().float().cpu()
    if x.ndim == 3:
        x = x.transpose(1, 2).flip(1)[:, None]
    elif x.shape[1] not in (1, 3):
        x = x.permute(0, 3, 1, 2) if x.shape[3] == 3 else x[:, :1]
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-12)
