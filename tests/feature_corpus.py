"""A small corpus of random features and teacher embeddings, written by the real archive writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from speakerkd.data.archive import write_features, write_vectors
from speakerkd.data.datadir import write_table
from speakerkd.work.files import write_json

MELS = 16


def make_corpus(
    directory: Path,
    speakers: int = 6,
    utterances: int = 5,
    *,
    seed: int = 0,
    frames: int = 60,
    teacher: float = 1.0,
    mels: int = MELS,
) -> Path:
    """A data directory whose speakers differ in mean; `teacher` is the share of utterances with a teacher embedding."""
    rng = np.random.default_rng(seed)
    directory.mkdir(parents=True, exist_ok=True)
    keys = [f"id{s:03d}/video{u // 2}/{u:05d}" for s in range(speakers) for u in range(utterances)]
    speaker = {key: key.split("/")[0] for key in keys}
    voice = {name: rng.normal(size=(1, mels)) for name in sorted(set(speaker.values()))}
    slope = {name: rng.normal(size=(1, mels)) for name in sorted(set(speaker.values()))}
    features = []
    for key in keys:
        time = np.linspace(0, 6, int(rng.integers(frames // 2, 2 * frames)))[:, None]
        values = voice[speaker[key]] * np.sin(time * slope[speaker[key]]) * 3 + rng.normal(size=(len(time), mels))
        features.append((key, values.astype(np.float32)))
    write_features(directory, "feats", features)
    write_table(directory / "utt2spk", speaker)
    taught = [key for key in keys if rng.random() < teacher]
    if taught:
        faces = {name: rng.normal(size=8) for name in sorted(set(speaker.values()))}
        vectors = np.stack([faces[speaker[key]] + 0.1 * rng.normal(size=8) for key in taught]).astype(np.float32)
        write_vectors(directory, "teacher", taught, vectors)
        write_json(directory / "teacher.json", {"name": "ir50", "dim": 8, "weights": None, "digest": None})
    pairs = [(a, b) for n, a in enumerate(keys) for b in keys[n + 1 : n + 12]]
    with open(directory / "trials_all", "w", encoding="utf-8") as stream:
        stream.writelines(f"{int(speaker[a] == speaker[b])} {a} {b}\n" for a, b in pairs)
    return directory


SMALL = {
    "task": "speaker",
    "name": "small",
    "seed": 3,
    "data": {"crop_frames": 24},
    "student": {"name": "xvector", "width": 0.02, "mels": MELS, "embedding": 8},
    "loss": {"name": "softmax_prototypical"},
    "distill": [{"name": "margin"}],
    "optim": {"lr": 0.01},
    "train": {"epochs": 2, "speakers": 3, "utterances": 2, "log_every": 1, "compile": False, "precision": "fp32"},
}


def small(directory: Path, **changes) -> dict:
    """The values of a small experiment on a corpus; dotted keys change settings."""
    from speakerkd.config import apply_overrides

    values = apply_overrides(SMALL, [f"data.train={directory}"])
    for key, value in changes.items():
        values = apply_overrides(values, [f"{key.replace('__', '.')}={yaml.safe_dump(value, default_flow_style=True)}"])
    return values
