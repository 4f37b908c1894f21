"""MTCNN (Zhang et al. 2016): three small networks find faces and five landmarks, each among what the one before kept.

The weights are those in facenet-pytorch's wheel. Its own code, whose results the tests compare, imports all of
torchvision and with it torch's compiler: longer than it takes to find the faces of a few pictures. Most of its time
goes into averaging pixels for every size and crop, and into pooling; here both are sums and maxima of whole slabs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad, prelu

from speakerkd.errors import InputError
from speakerkd.frontend.boxes import keep_best
from speakerkd.frontend.mtcnn_onnx import CELL, SHRINK, SIDES, STRIDE, Detection, looked_at

PIXELS = 1 << 16  # that a network sees at a time on a CPU: of more, each layer's maps are asked of the system anew
ON_GPU = 64  # times as many on others


class Mtcnn(nn.Module):
    """Boxes, probabilities and landmarks of the faces in pictures.

    min_face: shortest side of a face in pixels. thresholds: probabilities from which each network keeps a candidate.
    """

    def __init__(self, min_face: int, thresholds: tuple[float, float, float], device: str = "cpu") -> None:
        super().__init__()
        self.min_face, self.thresholds = min_face, thresholds
        self.at_once = PIXELS if device == "cpu" else PIXELS * ON_GPU
        self.pnet, self.rnet, self.onet = _proposals(), _refinement(), _output()
        for name in ("pnet", "rnet", "onet"):
            getattr(self, name).load_state_dict(torch.load(weights_file(name), map_location="cpu", weights_only=True))
        self.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.eval().requires_grad_(False)
        self.pnet.fuse()

    @torch.inference_mode()
    def detect(self, pictures: NDArray[np.uint8], border: int = 0) -> list[Detection | None]:
        """Of pictures (B, H, W, 3): boxes (n, 4) as left, top, right, bottom, probabilities (n,), landmarks (n, 5, 2).

        By falling probability; None where there is no face. border: so many pixels along each side are `GREY`, in which
        alone no face is looked for: what is found is the same.
        """
        pixels = Areas(pictures, next(self.parameters()).device)
        boxes, which = self._propose(pixels, border)

        boxes, scores, which, corrections, _ = self._keep("rnet", pixels, boxes, which, self.thresholds[1])
        rows = suppress(boxes, scores, which, 0.7)
        boxes, which = squared(moved(boxes[rows], corrections[rows])), which[rows]

        boxes, scores, which, corrections, points = self._keep("onet", pixels, boxes, which, self.thresholds[2])
        size = boxes[:, 2:] - boxes[:, :2] + 1
        points = points.unflatten(1, (2, 5)).mT * size[:, None] + boxes[:, None, :2] - 1  # (n, 5, 2)
        boxes = moved(boxes, corrections)
        rows = suppress(boxes, scores, which, 0.7, of_smaller=True)
        boxes, scores, points, which = (x[rows].double().cpu() for x in (boxes, scores, points, which))

        result: list[Detection | None] = []
        for number in range(len(pictures)):
            mine = which == number
            faces = boxes[mine].numpy(), scores[mine].numpy(), points[mine].numpy()
            result.append(faces if len(faces[0]) else None)
        return result

    def _propose(self, pixels: Areas, border: int) -> tuple[Tensor, Tensor]:
        """Square candidates (n, 4) of the first network at every size of the pyramid, and their pictures (n,)."""
        scale = CELL / self.min_face
        kept: list[tuple[Tensor, ...]] = []
        while min(pixels.height, pixels.width) * scale >= CELL:
            height, width = (int(side * scale + 1) for side in (pixels.height, pixels.width))
            rows = looked_at(pixels.height, height, border)
            columns = looked_at(pixels.width, width, border)
            outputs = []
            for some in torch.arange(len(pixels)).split(max(1, self.at_once // (height * width))):
                small = pixels.resized(some, height, width, rows, columns)
                score, maps = self.pnet(centred(small))  # (b, h, w), (b, h, w, 32)
                cell = (score >= self.thresholds[0]).nonzero()  # (n, 3): picture, row, column
                at = cell.unbind(1)
                first = cell.new_tensor([some[0], rows.start // STRIDE, columns.start // STRIDE])
                outputs.append((cell + first, score[at], self.pnet.corrections(maps[at])))
            cell, score, correction = (torch.cat(parts) for parts in zip(*outputs, strict=True))
            corner = STRIDE * cell[:, [2, 1]] + 1
            box = torch.cat([corner / scale, (corner + CELL - 1) / scale], 1).floor()
            best = suppress(box, score, cell[:, 0], 0.5)
            kept.append((box[best], cell[best, 0], score[best], correction[best]))
            scale *= SHRINK
        if not kept:
            device = next(self.parameters()).device
            return torch.zeros(0, 4, device=device), torch.zeros(0, dtype=torch.int64, device=device)
        box, picture, score, correction = (torch.cat(parts) for parts in zip(*kept, strict=True))
        best = suppress(box, score, picture, 0.7)
        box = box[best]
        size = (box[:, 2:] - box[:, :2]).repeat(1, 2)
        return squared(box + correction[best] * size), picture[best]

    def _keep(
        self, name: str, pixels: Areas, boxes: Tensor, which: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Of candidates (n, 4) those that a network takes for faces: boxes, scores, pictures, its other outputs."""
        network, side = getattr(self, name), SIDES[name]
        ends = boxes.trunc().long()
        left, top = (ends[:, i].clamp(min=1) - 1 for i in (0, 1))
        right, bottom = ends[:, 2].clamp(max=pixels.width), ends[:, 3].clamp(max=pixels.height)
        inside = (right > left) & (bottom > top)
        boxes, which = boxes[inside], which[inside]
        edges = torch.stack([which, top[inside], bottom[inside], left[inside], right[inside]], 1)
        outputs = [
            network(centred(pixels.crops(some, side))) for some in edges.split(self.at_once // side**2) if len(some)
        ]
        if not outputs:
            nothing = boxes.new_zeros(0)
            return boxes, nothing, which, nothing.view(0, 4), nothing.view(0, 10)
        score, correction, *points = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        kept = score > threshold
        return boxes[kept], score[kept], which[kept], correction[kept], points[0][kept] if points else correction[kept]


class Areas:
    """Means of rectangles of pictures (B, H, W, 3), from one table of their sums (Crow 1984)."""

    def __init__(self, pictures: NDArray[np.uint8], device: torch.device) -> None:
        count, self.height, self.width, _ = pictures.shape
        # sums that pass 2^31 wrap around, and so do their differences: those of a cell, far smaller, are exact
        sums = torch.zeros(count, self.height + 1, self.width + 1, 3, dtype=torch.int32)
        for picture, own in zip(torch.from_numpy(pictures), sums, strict=True):
            torch.cumsum(picture, 1, dtype=torch.int32, out=own[1:, 1:])
        rows = sums.numpy()
        for row in range(2, self.height + 1):
            rows[:, row] += rows[:, row - 1]
        self._sums = sums.to(device)

    def __len__(self) -> int:
        return len(self._sums)

    def resized(self, some: Tensor, height: int, width: int, rows: slice, columns: slice) -> Tensor:
        """Rows and columns of pictures (b, 3, height, width) by their numbers (b,): means of what a pixel covers."""
        every = torch.tensor([self.height, self.width], device=self._sums.device)
        (top, bottom), (left, right) = (
            (ends[0, part] for ends in cells(every[i : i + 1], count))
            for i, (count, part) in enumerate(((height, rows), (width, columns)))
        )
        area = _areas((bottom - top)[None], (right - left)[None])[0]
        means = torch.empty(len(some), *area.shape, device=self._sums.device)
        for number, mean in zip(some.tolist(), means, strict=True):
            sums = self._sums[number]
            total = sums.index_select(0, bottom) - sums.index_select(0, top)
            mean.copy_((total.index_select(1, right) - total.index_select(1, left)).flatten(1)).div_(area)
        return means.unflatten(2, (-1, 3)).permute(0, 3, 1, 2)

    def crops(self, edges: Tensor, side: int) -> Tensor:
        """Parts (n, 3, side, side) of pictures; edges (n, 5) int64: the picture, top, bottom, left, right."""
        picture, *ends = edges[:, :, None].unbind(1)  # (n, 1) each
        top, bottom = (end + ends[0] for end in cells(ends[1] - ends[0], side))  # (n, side)
        left, right = (end + ends[2] for end in cells(ends[3] - ends[2], side))
        first = picture * (self.height + 1)

        def at(row: Tensor, column: Tensor) -> Tensor:  # (n * side * side, 3)
            corner = ((first + row) * (self.width + 1))[:, :, None] + column[:, None, :]
            return self._sums.view(-1, 3).index_select(0, corner.view(-1))

        total = at(bottom, right).sub_(at(top, right)).sub_(at(bottom, left)).add_(at(top, left))
        means = total.view(-1, side, 3 * side).float().div_(_areas(bottom - top, right - left))
        return means.unflatten(2, (side, 3)).permute(0, 3, 1, 2)


def cells(length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Where each of `count` cells over lengths (n, 1) or (1,) begins and ends, whole pixels: two (n, count)."""
    number = torch.arange(count, device=length.device)
    return number * length.view(-1, 1) // count, -((number + 1) * -length.view(-1, 1) // count)


def _areas(heights: Tensor, widths: Tensor) -> Tensor:
    """Pixels of cells (n, h, 3 w) of heights (n, h) and widths (n, w), of each colour: one a pixel divides slowly."""
    return heights.float()[:, :, None] * widths.float().repeat_interleave(3, 1)[:, None]


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


class Proposals(Stage):
    """The first network, whose first convolution, rectifier and 2 x 2 pooling are one convolution once fused."""

    def fuse(self) -> None:
        """Give the four places of a pool as channels of one convolution of stride 2, of which pooling is a maximum."""
        conv = self.get_submodule("conv1")
        weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
        spread = [pad(weight, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)]  # (10, 3, 4, 4) each
        self.register_buffer("_weight", torch.cat(spread).contiguous(memory_format=torch.channels_last))
        self.register_buffer("_bias", bias.repeat(4))
        self.register_buffer("_slope", self.get_submodule("prelu1").get_parameter("weight").repeat(4))
        self.layers, self.heads = self.layers[3:], ()

    def forward(self, x: Tensor) -> list[Tensor]:
        """The probability of a face (B, h, w), and the maps (B, h, w, 32) that tell its place."""
        odd = [size % 2 for size in x.shape[2:]]  # the last row or column of places has one of two
        x = conv2d(pad(x, (0, odd[1], 0, odd[0])), self.get_buffer("_weight"), self.get_buffer("_bias"), stride=2)
        x = prelu(x, self.get_buffer("_slope"))
        one, right, below, across = x.chunk(4, 1)
        if odd[1]:
            right[..., -1], across[..., -1] = one[..., -1], below[..., -1]
        if odd[0]:
            below[..., -1, :], across[..., -1, :] = one[..., -1, :], right[..., -1, :]
        x = torch.maximum(one.maximum(right), below.maximum(across))
        for name in self.layers:
            x = self.get_submodule(name)(x)
        x = x.permute(0, 2, 3, 1)
        head = self.get_submodule("conv4_1")
        weight, bias = (head.get_parameter(name).diff(dim=0).flatten() for name in ("weight", "bias"))
        return [(x @ weight + bias).sigmoid(), x]  # the softmax of two scores

    def corrections(self, maps: Tensor) -> Tensor:
        """How the edges of boxes move (n, 4), from their places' maps (n, 32)."""
        head = self.get_submodule("conv4_2")
        return linear(maps, head.get_parameter("weight").flatten(1), head.get_parameter("bias"))


class Columns(nn.Module):
    """Maps (B, C, H, W) as vectors, column by column, as the weights' first library laid them out."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1).flatten(1)


def _proposals() -> Proposals:
    layers: dict[str, nn.Module] = {
        **_convolution(1, 3, 10, 3, (2, 2)),
        **_convolution(2, 10, 16, 3),
        **_convolution(3, 16, 32, 3),
    }
    return Proposals(layers, {"conv4_1": nn.Conv2d(32, 2, 1), "conv4_2": nn.Conv2d(32, 4, 1)})


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
    """Rows that stay of boxes of several pictures, see `keep_best`."""
    rows = keep_best(boxes.cpu().numpy(), scores.cpu().numpy(), which.cpu().numpy(), most, of_smaller)
    return torch.from_numpy(rows).to(boxes.device)


def weights_file(name: str) -> Path:
    """The file of pnet, rnet or onet in facenet-pytorch's wheel, which is not imported; InputError where it is not."""
    package = importlib.util.find_spec("facenet_pytorch")
    folder = Path(package.origin or "").parent / "data" if package else Path("facenet_pytorch")
    path = folder / f"{name}.pt"
    if not path.is_file():
        fix = "run `pip install facenet-pytorch==2.5.3`"
        raise InputError("the face detector's weights are not installed", path, fix)
    return path


def plain_network(name: str) -> Stage:
    """pnet, rnet or onet as one module of the usual layers, which any runtime has: (B, 3, H, W) -> its outputs."""
    network = {"pnet": _proposals, "rnet": _refinement, "onet": _output}[name]()
    plain = Stage(
        {k: network.get_submodule(k) for k in network.layers}, {k: network.get_submodule(k) for k in network.heads}
    )
    plain.load_state_dict(torch.load(weights_file(name), map_location="cpu", weights_only=True))
    return plain.eval()
