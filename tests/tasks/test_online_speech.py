"""Recordings augmented while training: a crop of another place, level or speaker would train on something else."""

import numpy as np
import pytest
import soundfile
import torch

from speakerkd.data.datadir import write_table
from speakerkd.data.utterances import read_utterances
from speakerkd.data.vectors import write_vectors
from speakerkd.errors import InputError
from speakerkd.frontend.augment import NoiseStep, _add
from speakerkd.frontend.extract import extract_fbank
from speakerkd.frontend.fbank import FbankSettings
from speakerkd.tasks.online_speech import OnlineSettings, OnlineSpeech
from speakerkd.tasks.speaker import SpeakerTask
from speakerkd.teachers.module import TeacherSettings

RATE = 16000


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    root = tmp_path_factory.mktemp("online")
    rng = np.random.default_rng(0)
    sounds = {}
    for number, key in enumerate(("id1/v/1", "id1/v/2", "id2/v/1")):
        sounds[key] = str(root / f"{number}.wav")
        tone = 0.2 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE) * (1 + number)
        soundfile.write(sounds[key], tone / 3 + 0.01 * rng.normal(size=2 * RATE), RATE, subtype="FLOAT")
    for category in ("noise", "music", "speech"):
        for number in range(2):
            path = root / "musan" / category / "free" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.3 * rng.normal(size=3 * RATE), RATE, subtype="FLOAT")
    path = root / "rirs/a.wav"
    path.parent.mkdir()
    soundfile.write(path, np.r_[0.5, np.zeros(99), 0.25], RATE, subtype="FLOAT")
    write_table(root / "train/wav.scp", sounds)
    write_table(root / "train/utt2spk", {key: key[:3] for key in sounds})
    extract_fbank(root / "train")
    write_vectors(root / "train", "teacher", ["id1/v/1", "id2/v/1"], np.eye(2, 8, dtype=np.float32) + 1)
    return root


def opened(disk, **settings):
    train = str(disk / "train")
    return OnlineSpeech([train], read_utterances([train]), FbankSettings(), OnlineSettings(**settings))


def test_what_is_drawn_clean_is_what_lies_on_disk_and_the_rest_is_of_the_same_place(disk):
    speech = opened(disk, musan=disk / "musan", rirs=disk / "rirs")  # clean, noise, music, babble, reverberation
    index, start = np.zeros(5, int), np.full(5, 30)
    crops = speech.crops(index, start, 50, np.array([0.0, 0.2, 0.4, 0.6, 0.8]) + 0.01)
    clean = read_utterances([disk / "train"]).crops(index[:1], start[:1], 50)
    np.testing.assert_array_equal(crops[0], clean[0])
    for crop in crops[1:]:
        assert np.abs(crop - crops[0]).mean() > 0.02
        assert np.argmax(crop.mean(0)[:20]) == np.argmax(crops[0].mean(0)[:20])  # the tone is there
    again = speech.crops(index, start, 50, np.array([0.0, 0.2, 0.4, 0.6, 0.8]) + 0.01)
    np.testing.assert_array_equal(crops, again)
    other = speech.crops(index[:1], start[:1], 50, np.array([0.22]))
    assert np.abs(other[0] - crops[1]).mean() > 0.01  # the same kind, drawn anew


def test_an_unchanged_recording_gives_the_features_that_lie_on_disk(disk):
    speech = opened(disk, speeds=[0.9])
    crop = speech._crop(speech._sounds[2], 1.0, [], "k", 40, 60).numpy()
    disk_crop = read_utterances([disk / "train"]).crops(np.array([2]), np.array([40]), 60)[0]
    assert np.abs(crop - disk_crop).max() < 0.01  # of two-byte compression


def test_speeds_are_new_speakers_without_a_face(disk):
    speech = opened(disk, speeds=[0.8, 1.25])
    assert speech.labels.tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5]
    assert speech.names == ["id1", "id2", "sp0.8-id1", "sp0.8-id2", "sp1.25-id1", "sp1.25-id2"]
    assert speech.frames.tolist()[::3] == [198, 247, 158]
    crops = speech.crops(np.array([0, 3, 6]), np.array([20, 20, 20]), 100, np.zeros(3))
    peak = [int(np.argmax(crop.mean(0))) for crop in crops]
    assert peak[1] < peak[0] < peak[2]  # 400, 500 and 625 Hz
    data = SpeakerTask.Data(train=str(disk / "train"), crop_frames=50, online=OnlineSettings(speeds=[0.8, 1.25]))
    source = SpeakerTask(data, SpeakerTask.Student(), TeacherSettings(), taught=True).source("cpu", False)
    assert source.paired.tolist() == [True, False, True] + 6 * [False]
    drawn = np.full((3, source.draws), 0.5)
    assert source.student(np.array([0, 4, 8]), drawn).shape == (3, 50, 40)
    taught = source.teacher(np.array([0, 3, 2]), drawn)
    assert torch.equal(taught[1], torch.zeros(8)) and taught[0, 0] == 2 and taught[2, 1] == 2


def test_the_level_is_exact_or_voxceleb_trainers(disk):
    """Speech at -26 dBFS, noise at -10.5: with 1e-4 added to both mean squares the noise comes out .2 dB off, not 0."""
    quiet = (10 ** (-26 / 20) * np.random.default_rng(1).choice([-1, 1], RATE)).astype(np.float32)
    apart = {}
    for level in ("exact", "voxceleb_trainer"):
        step = NoiseStep(kind="noise", directory=disk / "musan", level=level)
        added = _add(step, "key", quiet, RATE) - quiet
        apart[level] = 10 * np.log10(np.mean(quiet.astype(float) ** 2) / np.mean(added.astype(float) ** 2))
    assert min(abs(apart["exact"] - db) for db in (0, 5, 10, 15)) < 1e-3
    ours, theirs = 10**-2.6, 0.09
    floor = 10 * np.log10((ours + 1e-4) / ours) - 10 * np.log10((theirs + 1e-4) / theirs)
    assert apart["voxceleb_trainer"] == pytest.approx(apart["exact"] - floor, abs=0.01)


def test_what_does_not_fit_is_named(disk, tmp_path):
    with pytest.raises(InputError, match="nothing to do, data.online"):
        opened(disk)
    with pytest.raises(InputError, match="no impulse responses"):
        opened(disk, rirs=tmp_path)
    data = SpeakerTask.Data(
        train=str(disk / "train"), copies=[str(disk / "train")], online=OnlineSettings(speeds=[0.9])
    )
    with pytest.raises(InputError, match=r"data\.copies beside data\.online"):
        SpeakerTask(data, SpeakerTask.Student(), TeacherSettings()).source("cpu", False)
