"""If these fail, a student sees other frames than it should, or another person's face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from speakerkd.data.archive import write_features, write_vectors
from speakerkd.data.datadir import write_table
from speakerkd.data.resident import ResidentFeatures
from speakerkd.data.sampler import classes_of, fraction_of
from speakerkd.data.utterances import read_utterances
from speakerkd.errors import InputError
from speakerkd.frontend.crop_map import crop_map
from speakerkd.tasks.face import CropSource, shift_and_flip
from speakerkd.tasks.speaker import FbankSource, mask_strips
from speakerkd.teachers.inputs import OnlineFaces, read_teacher

FRAMES = {"a/1": 30, "a/2": 12, "b/1": 50}


def ramp(key: str) -> np.ndarray:
    """Frame t of an utterance holds t in every band, 1000 on top for speaker b."""
    base = 1000 if key.startswith("b") else 0
    return np.repeat(np.arange(FRAMES[key], dtype=np.float32)[:, None] + base, 3, axis=1)


@pytest.fixture
def directory(tmp_path):
    write_features(tmp_path, "feats", [(key, ramp(key)) for key in FRAMES])
    write_table(tmp_path / "utt2spk", {key: key[0] for key in FRAMES})
    write_vectors(tmp_path, "teacher", ["a/1", "b/1"], np.eye(2, 4, dtype=np.float32), alias={})
    return tmp_path


def test_crops_are_runs_of_frames_from_every_start(directory):
    source = FbankSource(read_utterances([directory]), 20)
    index = np.zeros(200, np.int64)
    draws = np.random.default_rng(0).random((200, source.draws))
    crops = source.student(index, draws)
    assert crops.shape == (200, 20, 3)
    starts = crops[:, 0, 0].round()
    assert torch.allclose(crops[:, :, 1] - starts[:, None], torch.arange(20.0).expand(200, 20), atol=0.01)
    assert set(starts.tolist()) == set(range(11))  # 30 frames hold 11 crops of 20


def test_a_short_utterance_wraps(directory):
    source = FbankSource(read_utterances([directory]), 20)
    crop = source.student(np.array([1]), np.full((1, source.draws), 0.99))[0, :, 0]
    assert torch.allclose(crop, torch.arange(20.0) % 12, atol=0.01)


def test_resident_features_are_those_of_the_map(directory):
    utterances = read_utterances([directory])
    resident = ResidentFeatures(utterances, "cpu")
    index, starts = np.array([2, 0, 1, 2]), np.array([5, 0, 0, 30])
    expected = torch.from_numpy(utterances.crops(index, starts, 20))
    assert torch.allclose(resident.crops(index, starts, 20), expected, rtol=1e-6, atol=1e-4)


def test_teacher_vectors_and_unpaired_rows(directory):
    utterances = read_utterances([directory])
    teacher = read_teacher([directory], "teacher.scp", [utterances.archives[0].keys])
    assert teacher.paired.tolist() == [True, False, True]
    assert teacher.take(np.array([2, 1, 0])).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_speakers_of_two_directories_are_different_people(directory, tmp_path):
    other = tmp_path / "other"
    write_features(other, "feats", [("a/1", np.full((25, 3), 7, np.float32)), ("a/2", np.zeros((9, 3), np.float32))])
    write_table(other / "utt2spk", {"a/1": "a", "a/2": "a"})
    both = read_utterances([directory, other])
    assert both.names == ["a", "b", "a"]
    assert both.labels.tolist() == [0, 0, 1, 2, 2]
    assert both.frames.tolist() == [30, 12, 50, 25, 9]
    mixed = both.crops(np.array([3, 2, 4]), np.array([2, 4, 0]), 5)
    assert mixed[0].mean() == pytest.approx(7, abs=0.01)
    assert mixed[1, :, 0] == pytest.approx([1004, 1005, 1006, 1007, 1008], abs=0.01)
    assert mixed[2].mean() == 0
    keys = [a.keys for a in both.archives]
    assert read_teacher([directory, other], "teacher.scp", keys).paired.tolist() == [True, False, True, False, False]
    kept = both.keep(np.array([2, 3]))
    assert kept.names == ["b", "a"] and kept.labels.tolist() == [0, 1] and kept.keys == ["b/1", "a/1"]


def test_bad_directories_say_what_is_missing(directory, tmp_path):
    with pytest.raises(InputError, match="no such data directory"):
        read_utterances([tmp_path / "nowhere"])
    write_table(directory / "utt2spk", {"a/1": "a", "b/1": "b"})
    with pytest.raises(InputError, match="no speaker for 'a/2'"):
        read_utterances([directory])
    with pytest.raises(InputError, match="no training sample has a teacher embedding"):
        read_teacher([tmp_path / "nowhere"], "teacher.scp", [["x"]])


def test_fractions_keep_a_share_of_everybody_and_lie_within_each_other():
    labels = np.repeat([0, 1, 2], [40, 8, 2])
    quarter, half = fraction_of(labels, 0.25, 1), fraction_of(labels, 0.5, 1)
    assert np.bincount(labels[quarter]).tolist() == [10, 2, 2]
    assert np.bincount(labels[half]).tolist() == [20, 4, 2]
    assert set(quarter.tolist()) <= set(half.tolist())


def test_a_share_of_the_speakers_keeps_all_their_utterances_and_lies_within_a_larger_one():
    labels = np.repeat(np.arange(8), [5, 1, 4, 2, 3, 9, 2, 6])
    quarter, half = classes_of(labels, 0.25, 1), classes_of(labels, 0.5, 1)
    kept = np.unique(labels[quarter])
    assert len(kept) == 2 and np.array_equal(quarter, np.flatnonzero(np.isin(labels, kept)))
    assert len(np.unique(labels[half])) == 4 and set(quarter.tolist()) <= set(half.tolist())


def test_masked_strips_have_the_bands_mean():
    x = torch.arange(24.0).reshape(1, 6, 4)
    # width floor(.5 * 4) = 2 frames, place floor(.3 * 5) = 1; width floor(.9 * 2) = 1 band, place floor(.5 * 4) = 2
    masked = mask_strips(x, torch.tensor([[0.5, 0.3, 0.9, 0.5]]), 3, 1)
    expected = x.clone()
    expected[0, 1:3] = x[0].mean(0)
    expected[0, :, 2] = x[0, :, 2].mean()
    assert torch.equal(masked, expected)
    assert torch.equal(mask_strips(x, torch.zeros(1, 4), 3, 1), x)


def picture(value: int) -> np.ndarray:
    return np.full((112, 112, 3), value, np.uint8)


@pytest.fixture
def faces(tmp_path):
    paths = {}
    for name, value in (("one", 10), ("two", 200)):
        paths[name] = tmp_path / f"{name} é.png"
        Image.fromarray(picture(value)).save(paths[name])
    table = {"a/1": str(paths["one"]), "a/2": str(paths["one"]), "b/1": str(paths["two"])}
    write_table(tmp_path / "aligned.scp", table)
    return tmp_path


def test_crops_are_stored_once_a_picture_and_made_again_when_stale(faces):
    rows, crops = crop_map(faces)
    assert crops.shape == (2, 112, 112, 3)
    assert rows["a/1"] == rows["a/2"] != rows["b/1"]
    assert crops[rows["b/1"]].mean() == 200
    stamp = (faces / "aligned.npy").stat().st_mtime_ns
    crop_map(faces)
    assert (faces / "aligned.npy").stat().st_mtime_ns == stamp
    write_table(faces / "aligned.scp", {"b/1": str(faces / "two é.png")})
    assert crop_map(faces)[1].shape[0] == 1


def test_pictures_that_cannot_be_read_are_named(faces):
    (faces / "two é.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"cannot be read.*two é\.png"):
        crop_map(faces)
    Image.fromarray(np.zeros((50, 40, 3), np.uint8)).save(faces / "two é.png")
    with pytest.raises(InputError, match="40 x 50, not 112 x 112"):
        crop_map(faces)
    assert not (faces / "aligned.npy").exists()


def test_online_faces_of_samples(faces, directory):
    pictures = OnlineFaces.read([faces], [["b/1", "unknown", "a/2"]])
    assert pictures.paired.tolist() == [True, False, True]
    assert pictures.take(np.array([0, 1, 2])).float().mean((1, 2, 3)).tolist() == [200, 0, 10]


def test_shift_and_flip_by_hand():
    image = torch.arange(9).reshape(1, 3, 3, 1)
    plain = torch.tensor([[0.7, 0.5, 0.5]])  # offset floor(.5 * 3) - 1 = 0
    assert torch.equal(shift_and_flip(image, plain, 1), image)
    mirrored = shift_and_flip(image, torch.tensor([[0.2, 0.5, 0.5]]), 1)
    assert mirrored[0, :, :, 0].tolist() == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]
    assert torch.equal(shift_and_flip(image, torch.tensor([[0.2, 0.5, 0.5]]), 1, flip=False), image)
    down = shift_and_flip(image, torch.tensor([[0.7, 0.9, 0.5]]), 1)  # offset +1: rows 1, 2, 2
    assert down[0, :, :, 0].tolist() == [[3, 4, 5], [6, 7, 8], [6, 7, 8]]


def test_a_crop_source_gives_network_input(faces):
    rows, crops = crop_map(faces)
    keys = sorted(rows, key=rows.get)
    source = CropSource(
        crops, keys[:2], np.array([0, 1]), ["a", "b"], preprocess=lambda x: x.float() / 255, strong=True
    )
    raw = source.student(np.array([1, 0]), np.zeros((2, 4)))
    plain, strong = source.view(raw, torch.rand(2, 4))
    assert plain.shape == strong.shape == (2, 112, 112, 3)
    assert plain[0].mean() == pytest.approx(200 / 255)


def test_a_directory_that_is_named_twice_does_not_double_its_people(directory, tmp_path):
    """By another path, by a link, or by a copy whose feats.scp names the same archive; parts of one are no doubles."""
    (tmp_path / "link").symlink_to(directory)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("feats.scp", "utt2spk"):
        (copy / name).write_text((directory / name).read_text())
    for other in (directory, directory / "../" / directory.name, tmp_path / "link", copy):
        with pytest.raises(InputError, match="name every recording once in data.train"):
            read_utterances([directory, other])
    lines = (directory / "feats.scp").read_text().splitlines(keepends=True)
    parts = [tmp_path / "first", tmp_path / "second"]
    for part, mine in zip(parts, (lines[:1], lines[1:]), strict=True):
        part.mkdir()
        (part / "feats.scp").write_text("".join(mine))
        (part / "utt2spk").write_text((directory / "utt2spk").read_text())
    assert len(read_utterances(parts).keys) == 3
