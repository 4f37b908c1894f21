"""MTCNN (Zhang et al. 2016): three small networks find faces and five landmarks, each among what the one before kept.

The weights are those in facenet-pytorch's wheel. Its own code, whose results the tests compare, imports all of
torchvision and with it torch's compiler: longer than it takes to find the faces of a few pictures.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from speakerkd.errors import InputError

SHRINK = 0.709  # from one size of the pyramid to the next: half the area
CELL, STRIDE = 12, 2  # of the first network: pixels that a score looks at, and between two scores
SIDES = {"rnet": 24, "onet": 48}
CROPS = 512  # candidates that a network sees at a time

Found = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Mtcnn(nn.Module):
    """Boxes, probabilities and landmarks of the faces in pictures.

    min_face: shortest side of a face in pixels. thresholds: probabilities from which each network keeps a candidate.
    """

    def __init__(self, min_face: int, thresholds: tuple[float, float, float], device: str = "cpu") -> None:
        super().__init__()
        self.min_face, self.thresholds = min_face, thresholds
        self.pnet, self.rnet, self.onet = _proposals(), _refinement(), _output()
        for name in ("pnet", "rnet", "onet"):
            getattr(self, name).load_state_dict(torch.load(weights_file(name), map_location="cpu", weights_only=True))
        self.to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def detect(self, pictures: NDArray[np.uint8]) -> list[Found | None]:
        """Of pictures (B, H, W, 3): boxes (n, 4) as left, top, right, bottom, probabilities (n,), landmarks (n, 5, 2).

        By falling probability; None where there is no face.
        """
        device = next(self.parameters()).device
        pixels = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()
        boxes, which = self._propose(pixels)

        boxes, scores, which, corrections, _ = self._keep("rnet", pixels, boxes, which, self.thresholds[1])
        rows = suppress(boxes, scores, which, 0.7)
        boxes, which = squared(moved(boxes[rows], corrections[rows])), which[rows]

        boxes, scores, which, corrections, points = self._keep("onet", pixels, boxes, which, self.thresholds[2])
        size = boxes[:, 2:] - boxes[:, :2] + 1
        points = points.unflatten(1, (2, 5)).mT * size[:, None] + boxes[:, None, :2] - 1  # (n, 5, 2)
        boxes = moved(boxes, corrections)
        rows = suppress(boxes, scores, which, 0.7, of_smaller=True)
        boxes, scores, points, which = (x[rows].double().cpu() for x in (boxes, scores, points, which))

        result: list[Found | None] = []
        for number in range(len(pictures)):
            mine = which == number
            faces = boxes[mine].numpy(), scores[mine].numpy(), points[mine].numpy()
            result.append(faces if len(faces[0]) else None)
        return result

    def _propose(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Square candidates (n, 4) of the first network at every size of the pyramid, and their pictures (n,)."""
        height, width = pixels.shape[2:]
        scale = CELL / self.min_face
        boxes, scores, which, corrections = [], [], [], []
        while min(height, width) * scale >= CELL:
            small = interpolate(pixels, (int(height * scale + 1), int(width * scale + 1)), mode="area")
            score, correction = self.pnet(centred(small))  # (B, h, w), (B, 4, h, w)
            place = (score >= self.thresholds[0]).nonzero()  # (n, 3): picture, row, column
            corner = STRIDE * place[:, [2, 1]] + 1
            box = torch.cat([corner / scale, (corner + CELL - 1) / scale], 1).floor()
            rows = suppress(box, score[tuple(place.T)], place[:, 0], 0.5)
            place = place[rows]
            boxes.append(box[rows])
            scores.append(score[tuple(place.T)])
            which.append(place[:, 0])
            corrections.append(correction.permute(0, 2, 3, 1)[tuple(place.T)])
            scale *= SHRINK
        if not boxes:
            return pixels.new_zeros(0, 4), torch.zeros(0, dtype=torch.int64, device=pixels.device)
        box, picture, correction = torch.cat(boxes), torch.cat(which), torch.cat(corrections)
        rows = suppress(box, torch.cat(scores), picture, 0.7)
        box = box[rows]
        size = (box[:, 2:] - box[:, :2]).repeat(1, 2)
        return squared(box + correction[rows] * size), picture[rows]

    def _keep(
        self, name: str, pixels: Tensor, boxes: Tensor, which: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Of candidates (n, 4) those that a network takes for faces: boxes, scores, pictures, its other outputs."""
        network, side = getattr(self, name), SIDES[name]
        height, width = pixels.shape[2:]
        ends = boxes.trunc().int()
        left, top = (ends[:, i].clamp(min=1) - 1 for i in (0, 1))
        right, bottom = ends[:, 2].clamp(max=width), ends[:, 3].clamp(max=height)
        inside = (right > left) & (bottom > top)
        boxes, which = boxes[inside], which[inside]
        edges = torch.stack([which.int(), top[inside], bottom[inside], left[inside], right[inside]], 1).tolist()
        crops = [interpolate(pixels[n : n + 1, :, a:b, c:d], (side, side), mode="area") for n, a, b, c, d in edges]
        outputs = [network(centred(torch.cat(crops[i : i + CROPS]))) for i in range(0, len(crops), CROPS)]
        if not outputs:
            nothing = pixels.new_zeros(0)
            return boxes, nothing, which, nothing.view(0, 4), nothing.view(0, 10)
        score, correction, *points = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        kept = score > threshold
        return boxes[kept], score[kept], which[kept], correction[kept], points[0][kept] if points else correction[kept]


class Stage(nn.Module):
    """Layers one after another, then heads beside each other; the first head's scores become probabilities."""

    def __init__(self, layers: dict[str, nn.Module], heads: dict[str, nn.Module]) -> None:
        super().__init__()
        self.layers, self.heads = tuple(layers), tuple(heads)
        for name, module in (layers | heads).items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The probability of a face (B, ...), and the other heads' outputs (B, C, ...)."""
        for name in self.layers:
            x = self.get_submodule(name)(x)
        score, *others = (self.get_submodule(name)(x) for name in self.heads)
        return [score.softmax(1)[:, 1], *others]


class Columns(nn.Module):
    """Maps (B, C, H, W) as vectors, column by column, as the weights' first library laid them out."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1).flatten(1)


def _proposals() -> Stage:
    layers: dict[str, nn.Module] = {
        **_convolution(1, 3, 10, 3, (2, 2)),
        **_convolution(2, 10, 16, 3),
        **_convolution(3, 16, 32, 3),
    }
    return Stage(layers, {"conv4_1": nn.Conv2d(32, 2, 1), "conv4_2": nn.Conv2d(32, 4, 1)})


def _refinement() -> Stage:
    layers: dict[str, nn.Module] = {
        **_convolution(1, 3, 28, 3, (3, 2)),
        **_convolution(2, 28, 48, 3, (3, 2)),
        **_convolution(3, 48, 64, 2),
        "columns": Columns(),
        "dense4": nn.Linear(576, 128),
        "prelu4": nn.PReLU(128),
    }
    return Stage(layers, {"dense5_1": nn.Linear(128, 2), "dense5_2": nn.Linear(128, 4)})


def _output() -> Stage:
    layers: dict[str, nn.Module] = {
        **_convolution(1, 3, 32, 3, (3, 2)),
        **_convolution(2, 32, 64, 3, (3, 2)),
        **_convolution(3, 64, 64, 3, (2, 2)),
        **_convolution(4, 64, 128, 2),
        "columns": Columns(),
        "dense5": nn.Linear(1152, 256),
        "prelu5": nn.PReLU(256),
    }
    heads: dict[str, nn.Module] = {
        "dense6_1": nn.Linear(256, 2),
        "dense6_2": nn.Linear(256, 4),
        "dense6_3": nn.Linear(256, 10),
    }
    return Stage(layers, heads)


def _convolution(
    number: int, inputs: int, outputs: int, kernel: int, pool: tuple[int, int] | None = None
) -> dict[str, nn.Module]:
    """A convolution, its rectifier and, with (kernel, stride), the pooling after it."""
    layers = {f"conv{number}": nn.Conv2d(inputs, outputs, kernel), f"prelu{number}": nn.PReLU(outputs)}
    return layers | ({f"pool{number}": nn.MaxPool2d(*pool, ceil_mode=True)} if pool else {})


def centred(pixels: Tensor) -> Tensor:
    """Pixel values 0 to 255 as the networks were trained on them, -1 to 1."""
    return (pixels - 127.5) / 128


def moved(boxes: Tensor, corrections: Tensor) -> Tensor:
    """Boxes (n, 4) with each edge moved by a share (n, 4) of the box's size, its last pixel counted."""
    return boxes + corrections * (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)


def squared(boxes: Tensor) -> Tensor:
    """The squares around the boxes' middles, of their longer sides."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    corner = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([corner, corner + side], 1)


def suppress(boxes: Tensor, scores: Tensor, which: Tensor, most: float, of_smaller: bool = False) -> Tensor:
    """Rows that stay, by falling score: of boxes of one picture that overlap by more than `most` the best.

    The overlap is a share of both boxes' union; `of_smaller`: of the smaller box, last pixels counted.
    """
    box, score, picture = (x.cpu().numpy() for x in (boxes, scores, which))
    extra = np.float32(of_smaller)
    area = (box[:, 2] - box[:, 0] + extra) * (box[:, 3] - box[:, 1] + extra)
    kept: list[int] = []
    order = np.argsort(-score, kind="stable")
    for number in np.unique(picture):
        rows = order[picture[order] == number]
        while len(rows):
            first, rows = rows[0], rows[1:]
            kept.append(int(first))
            low = np.maximum(box[first, :2], box[rows, :2])
            high = np.minimum(box[first, 2:], box[rows, 2:])
            shared = np.maximum(high - low + extra, 0).prod(1)
            whole = np.minimum(area[first], area[rows]) if of_smaller else area[first] + area[rows] - shared
            rows = rows[~(shared > most * whole)]
    return torch.tensor(sorted(kept, key=lambda row: -score[row]), dtype=torch.int64, device=boxes.device)


def weights_file(name: str) -> Path:
    """The file of pnet, rnet or onet in facenet-pytorch's wheel, which is not imported; InputError where it is not."""
    package = importlib.util.find_spec("facenet_pytorch")
    folder = Path(package.origin or "").parent / "data" if package else Path("facenet_pytorch")
    path = folder / f"{name}.pt"
    if not path.is_file():
        fix = "run `pip install facenet-pytorch==2.5.3`"
        raise InputError("the face detector's weights are not installed", path, fix)
    return path
