"""The recipe for own recordings and pictures: what a newcomer types, on eight people made here."""

import subprocess
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from speakerkd.data.datadir import DataDir

ROOT = Path(__file__).parents[2]
PATTERN = r"(?P<speaker>(?P<gender>[fm])\d)_(?P<session>\d)_(?P<utterance>\w)$"


def people(folder):
    """Two sessions of two recordings of four women and four men, a picture a session."""
    rng = np.random.default_rng(0)
    for gender in "fm":
        for number in range(4):
            for session in range(2):
                for utterance in "ab":
                    name = f"{gender}{number}_{session}_{utterance}"
                    soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=4800), 16000)
                    Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / f"{name}.png")


def test_cross_validation_holds_out_everyone_once_without_a_file_of_weights(tmp_path):
    (tmp_path / "own").mkdir()
    people(tmp_path / "own")
    command = [
        "bash",
        "recipes/folder/cross_validate.sh",
        "--folds",
        "2",
        "--work",
        tmp_path,
        "--tag",
        "own",
        "--jobs",
        "1",
    ]
    command += ["--audio-root", tmp_path / "own", "--image-root", tmp_path / "own", "--pattern", PATTERN]
    done = subprocess.run([*command, "--stop-stage", "1"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = [DataDir(tmp_path / f"data/own-fold{fold}/test") for fold in (0, 1)]
    assert sorted(name for fold in tested for name in fold.speakers) == [f"{g}{n}" for g in "fm" for n in range(4)]
    assert all(sorted(fold.table("spk2gender").values()) == ["f", "f", "m", "m"] for fold in tested)
    missing = subprocess.run([*command, "--stage", "3"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "own-fold0/train/feats.scp, make it with: bash" in missing.stderr
