"""If these fail, other faces are found than by the detector that published results were made with."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import lfw_subset

from speakerkd.frontend.mtcnn import Mtcnn, suppress
from speakerkd.frontend.mtcnn_onnx import cells, looked_at
from speakerkd.frontend.pictures import GREY


def crowd(numbers, side, height=300, width=420):
    """Faces of lfw_subset, enlarged, on grey noise."""
    generator = np.random.default_rng(sum(numbers))
    canvas = generator.integers(90, 160, (height, width, 3)).astype(np.uint8)
    for position, number in enumerate(numbers):
        face = Image.fromarray((255 * lfw_subset()[number]).astype(np.uint8)).resize((side, side))
        top, left = 20 + 10 * position, 15 + position * (side + 10)
        canvas[top : top + side, left : left + side] = np.asarray(face)[:, :, None]
    return canvas


PICTURES = np.stack([crowd([0, 1, 2], 120), crowd([5], 200), crowd([7, 9], 60), crowd([], 10)])


def test_faces_are_those_of_facenet_pytorch():
    import torch
    from facenet_pytorch import MTCNN

    theirs = MTCNN(min_face_size=20, thresholds=[0.6, 0.7, 0.7], keep_all=True, device=torch.device("cpu")).eval()
    ours = Mtcnn(20, (0.6, 0.7, 0.7)).detect(PICTURES)
    expected = theirs.detect(PICTURES, landmarks=True)
    assert sum(faces is not None for faces in ours) >= 2
    for detections, *parts in zip(ours, *expected, strict=True):
        if detections is None:
            assert parts[0] is None
            continue
        for mine, other in zip(detections, parts, strict=True):
            np.testing.assert_allclose(mine, np.array(list(other), float), atol=2e-3)


@pytest.mark.parametrize("border", [13, 56, 75])
def test_what_is_found_does_not_depend_on_leaving_the_grey_border_out(border):
    canvases = np.pad(PICTURES, ((0, 0), (border, border), (border, border), (0, 0)), constant_values=GREY)
    network = Mtcnn(20, (0.6, 0.7, 0.7))
    for one, other in zip(network.detect(canvases, border), network.detect(canvases), strict=True):
        assert (one is None) == (other is None)
        for part, same in zip(one or (), other or (), strict=True):
            np.testing.assert_allclose(part, same, atol=2e-3)
    for size in (50, 51, 134):  # looks at every pixel that is not grey, from places that are multiples of its stride
        part = looked_at(2 * border + 300, size, border)
        starts, ends = cells(0, 2 * border + 300, size)
        seen = np.flatnonzero((ends > border) & (starts < border + 300))
        assert part.start % 2 == 0 and part.start <= seen[0] and part.stop > seen[-1]


def test_a_picture_without_candidates_has_no_face():
    assert Mtcnn(20, (0.6, 0.7, 0.7)).detect(np.full((2, 40, 40, 3), 127, np.uint8)) == [None, None]
    assert Mtcnn(100, (0.6, 0.7, 0.7)).detect(np.full((1, 40, 40, 3), 127, np.uint8)) == [None]


@pytest.mark.parametrize(("of_smaller", "kept"), [(False, [1, 3, 0]), (True, [1, 3])])
def test_of_overlapping_boxes_of_one_picture_the_best_stays(of_smaller, kept):
    """Box 0 covers box 1 wholly: 0.25 of their union, all of the smaller one; box 3 is of another picture."""
    import torch

    boxes = torch.tensor([[0, 0, 20, 20], [5, 5, 15, 15], [5, 5, 15, 16], [5, 5, 15, 15]], dtype=torch.float32)
    rows = suppress(boxes, torch.tensor([0.7, 0.9, 0.8, 0.75]), torch.tensor([0, 0, 0, 1]), 0.5, of_smaller)
    assert rows.tolist() == kept


def test_the_detector_imports_neither_torchvision_nor_torchs_compiler():
    code = (
        "import sys, numpy as np; from speakerkd.frontend.mtcnn import Mtcnn\n"
        "Mtcnn(20, (0.6, 0.7, 0.7)).detect(np.zeros((1, 60, 60, 3), np.uint8))\n"
        "print(sorted({'torchvision', 'facenet_pytorch', 'torch._dynamo', 'sympy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
