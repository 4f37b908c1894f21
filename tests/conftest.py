"""A tiny model and a tiny data directory, made here."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from feature_corpus import make_corpus

from speakerkd.data.archive import write_features, write_vectors
from speakerkd.data.datadir import write_table
from speakerkd.distill.projection import ProjectionHead
from speakerkd.frontend.fbank import FbankSettings, fbank
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import load_trained_model, save_trained_model


@pytest.fixture(autouse=True)
def _quiet_lazy_modules():
    """hypothesis asks every loaded module for its file; speechbrain's lazy ones then import what is not there."""
    if "speechbrain" in sys.modules:
        for module in list(sys.modules.values()):
            if any(kind.__name__ == "LazyModule" for kind in type(module).__mro__):
                module.__dict__.setdefault("__file__", None)


@pytest.fixture(autouse=True)
def _seeded():
    """Every test draws the same numbers, alone or among others."""
    torch.manual_seed(0)


TEACHER_DIM = 12
MELS = 8


def save_tiny(folder, mels=MELS, head=True, seed=0):
    """An untrained ResNet34 of a few channels with 16-d embeddings."""
    torch.manual_seed(seed)
    settings = SpeakerSettings(width=0.03, mels=mels, embedding=16, attention=4)
    network = build_speaker(settings).eval()
    with torch.no_grad():  # fresh BatchNorm statistics would make all embeddings nearly equal
        network.train()
        for _ in range(20):
            network(torch.randn(4, 50, mels))
        network.eval()
    save_trained_model(
        folder,
        task="speaker",
        student=network,
        settings=settings,
        frontend=FbankSettings(mels=mels),
        head=ProjectionHead(TEACHER_DIM, 16) if head else None,
        teacher={"name": "resnet18", "dim": TEACHER_DIM, "digest": "t1"} if head else None,
    )
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def model_dir(tiny, tmp_path):
    """An experiment directory of a test's own."""
    return shutil.copytree(tiny, tmp_path / "exp" / "tiny")


@pytest.fixture
def package(model_dir):
    return load_trained_model(model_dir, dtype=torch.float32)


def voice(person, number, seconds, rate=16000):
    """A buzz at a pitch of the person's own, with some breath."""
    generator = np.random.default_rng(100 * person + number)
    t = np.arange(int(seconds * rate)) / rate
    pitch = 90 + 25 * person
    wave = sum(np.sin(2 * np.pi * pitch * k * t + k) / (k + person % 3) for k in range(1, 12))
    return (0.05 * wave + 0.003 * generator.normal(size=len(t))).astype(np.float32)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Six people with four recordings each: `data` (features, audio, faces), `root` (the audio's folder)."""
    base = tmp_path_factory.mktemp("corpus")
    root, data = base / "wav", base / "data"
    data.mkdir()
    wavs, speakers, sessions, features, keys = {}, {}, {}, {}, []
    for person in range(6):
        for number in range(4):
            key = f"id1000{person}/video{number // 2}/0000{number}"
            path = root / f"{key}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = voice(person, number, 5.5 if number else 2.0)
            soundfile.write(path, wave, 16000, subtype="FLOAT")
            wavs[key], speakers[key], sessions[key] = str(path), key.split("/")[0], key.rpartition("/")[0]
            features[key] = fbank(torch.from_numpy(wave)[None], FbankSettings(mels=MELS))[0].numpy()
            keys.append(key)
    write_table(data / "wav.scp", wavs)
    write_table(data / "utt2spk", speakers)
    write_table(data / "spk2gender", {f"id1000{p}": "mf"[p % 2] for p in range(6)})
    write_features(data, "feats", features.items())
    faces = np.random.default_rng(0).normal(size=(12, TEACHER_DIM)).astype(np.float32)
    videos = list(dict.fromkeys(sessions.values()))
    stored = {video: next(k for k in keys if sessions[k] == video) for video in videos}
    alias = {key: stored[sessions[key]] for key in keys if key not in stored.values()}
    write_vectors(data, "teacher", list(stored.values()), faces, alias)
    trials = data / "trials_o"
    lines = [f"{int(speakers[a] == speakers[b])} {a}.wav {b}.wav" for i, a in enumerate(keys) for b in keys[i + 1 :: 3]]
    trials.write_text("\n".join(lines) + "\n")
    return SimpleNamespace(root=root, data=data, keys=keys, trials=trials, speakers=speakers, features=features)


@pytest.fixture(scope="session")
def feature_corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "train")


@pytest.fixture(scope="session")
def partly_paired(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "partly", teacher=0.6)
