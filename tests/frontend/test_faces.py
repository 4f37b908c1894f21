"""What a user loses if these fail: a teacher that looks at the wrong face, or at a face in the wrong place."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from videos import write_video

from speakerkd.errors import InputError
from speakerkd.frontend.alignment import TEMPLATE, similarity_transform, warp
from speakerkd.frontend.faces import DetectorSettings, FaceDetector, align, crop_face, face_of


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def turned(points, degrees, scale, shift):
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (30, 0.5), (-80, 3), (170, 1.2)])
def test_landmarks_that_are_a_turned_template_are_brought_back(degrees, scale):
    landmarks = turned(TEMPLATE, degrees, scale, [40, -9])
    for reflect in (False, True):
        matrix = similarity_transform(landmarks, reflect=reflect)
        np.testing.assert_allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)


def test_a_mirrored_face_is_mirrored_back_only_where_asked():
    landmarks = TEMPLATE * [-1, 1] + [200, 0]
    matrix = similarity_transform(landmarks, reflect=True)
    np.testing.assert_allclose(matrix, [[-1, 0, 200], [0, 1, 0]], atol=1e-9)
    assert np.linalg.det(similarity_transform(landmarks)[:, :2]) > 0


def test_landmarks_that_coincide_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)))


def test_warp_equals_scipys_bilinear_interpolation():
    picture = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    matrix = similarity_transform(turned(TEMPLATE, 25, 0.8, [30, 5]))
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    y, x = np.mgrid[:112, :112]
    column, row = np.tensordot(back[:2, :2], [x, y], 1) + back[:2, 2, None, None]
    ours = warp(picture, matrix)
    # scipy treats the last half pixel at the border as outside; ours fades to black there
    inside = (column >= 0) & (column <= 129) & (row >= 0) & (row <= 89)
    for channel in range(3):
        theirs = ndimage.map_coordinates(picture[..., channel].astype(float), [row, column], order=1)
        assert np.abs(ours[..., channel] - theirs)[inside].max() <= 0.51
    outside = (column < -1) | (column > 130) | (row < -1) | (row > 90)
    assert outside.any() and (ours[outside] == 0).all()


def test_a_large_picture_is_averaged_not_sampled():
    checks = np.indices((1120, 1120)).sum(0) % 2 * 255  # finer than any pixel of the result
    picture = np.repeat(checks[..., None], 3, 2).astype(np.uint8)
    crop = warp(picture, np.array([[0.1, 0, -0.45], [0, 0.1, -0.45]]))
    assert np.abs(crop.astype(int) - 127).max() <= 1
    ramp = np.repeat(np.linspace(0, 255, 1120)[None, :, None], 1120, 0).repeat(3, 2).astype(np.uint8)
    crop = warp(ramp, np.array([[0.1, 0, -0.45], [0, 0.1, -0.45]]))
    # the middle of pixel n of the result is that of the source pixels 10 n to 10 n + 9
    assert np.abs(crop[50, :, 0] - (10 * np.arange(112) + 4.5) / 1119 * 255).max() <= 1.05


def test_every_portrait_is_found_and_aligned(portraits, detector):
    faces = detector.find(portraits)
    assert all(face is not None for face in faces)
    for face in faces:
        assert face.crop.shape == (112, 112, 3) and face.crop.dtype == np.uint8
        assert face.count == 1 and face.probability > 0.8
        assert np.abs((face.box[:2] + face.box[2:]) / 2 - 112).max() < 30
    # looked at again, the features of the crops lie at the template's
    again = [face for face in detector.find([face.crop for face in faces]) if face is not None]
    assert len(again) >= 18
    assert np.abs(np.mean([face.landmarks for face in again], 0) - TEMPLATE).max() < 2.5


def test_faces_that_fill_the_picture_keep_their_place(portraits, detector):
    """MTCNN alone misplaces the landmarks of a face that reaches the border."""
    whole = detector.find(portraits)
    tight = detector.find([picture[52:182, 47:177] for picture in portraits])
    pairs = [(a, b) for a, b in zip(whole, tight, strict=True) if b is not None]
    assert len(pairs) >= 17
    apart = [np.abs(a.landmarks - [47, 52] - b.landmarks).mean() for a, b in pairs]
    assert np.median(apart) < 3
    bare = FaceDetector(DetectorSettings(padding=0)).find([picture[52:182, 47:177] for picture in portraits])
    without = [np.abs(a.landmarks - [47, 52] - b.landmarks).mean() for a, b in zip(whole, bare, strict=True) if b]
    assert np.median(without) > 2 * np.median(apart)


def test_sizes_may_differ_within_a_call_and_order_is_kept(portraits, detector):
    small = np.asarray(Image.fromarray(portraits[1]).resize((90, 90)))
    large = np.asarray(Image.fromarray(portraits[2]).resize((900, 900)))
    nothing = np.full((224, 224, 3), 90, np.uint8)
    faces = detector.find([portraits[0], nothing, small, large, portraits[3]])
    assert faces[1] is None
    for face, scale in zip([faces[0], faces[2], faces[3], faces[4]], (1, 90 / 224, 900 / 224, 1), strict=True):
        assert np.abs((face.box[:2] + face.box[2:]) / 2 - 112 * scale).max() < 30 * scale


def test_the_large_central_face_is_taken_of_several(portraits):
    crowd = np.full((300, 500, 3), 90, np.uint8)
    crowd[38:262, 138:362] = portraits[0]
    crowd[100:180, 5:85] = np.asarray(Image.fromarray(portraits[1][32:192, 32:192]).resize((80, 80)))
    face = crop_face(crowd)
    assert face.count == 2
    assert np.abs((face.box[:2] + face.box[2:]) / 2 - [250, 150]).max() < 30


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (11, 11)])
def test_tiny_pictures_have_no_face(detector, shape):
    assert detector.find([np.full((*shape, 3), 200, np.uint8)]) == [None]


def test_no_face_is_an_error_that_names_the_picture(tmp_path):
    Image.fromarray(np.full((100, 100, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(InputError, match=r"no face found.*wall\.png"):
        face_of(tmp_path / "wall.png")
    write_video(tmp_path / "wall.mp4", [np.full((96, 96, 3), 90, np.uint8)] * 10)
    with pytest.raises(InputError, match=r"no face in 5 frames.*wall\.mp4"):
        face_of(tmp_path / "wall.mp4")


def test_a_video_is_searched_from_its_middle_outwards(tmp_path, portraits):
    blank = np.full((224, 224, 3), 90, np.uint8)
    write_video(tmp_path / "a.mp4", [portraits[0]] * 10 + [blank] * 20 + [portraits[1]] * 10)
    face = face_of(tmp_path / "a.mp4")
    # a quarter of the length is the last blank frame's place or before it: the first portrait is not reached there
    expected = align(portraits[0], face.landmarks), align(portraits[1], face.landmarks)
    apart = [np.abs(face.crop.astype(int) - crop).mean() for crop in expected]
    assert min(apart) < 4 < max(apart)
