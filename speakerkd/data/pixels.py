"""One image file, whatever its kind, as RGB pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from speakerkd.errors import InputError

Image.MAX_IMAGE_PIXELS = 2**28  # a decompression bomb is refused below, not warned of

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"})


def read_image(path: Path | str, size: int | None = None) -> np.ndarray:
    """Decode an image file, turned upright, to RGB uint8 (H, W, 3).

    Grey, palette, CMYK and 16-bit images become RGB. size: the shorter side is brought to this many pixels and the
    centre square of that side is kept; None keeps the image as it is.
    Raises InputError for a file that is missing, truncated, not an image, or too large to be one.
    """
    try:
        with Image.open(path) as image:
            rgb = _to_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise InputError("no such image", path, "check the path") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = (
            "cannot be decoded" if isinstance(error, Image.UnidentifiedImageError) else f"cannot be decoded ({error})"
        )
        raise InputError(f"the image {reason}", path, "replace or remove the file") from error
    if size is not None and rgb.size != (size, size):
        rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
    return np.array(rgb)


def image_size(path: Path | str) -> tuple[int, int] | None:
    """(height, width) in an image file's header, before it is turned upright; None without a readable header."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB of any mode; Pillow alone clips 16-bit grey to white instead of scaling it."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
