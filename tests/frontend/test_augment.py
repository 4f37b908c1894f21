"""Augmented copies: a wrong length, level or key would train on something else than the config says."""

import json

import numpy as np
import pytest
import soundfile

from speakerkd.cli.main import run
from speakerkd.data.archive import FeatureArchive
from speakerkd.data.datadir import read_table, write_table
from speakerkd.data.utterances import read_copies, read_utterances
from speakerkd.data.validate import validate
from speakerkd.errors import InputError
from speakerkd.frontend.augment import Augmentation, NoiseStep, apply, change_speed, reverberate
from speakerkd.frontend.augmented_directory import augment_directory
from speakerkd.frontend.extract import extract_fbank

RATE = 16000


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """Two speakers' recordings, MUSAN's layout and one room."""
    root = tmp_path_factory.mktemp("augment")
    rng = np.random.default_rng(0)
    sounds, speakers = {}, {}
    for speaker in ("id1", "id2"):
        for number in (1, 2):
            key = f"{speaker}/v/{number}"
            path = root / "wav" / f"{key}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.normal(size=RATE + 160 * number), RATE, subtype="FLOAT")
            sounds[key], speakers[key] = str(path), speaker
    for category in ("noise", "music", "speech"):
        for number in range(4):
            path = root / "musan" / category / "free" / f"{category}-{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.3 * rng.normal(size=2 * RATE), RATE, subtype="FLOAT")
    path = root / "rirs/simulated_rirs/smallroom/Room001/a.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, np.r_[0.5, np.zeros(99), 0.25], RATE, subtype="FLOAT")
    write_table(root / "train/wav.scp", sounds)
    write_table(root / "train/utt2spk", speakers)
    write_table(root / "train/spk2gender", {"id1": "m", "id2": "f"})
    extract_fbank(root / "train")
    augment_directory(root / "train", musan=root / "musan", rirs=root / "rirs", speeds=[0.9, 1.1])
    return root


def test_each_copy_is_a_valid_directory_and_no_sound_is_written(disk):
    names = sorted(p.name for p in disk.iterdir() if p.name.startswith("train_"))
    assert names == [f"train_{name}" for name in ("babble", "music", "noise", "reverb", "sp0.9", "sp1.1")]
    for name in names:
        assert validate(disk / name) == []
        assert not [p for p in (disk / name).rglob("*") if p.suffix in (".wav", ".flac")]
    clean = FeatureArchive(disk / "train/feats.scp")
    for name in ("noise", "music", "babble", "reverb"):
        copy = FeatureArchive(disk / f"train_{name}/feats.scp")
        assert copy.keys == clean.keys and copy.frames.tolist() == clean.frames.tolist()
        assert np.abs(copy.whole(0) - clean.whole(0)).mean() > 0.05


def test_speeds_are_new_speakers_of_another_length(disk):
    assert read_table(disk / "train_sp0.9/utt2spk")["sp0.9-id1/v/1"] == "sp0.9-id1"
    assert read_table(disk / "train_sp0.9/spk2gender") == {"sp0.9-id1": "m", "sp0.9-id2": "f"}
    slow = float(read_table(disk / "train_sp0.9/utt2dur")["sp0.9-id1/v/1"])
    assert slow == pytest.approx(1.01 / 0.9, abs=0.002)


def test_a_tone_at_another_speed_has_another_pitch():
    tone = np.sin(2 * np.pi * 400 * np.arange(RATE) / RATE).astype(np.float32)
    fast = change_speed(tone, 1.25)
    assert len(fast) == RATE / 1.25
    assert np.argmax(np.abs(np.fft.rfft(fast))) * RATE / len(fast) == pytest.approx(500, abs=2)


def test_an_impulse_becomes_the_response_of_unit_energy():
    response = np.array([3.0, 0.0, 4.0], np.float32)
    np.testing.assert_allclose(
        reverberate(np.eye(1, 5)[0].astype(np.float32), response), [0.6, 0, 0.8, 0, 0], atol=1e-6
    )
    np.testing.assert_allclose(reverberate(np.eye(1, 2)[0].astype(np.float32), response), [0.6, 0], atol=1e-6)


def test_noise_lies_at_one_of_kaldis_levels_and_follows_from_the_key(disk):
    speech = (0.1 * np.random.default_rng(1).normal(size=RATE)).astype(np.float32)
    step = Augmentation(steps=[NoiseStep(kind="noise", directory=disk / "musan")])
    levels = set()
    for key in map(str, range(30)):
        added = apply(step, key, speech) - speech
        levels.add(round(10 * np.log10(np.mean(speech**2) / np.mean(added**2)), 2))
        np.testing.assert_array_equal(added, apply(step, key, speech) - speech)
    assert levels == {0, 5, 10, 15}


def test_training_draws_clean_and_copies_alike(disk):
    utterances = read_utterances([disk / "train"])
    copies = read_copies([disk / "train_noise", disk / "train_reverb"], utterances)
    draws = np.linspace(0, 1, 3000, endpoint=False)
    choices = copies.choose(np.zeros(3000, int), draws)
    assert [(choices == n).sum() for n in (-1, 0, 1)] == [1000, 1000, 1000]
    crops = utterances.crops(np.array([0, 0, 0]), np.array([5, 5, 5]), 20)
    clean = crops.copy()
    copies.replace(crops, np.array([-1, 0, 1]), np.array([0, 0, 0]), np.array([5, 5, 5]))
    np.testing.assert_array_equal(crops[0], clean[0])
    noisy = FeatureArchive(disk / "train_noise/feats.scp").whole(0)[5:25]
    np.testing.assert_allclose(crops[1], noisy, atol=1e-5)
    assert np.abs(crops[2] - clean[2]).max() > 0.01
    copies.row[1, 0] = -1  # an utterance with one copy alone
    assert [(copies.choose(np.zeros(3000, int), draws) == n).sum() for n in (-1, 0, 1)] == [1500, 1500, 0]


def test_copies_that_do_not_fit_are_refused(disk, tmp_path):
    utterances = read_utterances([disk / "train"])
    with pytest.raises(InputError, match="none of the training utterances"):
        read_copies([disk / "train_sp0.9"], utterances)
    with pytest.raises(InputError, match="no feats.scp"):
        (tmp_path / "empty").mkdir()
        read_copies([tmp_path / "empty"], utterances)


def test_the_verb_makes_what_is_missing_and_a_copy_of_a_copy(disk, capsys):
    before = (disk / "train_noise/feats.scp").stat().st_mtime_ns
    with pytest.raises(SystemExit) as ended:
        run(["augment", str(disk / "train"), "--musan", str(disk / "musan"), "--jobs", "1"])
    assert ended.value.code == 0
    assert (disk / "train_noise/feats.scp").stat().st_mtime_ns == before
    assert "augment " in capsys.readouterr().out
    augment_directory(disk / "train_sp0.9", rirs=disk / "rirs")
    steps = json.loads((disk / "train_sp0.9_reverb/augment.json").read_text())["steps"]
    assert [step["kind"] for step in steps] == ["speed", "reverb"]
    assert FeatureArchive(disk / "train_sp0.9_reverb/feats.scp").frames.tolist() == (
        FeatureArchive(disk / "train_sp0.9/feats.scp").frames.tolist()
    )


def test_what_is_not_there_is_named(disk, tmp_path):
    with pytest.raises(InputError, match="give --musan"):
        augment_directory(disk / "train")
    with pytest.raises(InputError, match="no noise, music or speech"):
        augment_directory(disk / "train", musan=tmp_path)
    (tmp_path / "._a.wav").write_bytes(b"x")  # a system's own, no response
    with pytest.raises(InputError, match="no impulse responses"):
        augment_directory(disk / "train", rirs=tmp_path)
    with pytest.raises(InputError, match="no folder of impulse responses"):
        augment_directory(disk / "train", rirs=tmp_path / "nowhere")
    with pytest.raises(InputError, match="speakerkd fbank"):
        augment_directory(disk / "musan", speeds=[0.9])
