"""The people of mini: faces, what their voices are derived from, and pictures of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from speakerkd.corpora.mini.settings import PEOPLE
from speakerkd.errors import InputError
from speakerkd.frontend.faces import crop_face
from speakerkd.models.face_network import embed_pictures
from speakerkd.models.face_onnx import OnnxFace, packaged_sface, pixels_of

PICTURE = 160  # side of a picture in pixels
COMPONENTS = 6


def load_faces() -> np.ndarray:
    """The faces as (100, 25, 25) float64 grey values in [0, 1]. Raises InputError if scikit-image is missing."""
    try:
        from skimage.data import lfw_subset
    except ImportError as error:
        raise InputError(
            "scikit-image is not installed", "prepare mini", "install the extra: pip install 'speakerkd[mini]'"
        ) from error
    return lfw_subset()[:PEOPLE]


def seen(face: np.ndarray) -> np.ndarray:
    """SFace's embedding (128,), of length 1, of a face in plain light, found and aligned as any picture is."""
    plain = Scene(scale=1, angle=0, shift=(0, 0), gain=1, slant=(0, 0), ground=(127, 127))
    crop = crop_face(frames(face, plain, 1, None)[0], where="a face of mini").crop
    embedding = embed_pictures(_sface(), torch.from_numpy(crop[None]))[0].numpy()
    return embedding / np.linalg.norm(embedding)


@functools.cache
def _sface() -> OnnxFace:
    return OnnxFace(packaged_sface(), pixels_of("sface"))


def places(embeddings: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Where people stand on the leading principal components of the fitted ones' embeddings: (N, D) -> (N, 6).

    fitted: (N,) bool, the people that the components and their scales are of; the others only look themselves up.
    A component's values are replaced by their ranks among the fitted, evenly spaced in (-1, 1), so that people spread
    evenly and half of the fitted fall on either side. A component's sign is fixed by its largest weight.
    """
    mean = embeddings[fitted].mean(axis=0)
    _, _, axes = np.linalg.svd(embeddings[fitted] - mean, full_matrices=False)
    axes = axes[:COMPONENTS]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    values = (embeddings - mean) @ axes.T
    count = int(fitted.sum())
    ranks = (2 * np.arange(count) + 1) / count - 1
    result = np.zeros((len(values), COMPONENTS))
    for axis, column in enumerate(values.T):
        result[:, axis] = np.interp(column, np.sort(column[fitted]), ranks)
    return result.round(2)  # the last digits of an embedding differ between machines


@dataclass(frozen=True)
class Scene:
    """How one video shows its person: light, pose and background, all the same through the video."""

    scale: float
    angle: float  # degrees
    shift: tuple[float, float]  # pixels
    gain: float
    slant: tuple[float, float]  # light falling off across the face
    ground: tuple[float, float]  # grey of the background, top and bottom

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Scene:
        return cls(
            scale=rng.uniform(0.92, 1.1),
            angle=rng.normal(0, 4),
            shift=tuple(rng.uniform(-8, 8, 2)),
            gain=rng.uniform(0.8, 1.2),
            slant=tuple(rng.uniform(-0.15, 0.15, 2)),
            ground=tuple(rng.uniform(60, 190, 2)),
        )


def frames(face: np.ndarray, scene: Scene, count: int, rng: np.random.Generator | None) -> np.ndarray:
    """Draw `count` pictures of a face (25, 25) that moves a little, or not without rng: (count, 160, 160, 3) uint8."""
    from PIL import Image

    side, middle, canvas = 120, (PICTURE - 1) / 2, (PICTURE, PICTURE)
    small = Image.fromarray((np.clip(face, 0, 1) * 255).astype(np.uint8))
    large = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float64)
    across = np.linspace(-1, 1, side)
    large = large * (1 + scene.slant[0] * across[:, None] + scene.slant[1] * across[None]) * scene.gain
    edge = np.clip((1 - np.maximum(np.abs(across)[:, None], np.abs(across)[None])) / 0.15, 0, 1)
    # Face and edge are moved together, so that the soft rim stays at the rim.
    layers = [Image.fromarray(layer.astype(np.float32)) for layer in (large * edge, edge)]
    ground = np.linspace(*scene.ground, PICTURE)[:, None]
    pictures = np.empty((count, PICTURE, PICTURE, 3), np.uint8)
    for picture in pictures:
        moves = (0, 1, (0, 0)) if rng is None else (rng.normal(0, 3), rng.uniform(0.9, 1.1), rng.normal(0, 2, 2))
        angle = np.deg2rad(scene.angle + moves[0])
        factor = side / (112 * scene.scale * moves[1])
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        x, y = middle + np.array(scene.shift) + moves[2]
        centre = (side - 1) / 2
        back = (cos, sin, centre - cos * x - sin * y, -sin, cos, centre + sin * x - cos * y)
        moved, rim = (
            np.asarray(layer.transform(canvas, Image.Transform.AFFINE, back, Image.Resampling.BICUBIC))
            for layer in layers
        )
        grey = moved + (1 - np.clip(rim, 0, 1)) * ground
        if rng is not None:
            grey = rng.uniform(0.92, 1.08) * moved + grey - moved + rng.normal(0, 2, moved.shape)
        picture[:] = np.clip(grey, 0, 255).astype(np.uint8)[:, :, None]
    return pictures
