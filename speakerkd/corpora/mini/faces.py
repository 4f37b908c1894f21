"""The people of mini: faces, what their voices are derived from, and pictures of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakerkd.corpora.mini.settings import PEOPLE
from speakerkd.errors import InputError

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


def components(faces: np.ndarray) -> np.ndarray:
    """Place every face on the leading principal components of all faces: (N, H, W) -> (N, 6) in (-1, 1).

    A component's values are replaced by their ranks, evenly spaced and centred on 0, so that people spread evenly and
    half of them fall on either side. Each face is first freed of its mean and contrast, so that the light of the
    photograph matters less; a component's sign is fixed by its largest weight.
    """
    flat = faces.reshape(len(faces), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    axes = axes[:COMPONENTS]
    axes = axes * np.sign(axes[np.arange(COMPONENTS), np.abs(axes).argmax(axis=1)])[:, None]
    ranks = (flat @ axes.T).argsort(axis=0).argsort(axis=0)
    return (2 * ranks + 1) / len(faces) - 1


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


def frames(face: np.ndarray, scene: Scene, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` pictures of a face (25, 25) that moves a little: (count, 160, 160, 3) uint8."""
    from PIL import Image

    side, middle = 120, (PICTURE - 1) / 2
    large = np.asarray(Image.fromarray(np.uint8(np.clip(face, 0, 1) * 255)).resize((side, side), Image.BICUBIC), float)
    across = np.linspace(-1, 1, side)
    large = large * (1 + scene.slant[0] * across[:, None] + scene.slant[1] * across[None]) * scene.gain
    edge = np.clip((1 - np.maximum(np.abs(across)[:, None], np.abs(across)[None])) / 0.15, 0, 1)
    # Face and edge are moved together, so that the soft rim stays at the rim.
    layers = [Image.fromarray(np.float32(layer)) for layer in (large * edge, edge)]
    ground = np.linspace(*scene.ground, PICTURE)[:, None]
    pictures = np.empty((count, PICTURE, PICTURE, 3), np.uint8)
    for picture in pictures:
        angle = np.deg2rad(scene.angle + rng.normal(0, 3))
        factor = side / (112 * scene.scale * rng.uniform(0.9, 1.1))
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        x, y = middle + np.array(scene.shift) + rng.normal(0, 2, 2)
        centre = (side - 1) / 2
        back = (cos, sin, centre - cos * x - sin * y, -sin, cos, centre + sin * x - cos * y)
        moved, rim = (
            np.asarray(layer.transform((PICTURE, PICTURE), Image.AFFINE, back, Image.BICUBIC)) for layer in layers
        )
        grey = rng.uniform(0.92, 1.08) * moved + (1 - np.clip(rim, 0, 1)) * ground + rng.normal(0, 2, moved.shape)
        picture[:] = np.uint8(np.clip(grey, 0, 255))[:, :, None]
    return pictures
