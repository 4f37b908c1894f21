"""Faces in pictures: found by MTCNN, the subject chosen, aligned to the template of face-recognition networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from speakerkd.config import Settings
from speakerkd.errors import InputError
from speakerkd.frontend.alignment import SIDE, TEMPLATE, align, similarity_transform, warp
from speakerkd.frontend.pictures import GREY, PictureSource, frames_of
from speakerkd.media.pictures import is_decoded

if TYPE_CHECKING:
    from speakerkd.frontend.mtcnn import Mtcnn
    from speakerkd.frontend.mtcnn_onnx import Detection, OnnxMtcnn

__all__ = [
    "SIDE",
    "TEMPLATE",
    "DetectorSettings",
    "Face",
    "FaceDetector",
    "align",
    "crop_face",
    "face_of",
    "seen_face",
    "similarity_transform",
    "warp",
]

SECOND_LOOK = 1.5  # times the size and the border of the first
SURE = 0.95  # the probability that a face in a picture on its side must have: fewer are looked for there
CENTRE_WEIGHT = 2.0  # square pixels of area that a square pixel of distance from the centre is worth
FRAMES = 5  # tried in a video before it is taken to show no face


class DetectorSettings(Settings):
    """How faces are searched for.

    MTCNN cuts what lies outside the picture off a face before it places the landmarks, which misplaces them where a
    face fills the picture; hence the padding. On 248 pictures of 80 x 80 pixels that a face fills, it brought the EER
    of a face network from 7 % (12 % without alignment) to 1 %.
    """

    padding: float = Field(0.25, ge=0, le=2, description="grey border on each side, as a share of the longer side")
    smallest: int = Field(160, ge=12, le=2048, description="smaller pictures are enlarged to this, pixels")
    largest: int = Field(640, ge=64, le=8192, description="larger pictures are searched at this size, pixels")
    min_face: int = Field(20, ge=12, le=512, description="smallest face at the size searched, pixels")
    thresholds: tuple[float, float, float] = Field((0.6, 0.7, 0.7), description="of MTCNN's three networks")
    batch: int = Field(16, ge=1, le=1024, description="pictures of one size searched at once")


@dataclass(slots=True)
class Face:
    """The subject of a picture.

    crop: uint8 (112, 112, 3) RGB, aligned. box: (4,) left, top, right, bottom, and landmarks: (5, 2) x, y, in pixels of
    the picture. probability: of its being a face, in [0, 1]. count: faces found in the picture. turned: degrees, with
    the clock, by which the picture had to be turned, 0 where the face stands upright in it. others: (count - 1, 4)
    boxes of the faces that are not the subject.
    """

    crop: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray
    probability: float
    count: int
    turned: int = 0
    others: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))


class FaceDetector:
    """MTCNN (Zhang et al. 2016; facenet-pytorch's weights) over batches of pictures.

    exported: a folder with its networks in ONNX files, which run without torch.
    """

    def __init__(
        self, settings: DetectorSettings | None = None, device: str = "cpu", exported: Path | None = None
    ) -> None:
        self.settings = settings or DetectorSettings()
        self._network: Mtcnn | OnnxMtcnn
        if exported is not None:
            from speakerkd.frontend.mtcnn_onnx import OnnxMtcnn

            self._network = OnnxMtcnn(exported, self.settings.min_face, self.settings.thresholds)
            return
        from speakerkd.frontend.mtcnn import Mtcnn

        self._network = Mtcnn(self.settings.min_face, self.settings.thresholds, device)

    def find(self, pictures: Sequence[np.ndarray]) -> list[Face | None]:
        """The subject of each picture uint8 (H, W, 3), None where there is no face.

        Of several faces it is the one with the largest area less twice its squared distance from the picture's centre.
        Pictures without a face are searched again, larger and with a wider border, and then lying on either side and
        upside down: what a messenger passed on has lost the note that says how it is to be turned.
        """
        result = self._find(pictures, 1)
        missed = [position for position, face in enumerate(result) if face is None]
        for position, face in zip(missed, self._find([pictures[p] for p in missed], SECOND_LOOK), strict=True):
            result[position] = face
        for quarters in (1, 3, 2):  # against the clock, as NumPy turns
            missed = [position for position in missed if result[position] is None]
            turned = [np.ascontiguousarray(np.rot90(pictures[p], quarters)) for p in missed]
            for position, face in zip(missed, self._find(turned, 1), strict=True):
                if face is not None and face.probability >= SURE:
                    result[position] = _turned_back(face, quarters, pictures[position].shape)
        return result

    def _find(self, pictures: Sequence[np.ndarray], enlarged: float) -> list[Face | None]:
        prepared = [self._prepare(picture, enlarged) for picture in pictures]
        by_size: dict[tuple[int, ...], list[int]] = {}
        for position, (canvas, _, _) in enumerate(prepared):
            by_size.setdefault(canvas.shape, []).append(position)
        result: list[Face | None] = [None] * len(pictures)
        for positions in by_size.values():
            for start in range(0, len(positions), self.settings.batch):
                some = positions[start : start + self.settings.batch]
                border = min(prepared[p][2] for p in some)
                for position, detection in zip(some, self._detect([prepared[p][0] for p in some], border), strict=True):
                    if detection is not None:
                        result[position] = _subject(pictures[position], detection, *prepared[position][1:])
        return result

    def _prepare(self, picture: np.ndarray, enlarged: float) -> tuple[np.ndarray, float, int]:
        """The picture with its border at the size it is searched at; that size's factor; the border in its pixels."""
        from PIL import Image

        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
            raise ValueError(f"a picture is uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
        height, width = picture.shape[:2]
        factor = max(1.0, self.settings.smallest / min(height, width)) * enlarged
        factor = min(factor, self.settings.largest * enlarged / max(height, width))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        border = round(self.settings.padding * enlarged * max(size))
        canvas = np.full((size[1] + 2 * border, size[0] + 2 * border, 3), GREY, np.uint8)
        scaled = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
        canvas[border : border + size[1], border : border + size[0]] = np.asarray(scaled)
        return canvas, factor, border

    def _detect(self, canvases: list[np.ndarray], border: int) -> list[Detection | None]:
        """What is found on every canvas, all of one size and with at least this border."""
        if min(canvases[0].shape[:2]) < self.settings.min_face:
            return [None] * len(canvases)
        return self._network.detect(np.stack(canvases), border)


def _subject(picture: np.ndarray, detection: tuple[np.ndarray, ...], factor: float, border: int) -> Face | None:
    boxes, probabilities, landmarks = detection
    # from pixels of the canvas to pixels of the picture, whole numbers being centres of pixels
    boxes, landmarks = (((part - border) + 0.5) / factor - 0.5 for part in (boxes, landmarks))
    sides = boxes[:, 2:] - boxes[:, :2]
    offset = (boxes[:, 2:] + boxes[:, :2]) / 2 - (np.array(picture.shape[1::-1]) - 1) / 2
    best = int(np.argmax(sides.prod(1) - CENTRE_WEIGHT * np.square(offset).sum(1)))
    try:
        crop = align(picture, landmarks[best])
    except (ValueError, np.linalg.LinAlgError):
        return None
    others = np.delete(boxes, best, 0)
    return Face(crop, boxes[best], landmarks[best], float(probabilities[best]), len(boxes), others=others)


def _turned_back(face: Face, quarters: int, shape: tuple[int, ...]) -> Face:
    """A face found in a picture that was turned, with its places in the picture as it was given."""

    def back(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        right, bottom = shape[1] - 1, shape[0] - 1
        return np.stack({1: (right - y, x), 2: (right - x, bottom - y), 3: (y, bottom - x)}[quarters], 1)

    def box_back(box: np.ndarray) -> np.ndarray:
        corners = back(box.reshape(2, 2))
        return np.concatenate([corners.min(0), corners.max(0)])

    others = np.array([box_back(box) for box in face.others]).reshape(-1, 4)
    turned = 360 - 90 * quarters
    box = box_back(face.box)
    return Face(face.crop, box, back(face.landmarks), face.probability, face.count, turned, others)


@functools.lru_cache(maxsize=4)
def _detector(described: str, device: str) -> FaceDetector:
    return FaceDetector(DetectorSettings.model_validate_json(described), device)


def detector(settings: DetectorSettings | None = None, device: str = "cpu") -> FaceDetector:
    """The detector with these settings: one a process."""
    return _detector((settings or DetectorSettings()).model_dump_json(), device)


def crop_face(image: np.ndarray, settings: DetectorSettings | None = None, where: object = "picture") -> Face:
    """The subject of a picture uint8 (H, W, 3); raises InputError, naming `where`, where there is no face."""
    face = detector(settings).find([image])[0]
    if face is None:
        raise InputError("no face found", where, "give a picture in which the face is clear and large enough")
    return face


def face_of(source: PictureSource, settings: DetectorSettings | None = None) -> Face:
    """The subject of a picture, or of a video; see `seen_face`."""
    return seen_face(source, settings)[0]


def seen_face(
    source: PictureSource, settings: DetectorSettings | None = None, by: FaceDetector | None = None
) -> tuple[Face, np.ndarray]:
    """The subject of a picture or video, and the picture uint8 (H, W, 3) it was found in.

    Of a video that is the middle frame, or the next of five that shows a face. source: see read_picture; a video is a
    path, bytes or a file object. by: another detector than the process's own. Raises InputError for a file that cannot
    be read or shows no face.
    """
    where = "picture" if is_decoded(source) or isinstance(source, bytes) else source
    tried = 0
    for picture in frames_of(source, FRAMES):
        tried += 1
        if (face := (by or detector(settings)).find([picture])[0]) is not None:
            return face, picture
    what = "no face found" if tried == 1 else f"no face in {tried} frames of the video"
    raise InputError(what, where, "give one in which the face is clear and large enough")
