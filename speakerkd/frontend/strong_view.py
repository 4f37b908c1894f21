"""A second, strongly augmented view of pictures, made on the batch: for methods that compare two views (MLKD)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from speakerkd.frontend.degrade import hashed_uniform, sample_word

ROUNDS = 2  # operations a picture, RandAugment's N
DRAWS = 3 * ROUNDS + 2  # kind, strength and sign a round; and two for noise
# at full strength, as torchvision's
MOST = {"rotate": math.pi / 6, "shear": 0.3, "translate": 0.45, "factor": 0.9}
COLOUR = (
    *("identity", "rotate", "shear_x", "shear_y", "translate_x", "translate_y", "brightness", "contrast"),
    *("colour", "sharpness", "posterize", "solarize", "autocontrast"),
)


def strong_view(view: Tensor, draws: Tensor, colour: bool = True) -> Tensor:
    """Strongly augmented pictures (B, C, S, S) of views in [0, 1] under draws (B, DRAWS).

    Three channels: two random operations, RandAugment's (Cubuk et al. 2020) but for equalising. Other sensors: mirrored
    either way, rotated by up to 30 degrees, and noise of a tenth of the picture's deviation. The geometry depends on
    the draws alone, so two sensors' pictures of one scene stay aligned; of a colour picture and another sensor's, both
    are made without `colour`.
    """
    if view.shape[1] == 3 and colour:
        for turn in range(ROUNDS):
            view = _colour_round(view, *draws[:, 3 * turn : 3 * turn + 3].T)
        return view
    flips = draws[:, :2] < 0.5
    view = torch.where(flips[:, 0, None, None, None], view.flip(3), view)
    view = torch.where(flips[:, 1, None, None, None], view.flip(2), view)
    angle = (2 * draws[:, 2] - 1) * MOST["rotate"]
    view = _moved(view, _affine(angle, *torch.zeros(4, len(view), device=view.device)))
    u = hashed_uniform(sample_word(draws[:, -2:]), 2 * view[0].numel())
    radius, phase = u.chunk(2, 1)
    noise = (-2 * (1 - radius).log()).sqrt() * (2 * math.pi * phase).cos()
    return view + 0.1 * view.std((1, 2, 3), keepdim=True) * noise.view_as(view)


def _colour_round(view: Tensor, kind: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    operation = (kind * len(COLOUR)).long().clamp(max=len(COLOUR) - 1)
    signed = torch.where(sign < 0.5, -strength, strength)

    def where(name: str, most: float) -> Tensor:
        return torch.where(operation == COLOUR.index(name), signed * most, 0.0)

    geometry = _affine(
        where("rotate", MOST["rotate"]),
        where("shear_x", MOST["shear"]),
        where("shear_y", MOST["shear"]),
        where("translate_x", 2 * MOST["translate"]),
        where("translate_y", 2 * MOST["translate"]),
    )
    view = _moved(view, geometry)
    factor = (1 + signed * MOST["factor"])[:, None, None, None]
    grey = view.mean(1, keepdim=True)
    smooth = functional.avg_pool2d(functional.pad(view, (1, 1, 1, 1), mode="replicate"), 3, 1)
    low, high = view.amin((2, 3), keepdim=True), view.amax((2, 3), keepdim=True)
    steps = (2 ** (8 - (strength * 4).round()))[:, None, None, None]
    changed = {
        "brightness": view * factor,
        "contrast": grey.mean((2, 3), keepdim=True) * (1 - factor) + view * factor,
        "colour": grey * (1 - factor) + view * factor,
        "sharpness": smooth * (1 - factor) + view * factor,
        "posterize": (view * (steps - 1e-3)).floor() / (steps - 1),
        "solarize": torch.where(view >= 1 - strength[:, None, None, None], 1 - view, view),
        "autocontrast": (view - low) / (high - low).clamp(min=1e-3),
    }
    for name, other in changed.items():
        view = torch.where((operation == COLOUR.index(name))[:, None, None, None], other, view)
    return view.clamp(0, 1)


def _affine(angle: Tensor, shear_x: Tensor, shear_y: Tensor, move_x: Tensor, move_y: Tensor) -> Tensor:
    """Matrices (B, 2, 3) in grid_sample's coordinates, where the side is 2 long."""
    cos, sin = angle.cos(), angle.sin()
    rows = [cos, -sin + shear_x, move_x, sin + shear_y, cos, move_y]
    return torch.stack(rows, 1).view(-1, 2, 3)


def _moved(view: Tensor, matrices: Tensor) -> Tensor:
    """Pictures under affine maps; what comes in from outside is black."""
    grid = functional.affine_grid(matrices.to(view), list(view.shape), align_corners=False)
    return functional.grid_sample(view, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
