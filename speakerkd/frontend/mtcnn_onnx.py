"""MTCNN without torch: the three networks in ONNX files, the rest in NumPy. It finds what `mtcnn` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.frontend.boxes import keep_best, moved, squared

SHRINK = 0.709  # from one size of the pyramid to the next: half the area
CELL, STRIDE = 12, 2  # of the first network: pixels that a score looks at, and between two scores
SIDES = {"rnet": 24, "onet": 48}
NETWORKS = ("pnet", "rnet", "onet")

Detection = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
Ends = tuple[NDArray[np.int64], NDArray[np.int64]]  # first and last (not included) of the places that cells cover


class OnnxMtcnn:
    """Boxes, probabilities and landmarks of the faces in pictures, by pnet.onnx, rnet.onnx and onet.onnx of a folder.

    min_face: shortest side of a face in pixels. thresholds: probabilities from which each network keeps a candidate.
    """

    def __init__(
        self, folder: Path, min_face: int, thresholds: tuple[float, float, float], options: Any = None
    ) -> None:
        import onnxruntime

        self.min_face, self.thresholds = min_face, thresholds
        self._sessions = {
            name: onnxruntime.InferenceSession(
                str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for name in NETWORKS
        }

    def detect(self, pictures: NDArray[np.uint8], border: int = 0) -> list[Detection | None]:
        """Of pictures (B, H, W, 3): boxes (n, 4) as left, top, right, bottom, probabilities (n,), landmarks (n, 5, 2).

        By falling probability; None where there is no face. border: so many pixels along each side are `GREY`, in which
        alone no face is looked for: what is found is the same.
        """
        return [self._detect(Areas(picture), border) for picture in pictures]

    def _detect(self, areas: Areas, border: int) -> Detection | None:
        boxes = self._propose(areas, border)
        boxes, scores, corrections, _ = self._keep("rnet", areas, boxes, self.thresholds[1])
        rows = keep_best(boxes, scores, np.zeros(len(boxes), np.int64), 0.7)
        boxes = squared(moved(boxes[rows], corrections[rows]))

        boxes, scores, corrections, points = self._keep("onet", areas, boxes, self.thresholds[2])
        size = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * size[:, None] + boxes[:, None, :2] - 1
        boxes = moved(boxes, corrections)
        rows = keep_best(boxes, scores, np.zeros(len(boxes), np.int64), 0.7, of_smaller=True)
        if not len(rows):
            return None
        return boxes[rows].astype(np.float64), scores[rows].astype(np.float64), landmarks[rows].astype(np.float64)

    def _propose(self, areas: Areas, border: int) -> NDArray[np.float32]:
        """Square candidates (n, 4) of the first network at every size of the pyramid."""
        scale = CELL / self.min_face
        proposals: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]] = []
        while min(areas.height, areas.width) * scale >= CELL:
            height, width = (int(side * scale + 1) for side in (areas.height, areas.width))
            rows, columns = looked_at(areas.height, height, border), looked_at(areas.width, width, border)
            small = areas.resized(cells(0, areas.height, height, rows), cells(0, areas.width, width, columns))
            score, correction = self._run("pnet", small[None])  # (1, h, w), (1, 4, h, w)
            row, column = np.nonzero(score[0] >= self.thresholds[0])
            first = [columns.start, rows.start]
            corner = (first + STRIDE * np.stack([column, row], 1) + 1).astype(np.float32)
            box = np.floor(np.concatenate([corner / scale, (corner + CELL - 1) / scale], 1)).astype(np.float32)
            own = score[0, row, column]
            kept = keep_best(box, own, np.zeros(len(box), np.int64), 0.5)
            proposals.append((box[kept], own[kept], correction[0][:, row, column].T[kept]))
            scale *= SHRINK
        if not proposals:
            return np.zeros((0, 4), np.float32)
        boxes, scores, corrections = (np.concatenate(parts) for parts in zip(*proposals, strict=True))
        best = keep_best(boxes, scores, np.zeros(len(boxes), np.int64), 0.7)
        boxes = boxes[best]
        return squared(boxes + corrections[best] * np.tile(boxes[:, 2:] - boxes[:, :2], 2))

    def _keep(self, name: str, areas: Areas, boxes: NDArray[np.float32], threshold: float) -> tuple[NDArray, ...]:
        """Of candidates (n, 4) those that a network takes for faces: boxes, scores, its other outputs."""
        side = SIDES[name]
        ends = np.trunc(boxes).astype(np.int64)
        left, top = (np.maximum(ends[:, i], 1) - 1 for i in (0, 1))
        right, bottom = np.minimum(ends[:, 2], areas.width), np.minimum(ends[:, 3], areas.height)
        inside = (right > left) & (bottom > top)
        boxes = boxes[inside]
        edges = np.stack([top, bottom, left, right], 1)[inside].tolist()
        if not edges:
            nothing = np.zeros(0, np.float32)
            return boxes, nothing, nothing.reshape(0, 4), nothing.reshape(0, 10)
        parts = [
            areas.resized(cells(top, bottom, side), cells(left, right, side)) for top, bottom, left, right in edges
        ]
        score, correction, *points = self._run(name, np.stack(parts))
        kept = score > threshold
        return boxes[kept], score[kept], correction[kept], points[0][kept] if points else correction[kept]

    def _run(self, name: str, pixels: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        """A network's outputs for pictures (n, h, w, 3) of values 0 to 255."""
        centred = ((pixels - 127.5) / 128).astype(np.float32).transpose(0, 3, 1, 2)
        return self._sessions[name].run(None, {"pixels": np.ascontiguousarray(centred)})


class Areas:
    """Means of rectangles of a picture uint8 (H, W, 3), from one table of their sums (Crow 1984)."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self.height, self.width = picture.shape[:2]
        self._sums = np.zeros((self.height + 1, self.width + 1, 3))
        self._sums[1:, 1:] = picture.astype(np.float64).cumsum(0).cumsum(1)

    def resized(self, rows: Ends, columns: Ends) -> NDArray[np.float64]:
        """(h, w, 3): the mean of each row's and column's cell."""
        (top, bottom), (left, right) = rows, columns
        sums = self._sums
        total = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
        return total / ((bottom - top)[:, None] * (right - left)[None])[..., None]


def cells(start: int, stop: int, count: int, some: slice = slice(None)) -> Ends:
    """Where each of `count` cells over whole pixels begins and ends, those that it covers in part included."""
    size, number = stop - start, np.arange(count)[some]
    return start + number * size // count, start - (-(number + 1) * size // count)


def looked_at(side: int, count: int, border: int) -> slice:
    """Of `count` cells over a side, those the first network sees from places that see more than the grey borders.

    It sees grey as a face with a probability of 0.0001.
    """
    first, last = border * count // side, -(-(side - border) * count // side) - 1  # that cover more than a border
    return slice(max(0, (first - CELL + STRIDE) // STRIDE * STRIDE), last // STRIDE * STRIDE + CELL)
