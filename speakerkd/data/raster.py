"""Pictures of measuring sensors as they were measured: GeoTIFF, deep grey, arrays; what was not measured is filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speakerkd.data.bands import TIFF, read_channels
from speakerkd.errors import InputError
from speakerkd.work.arrays import read_array
from speakerkd.work.reading import check_file

DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes of one channel beyond 8 bits


def read_measured(path: Path | str, channels: int, no_data: int | None = None) -> tuple[np.ndarray, int]:
    """Decode a sensor's picture (H, W, `channels`) of uint8, uint16 or float32, values as stored.

    Pixels that are NaN, infinite, of the value `no_data`, or marked as such by the file take their band's median over
    the others; how many were filled is the second result. A GeoTIFF is read by rasterio.
    Raises InputError for a file that is missing, damaged, has other bands, or shows one value alone.
    """
    path = Path(path)
    check_file(path, "picture")
    suffix = path.suffix.lower()
    if suffix in TIFF:
        values, missing = _geotiff(path)
    elif suffix == ".npy":
        values = read_array(path, "replace or remove the file", "uif")
        missing = None
    else:
        values, missing = _picture(path, channels), None
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] != channels or not values.size:
        bands = values.shape[2] if values.ndim == 3 else 1
        fix = "fetch the file again, or leave it out"
        raise InputError(f"{bands} bands, {channels} expected", path, fix)
    if values.dtype not in (np.uint8, np.uint16):
        values = values.astype(np.float32)
        unknown = ~np.isfinite(values)
        missing = unknown if missing is None else missing | unknown
    if no_data is not None:
        missing = values == no_data if missing is None else missing | (values == no_data)
    filled = 0
    if missing is not None and missing.any():
        if missing.all():
            raise InputError("a picture without a measurement", path, "leave it out")
        values, filled = _filled(values, missing)
    if (values == values[:1, :1]).all():
        raise InputError("a constant picture, each band has one value", path, "leave it out")
    return values, filled


def _picture(path: Path, channels: int) -> np.ndarray:
    """An ordinary picture: grey at its own depth, or RGB."""
    from PIL import Image

    if channels == 1:
        try:
            with Image.open(path) as image:
                if image.mode in DEEP:
                    values = np.asarray(image)
                    return values if values.dtype.kind == "f" else values.astype(np.uint16)
        except (OSError, SyntaxError, ValueError) as error:
            what = f"the image cannot be decoded ({error})"
            raise InputError(what, path, "replace or remove the file") from error
    return read_channels(path, channels=channels)


def _geotiff(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Values (H, W, C), and where the file says that nothing was measured."""
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        what = "a GeoTIFF needs rasterio"
        raise InputError(what, path, 'install it: pip install "speakerkd[raster]"') from error
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # where on earth does not matter here
            with rasterio.open(path) as source:
                values = np.moveaxis(source.read(), 0, -1)
                masks = np.moveaxis(source.read_masks(), 0, -1) == 0 if source.nodata is not None else None
    except (RasterioError, OSError, ValueError) as error:
        raise InputError(f"the image cannot be decoded ({error})", path, "replace or remove the file") from error
    return values, masks


def _filled(values: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, int]:
    """The values with each band's median where they are missing, and the number of pixels that lacked any band."""
    values = values.copy()
    for band in range(values.shape[2]):
        lacking = missing[:, :, band]
        if lacking.any():
            known = values[:, :, band][~lacking]
            values[:, :, band][lacking] = np.median(known) if known.size else 0
    return values, int(missing.any(2).sum())
