"""Any picture as RGB pixels: the one decoder, whatever a picture is read for."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import numpy as np

from speakerkd.errors import InputError
from speakerkd.media.files import FileSource, MediaFile, open_media
from speakerkd.media.formats import Format
from speakerkd.media.library import DecodingError, library_call
from speakerkd.media.orientation import orientation

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

PictureSource = Union[FileSource, "PilImage", np.ndarray]
MOST_PIXELS = 1 << 26  # of one picture: 8192 x 8192, 192 MiB as RGB; a larger JPEG is decoded at a half to an eighth
GREY = 127  # what shows through transparent parts
DEEPEST = 65535  # of 16 bits
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
         7: "TRANSVERSE", 8: "ROTATE_90"}  # fmt: skip
FIX = "give a jpg, png or another usual picture"


def read_picture(source: PictureSource) -> np.ndarray:
    """Read a picture as RGB uint8 (H, W, 3), turned upright as its EXIF or XMP orientation says.

    Grey, palette and CMYK pictures are converted, 16 bits are scaled to 8; transparent parts become grey. Of an
    animation the first picture is read. What lies in a file is told by its content, not by its name.

    Parameters
    ----------
    source: a path, the bytes of a file, a file object, a PIL image, or an array (H, W), (H, W, C) or (C, H, W), with
        1, 3 or 4 channels, of uint8, uint16, or floating-point values in [0, 1].

    Raises
    ------
    InputError for a file that is missing, no regular file, empty, truncated, not a picture, or of more than
    `MOST_PIXELS` pixels.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if is_decoded(source):
        return _pixels(source, "picture")  # type: ignore[arg-type]  # is_decoded says so
    with open_media(source, "picture") as file:  # type: ignore[arg-type]  # not decoded, so a file
        return decode_picture(file)


def is_decoded(source: object) -> bool:
    """Whether a source is pixels already: an array or a PIL image."""
    return isinstance(source, np.ndarray) or type(source).__module__.startswith("PIL.")


def decode_picture(file: MediaFile) -> np.ndarray:
    """What read_picture gives, of an open file."""
    with _opened(file) as image:
        return _pixels(image, file.name)


def picture_size(source: FileSource) -> tuple[int, int]:
    """(height, width) in a picture's header, before it is turned upright; raises InputError as read_picture does."""
    with open_media(source, "picture") as file, _opened(file) as image:
        return image.height, image.width


def check_format(file: MediaFile) -> str:
    """ "picture" or "video", whichever an open file is; raises InputError for one that can show nothing."""
    if file.format is None or file.format.kind == "audio":
        fault = f"not a picture ({file.format.name})" if file.format else "not a readable picture"
        raise InputError(fault, file.name, FIX)
    return file.format.kind


@contextmanager
def _opened(file: MediaFile) -> Iterator[PilImage]:
    """The image in an open file, its header read by the one plug-in that the content calls for."""
    from PIL import UnidentifiedImageError

    if check_format(file) == "video":
        raise InputError("a video, not a picture", file.name, FIX)
    assert file.format is not None
    _plug_in(file.format, file.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong enough to matter is raised
        try:
            with library_call():
                image = _open(file.stream, file.format.decoder)
        except DecodingError as error:
            reason = "damaged header" if isinstance(error.__cause__, UnidentifiedImageError) else error
            raise InputError(f"not a readable picture ({reason})", file.name, "copy or convert it again") from error
        with image:
            if image.width * image.height > MOST_PIXELS:
                what = f"{file.format.name} of {image.width} x {image.height} pixels, more than {MOST_PIXELS >> 20} Mi"
                raise InputError(what, file.name, "make the picture smaller")
            yield image


def _open(stream: BinaryIO, plug_in: str) -> PilImage:
    """The image, its pixels not decoded yet; a JPEG of too many pixels will be decoded at a half to an eighth."""
    from PIL import Image

    stream.seek(0)
    try:
        image: PilImage = Image.open(stream, formats=[plug_in])
    except Exception:
        if plug_in != "JPEG":
            raise
        # Pillow looks into EXIF and its like, and gives up on some that is broken: without it, the picture opens
        stream.seek(0)
        image = Image.open(io.BytesIO(_bare(stream.read())), formats=[plug_in])
    if plug_in == "JPEG" and image.width * image.height > MOST_PIXELS:
        shrink = next((n for n in (2, 4) if image.width * image.height <= n * n * MOST_PIXELS), 8)
        image.draft(None, (image.width // shrink, image.height // shrink))
    return image


def _bare(jpeg: bytes) -> bytes:
    """A JPEG without the segments of applications, but for JFIF's and Adobe's, which say what its colours are."""
    offset, kept = 2, [jpeg[:2]]
    while jpeg[offset : offset + 1] == b"\xff" and jpeg[offset + 1 : offset + 2] not in (b"\xda", b""):
        length = 2 + int.from_bytes(jpeg[offset + 2 : offset + 4])
        if not 0xE1 <= jpeg[offset + 1] <= 0xED:
            kept.append(jpeg[offset : offset + length])
        offset += length
    return b"".join([*kept, jpeg[offset:]])


@functools.cache
def _unbounded() -> None:
    """Pillow's own bound is a warning at first; ours refuses, and is checked before anything is decoded."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None


def _plug_in(form: Format, name: str) -> None:
    from PIL import features

    _unbounded()
    if form.name == "heif":
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            fix = "install the extra: pip install 'speakerkd[heif]', or convert it to jpg"
            raise InputError("a HEIC picture, which needs pillow-heif", name, fix) from None
        register_heif_opener(thumbnails=False)
    if form.name == "avif" and not features.check("avif"):
        raise InputError("an AVIF picture, which this Pillow cannot read", name, "convert it to jpg")


def _pixels(image: PilImage, name: str) -> np.ndarray:
    """The upright pixels of an opened image."""
    from PIL import Image

    try:
        with library_call():
            info = dict(image.info)
            image.load()
            turn = orientation(info.get("exif") or _raw_profile(info), info.get("xmp", info.get("XML:com.adobe.xmp")))
            if turn == 1 and image.format == "TIFF":
                turn = _tiff_orientation(image)
            image = _eight_bits(image)
            if image.has_transparency_data:
                ground = Image.new("RGBA", image.size, (GREY, GREY, GREY, 255))
                image = Image.alpha_composite(ground, image.convert("RGBA"))
            image = image.convert("RGB")
            if turn in TURNS:
                image = image.transpose(getattr(Image.Transpose, TURNS[turn]))
            return np.asarray(image)
    except DecodingError as error:
        raise InputError(f"truncated or damaged picture ({error})", name, "copy the picture again") from error


def _raw_profile(info: dict[Any, Any]) -> bytes:
    """EXIF as ImageMagick writes it into PNG: hexadecimal digits behind a length."""
    text = info.get("Raw profile type exif", "")
    try:
        return bytes.fromhex("".join(str(text).split("\n")[3:]))
    except ValueError:
        return b""


def _tiff_orientation(image: PilImage) -> int:
    try:
        value = image.tag_v2.get(0x0112, 1)  # type: ignore[attr-defined]  # TIFFs have it
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _eight_bits(image: PilImage) -> PilImage:
    """A picture of deeper grey scaled to 8 bits; any other as it is."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F":
        return Image.fromarray(_scaled_floats(values))
    # 32-bit modes hold 16 bits where the file had them, and 8 where a TIFF of whole numbers has no more
    deep = image.mode.startswith("I;16") or image.format in ("PPM", "PNG") or values.max(initial=0) > 255
    return Image.fromarray(_scaled_shorts(values) if deep else values.clip(0, 255).astype(np.uint8))


def _scaled_shorts(values: np.ndarray) -> np.ndarray:
    """0 to 65535 as 0 to 255, rounded."""
    return ((values.clip(0, DEEPEST).astype(np.uint32) + 128) // 257).astype(np.uint8)


def _scaled_floats(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as 0 to 255; those that reach beyond are taken for 8 or 16 bits."""
    if not np.isfinite(values).all():
        raise ValueError("values are not finite")
    top = float(values.max(initial=0))
    scale = 255.0 if top <= 1 else 1.0 if top <= 255 else 1 / 257
    return np.rint(values * scale).clip(0, 255).astype(np.uint8)


def _from_array(values: np.ndarray) -> np.ndarray:
    shape = values.shape
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim == 3 and shape[0] in (1, 3, 4) and values.shape[2] not in (1, 3, 4) and shape[0] < min(shape[1:]):
        values = values.transpose(1, 2, 0)  # as torchvision reads pictures
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or values.size == 0:
        fix = "give (height, width), or (height, width, channels) with 1, 3 or 4 channels"
        raise InputError(f"an array of the shape {shape} where a picture is meant", "picture", fix)
    if values.shape[0] * values.shape[1] > MOST_PIXELS:
        raise InputError(f"{values.shape[1]} x {values.shape[0]} pixels", "picture", "make the picture smaller")
    if values.dtype == np.uint16:
        values = _scaled_shorts(values)
    elif values.dtype == bool:
        values = values.astype(np.uint8) * np.uint8(255)
    elif values.dtype.kind == "f" and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
        values = np.rint(values * 255).astype(np.uint8)
    elif values.dtype != np.uint8:
        fix = "give uint8, uint16, or values from 0 to 1"
        raise InputError(f"pixels of {values.dtype}, or out of range", "picture", fix)
    if values.shape[2] == 1:
        return np.repeat(values, 3, 2)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.float32) / 255
        values = np.rint(values[..., :3] * alpha + GREY * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(values)
