"""One sensor's picture with any number of channels: arrays in .npy, TIFF with many bands, and ordinary pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from speakerkd.data import pixels
from speakerkd.errors import InputError
from speakerkd.media.formats import IMAGE
from speakerkd.work.arrays import read_array
from speakerkd.work.reading import check_file

SUFFIXES = IMAGE | {".npy"}
TIFF = frozenset({".tif", ".tiff"})
MOST = 512  # channels; more means that the axes are in another order


def read_channels(path: Path | str, size: int | None = None, channels: int | None = None) -> np.ndarray:
    """Decode a picture of any number of bands.

    Parameters
    ----------
    path: PNG, JPEG, TIFF, .npy of (H, W) or (H, W, C), or another picture.
    size: pixels a side of the centre square that is kept, as `read_image`.
    channels: that it must have; None takes RGB of an ordinary picture, and all there are of .npy and of a TIFF with
        more bands than a colour picture. 1 makes an ordinary picture grey.

    Returns
    -------
    (H, W, C) of uint8, uint16 or float32.

    Raises
    ------
    InputError: for a file that is missing, damaged, of another shape or type, or not finite.
    """
    path = Path(path)
    bands = _bands(path)
    if bands is None:
        picture = pixels.read_image(path, size)
        if channels in (None, 3):
            return picture
        if channels == 1:
            return np.asarray(Image.fromarray(picture).convert("L"))[:, :, None]
        raise InputError(
            f"a picture of 3 channels, {channels} asked for", path, "give arrays (.npy) or TIFF with bands"
        )
    if channels not in (None, bands.shape[2]):
        raise InputError(f"{bands.shape[2]} channels, {channels} expected", path, "give pictures of one kind")
    return bands if size is None else fitted(bands, size)


def channels_size(path: Path | str) -> tuple[int, int] | None:
    """(height, width) of a picture or array, None where it cannot be read."""
    if Path(path).suffix.lower() not in {".npy", *TIFF}:
        return pixels.image_size(path)
    try:
        picture = _bands(Path(path))
    except InputError:
        return None
    return pixels.image_size(path) if picture is None else picture.shape[:2]


def unit_scale(kind: np.dtype) -> float:
    """The value that counts as 1: 255, 65535, or 1 for floats."""
    return float(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1.0


def _bands(path: Path) -> np.ndarray | None:
    """What .npy or a TIFF of many bands holds; None for an ordinary picture."""
    check_file(path, "picture")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        values = read_array(path, "replace or remove the file", "uif")
        return _checked(values, path)
    if suffix in TIFF:
        bands = _tiff(path)
        return None if bands is None else _checked(bands, path)
    return None


def _tiff(path: Path) -> np.ndarray | None:
    """A TIFF's (H, W, C) where it has another number of bands than a picture; None where it is one."""
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        with Image.open(path, formats=["TIFF"]) as image:
            assert isinstance(image, TiffImageFile)
            bands = image.tag_v2.get(277, 1)  # samples per pixel
            frames = getattr(image, "n_frames", 1)
        if bands <= 4 and frames == 1:
            return None
    except FileNotFoundError as error:
        raise InputError("no such picture", path, "check the path") from error
    except (OSError, SyntaxError, ValueError, AttributeError):
        pass  # Pillow does not know this layout
    try:
        import tifffile
    except ImportError as error:
        raise InputError("a TIFF of many bands needs tifffile", path, "pip install tifffile, or give .npy") from error
    try:
        values = tifffile.imread(path)
    except Exception as error:  # what tifffile raises for damaged data differs by compression
        raise InputError(f"the image cannot be decoded ({error})", path, "replace or remove the file") from error
    if values.ndim == 3 and values.shape[0] < min(values.shape[1:]) and values.shape[2] > values.shape[0]:
        values = np.moveaxis(values, 0, -1)  # bands first
    return values


def _checked(values: np.ndarray, path: Path) -> np.ndarray:
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or not values.size or values.shape[2] > MOST:
        raise InputError(f"an array of shape {values.shape}", path, "give (height, width, channels)")
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype.kind not in "uif":
        raise InputError(f"an array of {values.dtype}", path, "give whole numbers or floats")
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError("values that are not finite", path, "replace or remove the file")
    return values


def fitted(values: np.ndarray, size: int) -> np.ndarray:
    """The centre square, resized to size x size, channel by channel."""
    height, width = values.shape[:2]
    if (height, width) == (size, size):
        return values
    side = min(height, width)
    top, left = (height - side) / 2, (width - side) / 2
    box = (left, top, left + side, top + side)
    bands = [
        np.asarray(
            Image.fromarray(values[:, :, c].astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR, box)
        )
        for c in range(values.shape[2])
    ]
    out = np.stack(bands, 2)
    return np.rint(out).astype(values.dtype) if np.issubdtype(values.dtype, np.integer) else out
