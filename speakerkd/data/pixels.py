"""One picture as the square of RGB pixels that an image directory keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speakerkd.errors import InputError
from speakerkd.media.pictures import picture_size, read_picture


def read_image(path: Path | str, size: int | None = None) -> np.ndarray:
    """Decode an image file, turned upright, to RGB uint8 (H, W, 3).

    size: the shorter side is brought to this many pixels and the centre square of that side is kept; None keeps the
    image as it is. Raises InputError as `speakerkd.media.pictures.read_picture` does.
    """
    from PIL import Image, ImageOps

    picture = read_picture(path)
    if size is None or picture.shape[:2] == (size, size):
        return picture
    return np.array(ImageOps.fit(Image.fromarray(picture), (size, size), Image.Resampling.BILINEAR))


def image_size(path: Path | str) -> tuple[int, int] | None:
    """(height, width) in an image file's header, before it is turned upright; None without a readable header."""
    try:
        return picture_size(path)
    except InputError:
        return None
