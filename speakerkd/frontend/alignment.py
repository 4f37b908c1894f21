"""Five-point alignment of faces to the template that face-recognition networks are trained on."""

from __future__ import annotations

import numpy as np

SIDE = 112  # pixels of an aligned crop
# (x, y) of left eye, right eye, nose, left and right mouth corner; ArcFace's 96 x 112 points, 8 pixels to the right
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def similarity_transform(landmarks: np.ndarray, template: np.ndarray = TEMPLATE, reflect: bool = False) -> np.ndarray:
    """The (2, 3) matrix of scale, turn and shift that takes landmarks (5, 2) to the template's points.

    The least squares are those of the way back, template to landmarks, whose inverse is given, as in face.evoLVe's
    alignment. reflect: a mirrored solution is taken where it fits better. Raises ValueError for landmarks that
    coincide.
    """
    landmarks, template = np.asarray(landmarks, np.float64), np.asarray(template, np.float64)
    plain = np.linalg.inv(_fit(template, landmarks))
    if not reflect:
        return plain[:2]
    mirror = np.diag([-1.0, 1.0, 1.0])
    mirrored = mirror @ np.linalg.inv(_fit(template * [-1, 1], landmarks))
    return min((plain, mirrored), key=lambda m: np.linalg.norm(_apply(m, landmarks) - template))[:2]


def _fit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity (3, 3) from source to target points."""
    a, b = source - source.mean(0), target - target.mean(0)
    norm = np.square(a).sum()
    if norm == 0 or np.square(b).sum() == 0 or not np.isfinite(b).all():
        raise ValueError("landmarks coincide or are not finite")
    cos = (a * b).sum() / norm
    sin = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    matrix[:2, 2] = target.mean(0) - matrix[:2, :2] @ source.mean(0)
    return matrix


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def warp(image: np.ndarray, matrix: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The picture uint8 (H, W, 3) under a (2, 3) matrix, bilinear, as uint8 (side, side, 3); black outside.

    Whole numbers are the centres of pixels. A picture much larger than the result is first averaged down, by blocks.
    """
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    block = int(np.sqrt(abs(np.linalg.det(back))))  # source pixels a pixel of the result, along each side
    pixels = image
    if block > 1:
        pixels = _averaged(pixels, block)
        back = (
            np.array([[1 / block, 0, (1 - block) / 2 / block], [0, 1 / block, (1 - block) / 2 / block], [0, 0, 1]])
            @ back
        )
    height, width = pixels.shape[:2]
    framed = np.zeros((height + 2, width + 2, 3), np.float32)  # black outside
    framed[1:-1, 1:-1] = pixels
    y, x = np.ogrid[:side, :side]
    right, down = (
        np.clip(m[0] * x + m[1] * y + m[2], -1, size) for m, size in zip(back, (width, height), strict=False)
    )
    column, row = np.floor(right), np.floor(down)
    across, along = (right - column)[..., None], (down - row)[..., None]
    # its four neighbours, in the framed picture one further
    left, top = column.astype(int) + 1, row.astype(int) + 1
    beside, below = np.minimum(left + 1, width + 1), np.minimum(top + 1, height + 1)

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return framed.reshape(-1, 3).take(row * (width + 2) + column, 0)

    upper = at(top, left) * (1 - across) + at(top, beside) * across
    lower = at(below, left) * (1 - across) + at(below, beside) * across
    return (upper * (1 - along) + lower * along).round().astype(np.uint8)


def _averaged(pixels: np.ndarray, block: int) -> np.ndarray:
    """A picture (H, W, 3) averaged over squares of `block` pixels, those at its far edges as far as they go."""
    for axis in (0, 1):
        lines = pixels.swapaxes(0, axis)
        whole, rest = divmod(len(lines), block)
        total = np.zeros((whole + (rest > 0), *lines.shape[1:]), np.float32)
        for first in range(block):  # `reduceat` takes eight times as long
            some = lines[first::block]
            total[: len(some)] += some
        total[:whole] /= block
        total[whole:] /= rest or 1
        pixels = total.swapaxes(0, axis)
    return pixels


def align(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face of a picture uint8 (H, W, 3) as uint8 (112, 112, 3), its landmarks (5, 2) at the template."""
    return warp(image, similarity_transform(landmarks))
