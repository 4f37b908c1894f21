"""Experiment directories with records as the verbs write them, of two simulated systems."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from speakerkd.evaluation.metrics import eer, eer_threshold, min_dcf, sort_scores
from speakerkd.evaluation.results import histogram, write_det


def scored(folder: Path, name: str, shift: float, seed: int) -> dict:
    """A list of 400 targets and 2,000 non-targets, normal with deviation 1, `shift` apart."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.ones(400, int), np.zeros(2000, int)]
    scores = rng.normal(size=2400) + shift * labels
    s = sort_scores(scores, labels)
    write_det(folder / "scores" / f"{name}.det", scores, labels)
    return {
        "trials": 2400,
        "eer_percent": 100 * eer(s),
        "eer_threshold": eer_threshold(s),
        "min_dcf": {"0.01": min_dcf(s, 0.01)},
        "thresholds": {"0.01": {"threshold": 2.3}},
        "histogram": histogram(s),
        "det_band": {"false_accept": [0.01, 0.1, 0.4], "low": [0.2, 0.05, 0.01], "high": [0.4, 0.15, 0.05]},
        "interval": {"eer_percent": [10.0, 20.0]},
        "made": {"protocol": "crops", "data": "data/<b>test</b>"},
    }


def make_experiment(folder: Path, shift: float = 2.0, taught: bool = False, seed: int = 0) -> Path:
    (folder / "scores").mkdir(parents=True)
    names = {"trials_original.crops": shift, "trials_original.crops.all-10dB": shift - 0.7, "trials_own.crops": shift}
    results = {"scores": {name: scored(folder, name, apart, seed) for name, apart in names.items()}, "match": {}}
    for direction in ("audio_to_face", "face_to_audio"):
        entry = {"accuracy_percent": 78.0, "interval_percent": [70.0, 85.0], "chance_percent": 50.0, "people": 40}
        results["match"][f"acc_match_{direction}_o"] = entry
    if taught:
        results["differences"] = {
            "x-baseline": {
                "acc_match_audio_to_face_o": {"value": 24.1, "interval": [18.0, 30.2], "verdict": "better"},
                "eer_vox1_o": {"value": 0.1, "interval": [-0.9, 1.2], "verdict": "no difference"},
            }
        }
    (folder / "results.json").write_text(json.dumps(results))
    rows = [{"step": 0, "about": {"samples": 64, "steps": 40, "device": "cpu", "precision": "fp32", "batch": 8}}]
    rows += [{"step": n, "epoch": n / 10, "terms": {"softmax": 4.0 / (n + 1), "margin": 0.5}} for n in range(0, 41, 10)]
    rows += [{"step": n, "epoch": n / 10, "evaluation": {"eer": 30.0 - n / 4}} for n in (20, 40)]
    # the last line is what a killed run leaves
    (folder / "log.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + '\n{"step": 41, "ep')
    (folder / "finished.json").write_text(json.dumps({"seconds": 120.0, "steps": 40, "batch": 8, "samples": 64}))
    (folder / "config.yaml").write_text(
        "seed: 1\nstudent: {name: resnet34}\nloss: {name: softmax}\ndata: {train: none}\n"
    )
    rng = np.random.default_rng(seed)
    vectors = {name: rng.normal(size=(24, 8)) for name in ("face", "face projected", "voice")}
    np.savez(folder / "spaces.npz", **vectors, gender=np.array(list("mf" * 12)))
    return folder
