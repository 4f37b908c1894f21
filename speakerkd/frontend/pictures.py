"""Pictures and frames of videos as RGB arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speakerkd.errors import InputError

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv"}
# the middle first, then ever farther from what was tried before
POSITIONS = (0.5, 0.25, 0.75, 0.375, 0.625, 0.125, 0.875)
GREY = 127


def read_picture(path: Path | str) -> np.ndarray:
    """Read a picture as RGB uint8 (H, W, 3), turned upright as its EXIF orientation says.

    Grey, palette, CMYK and 16-bit pictures are converted; transparent parts become grey. Raises InputError for a file
    that is missing, empty, truncated or not a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        raise InputError("no such picture", path, "check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong enough to matter is raised
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                upright.load()
                return np.asarray(_rgb(upright))
    except UnidentifiedImageError as error:
        what = "empty file" if path.stat().st_size == 0 else "not a picture"
        raise InputError(what, path, "give a jpg, png or another usual picture format") from error
    except Image.DecompressionBombError as error:
        raise InputError("a picture of too many pixels", path, "make it smaller") from error
    except (OSError, ValueError, SyntaxError, IndexError, EOFError, TypeError, KeyError, OverflowError) as error:
        # what Pillow's decoders raise for damaged data differs by format
        raise InputError(f"truncated or damaged picture ({error})", path, "copy the picture again") from error


def _rgb(image):
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        if not np.isfinite(values).all():
            raise ValueError("values are not finite")
        # 16 bits, or a float picture in [0, 1]
        values = (
            values / 257 if values.max() > 255 else values * 255 if image.mode == "F" and values.max() <= 1 else values
        )
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (GREY, GREY, GREY, 255))
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def is_video(path: Path | str) -> bool:
    """True if the name says that it is a video."""
    return Path(path).suffix.lower() in VIDEOS


def video_frames(path: Path | str, positions: tuple[float, ...] = POSITIONS) -> Iterator[np.ndarray]:
    """Frames RGB uint8 (H, W, 3) of a video at the given shares of its length, upright, each read when asked for.

    Positions that a damaged video cannot give are passed over; raises InputError where it gives none at all.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise InputError("no such video", path, "check the path")
    given = 0
    reason = "no picture in it"
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError("no pictures in the file", path, "give a video")
            stream = container.streams.video[0]
            start = stream.start_time or 0
            for position in positions:
                try:
                    target = start + int((stream.duration or 0) * position)
                    container.seek(target, stream=stream)
                    frame = _frame_at(container, stream, target)
                except av.FFmpegError as error:
                    reason = error.strerror or str(error)
                    continue
                if frame is not None:
                    given += 1
                    yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
                if not stream.duration:
                    break  # a stream that does not know its length is read from its beginning only
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    if given == 0:
        raise InputError(f"truncated or not a readable video ({reason})", path, "copy the video again")


def _frame_at(container, stream, target: int):
    """The first frame at or after a time, else the last one before it, else None."""
    frame = None
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts >= target:
            break
    return frame
