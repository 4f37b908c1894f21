"""CN-Celeb's recipe from end to end, on a small tree of its exact layout."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]


def voice(path, person, number, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(100 * person + number)
    time = np.arange(int(16000 * seconds)) / 16000
    wave = sum(np.sin(2 * np.pi * (90 + 20 * person) * k * time) / k for k in range(1, 10))
    soundfile.write(path, 0.05 * wave + 0.005 * rng.normal(size=len(time)), 16000)


@pytest.fixture(scope="module")
def cn1(tmp_path_factory):
    root = tmp_path_factory.mktemp("CN-Celeb_flac")
    for person in range(6):
        for number in range(1, 5):
            genre = "singing" if number < 3 else "interview"
            voice(root / f"data/id{person:05d}/{genre}-01-00{number}.flac", person, number, 2.6)
    (root / "dev").mkdir()
    (root / "dev/dev.lst").write_text("".join(f"id{person:05d}\n" for person in range(6)))
    trials, models, joined = [], [], []
    for person in (7, 8, 9):
        name = f"id008{person:02d}"
        for number in (1, 2):
            voice(root / f"data/{name}/vlog-01-00{number}.flac", person, number, 2.0)
        voice(root / f"eval/enroll/{name}-enroll.flac", person, 3, 4.0)
        models.append(f"{name}-enroll {name}/vlog-01-001.wav {name}/vlog-01-002.wav\n")
        joined.append(f"{name}-enroll enroll/{name}-enroll.wav\n")
        for genre in ("singing", "drama"):
            voice(root / f"eval/test/{name}-{genre}-01-001.flac", person, 4 + len(genre), 2.0)
        trials += [
            f"{name}-enroll test/id008{other:02d}-{genre}-01-001.wav {int(other == person)}\n"
            for other in (7, 8, 9)
            for genre in ("singing", "drama")
        ]
    (root / "eval/lists").mkdir()
    (root / "eval/lists/trials.lst").write_text("".join(trials))
    (root / "eval/lists/enroll.map").write_text("".join(models))
    (root / "eval/lists/enroll.lst").write_text("".join(joined))
    return root


def recipe(*options):
    command = ["bash", "recipes/cnceleb/run.sh", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stage", ["2", "3", "4", "5"])
def test_a_stage_alone_says_what_is_missing(tmp_path, stage):
    done = recipe("--work", tmp_path, "--stage", stage)
    assert done.returncode == 1 and "--stage " in done.stderr.strip().splitlines()[-1]


def test_without_the_corpus_the_option_is_named(tmp_path):
    done = recipe("--work", tmp_path)
    assert done.returncode == 2 and "--cn1" in done.stderr


@pytest.mark.slow
def test_it_trains_scores_both_enrolments_and_tells_genres(cn1, tmp_path):
    size = Path(__file__).with_name("tiny.yaml")
    done = recipe("--cn1", cn1, "--work", tmp_path, "--size", size, "--jobs", 1)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "left out: no CN-Celeb2" in done.stdout
    assert "EER (CN-Celeb) %" in done.stdout and "EER (CN-Celeb, joined) %" in done.stdout
    assert "14.49" in done.stdout  # the paper's row beside ours
    results = json.loads((tmp_path / "exp/cnceleb-baseline/results.json").read_text())["scores"]
    assert set(results["trials_eval.crops"]["groups"]) == {"singing", "drama"}
    assert results["trials_concat.crops"]["trials"] == 18
    assert len(list((tmp_path / "data/cnceleb/joined").rglob("*.flac"))) == 12  # 2 x 2.6 s a genre and speaker
    # and the trained model on the test alone, as for one that VoxCeleb trained
    models = tmp_path / "exp/cnceleb-baseline"
    done = recipe("--cn1", cn1, "--work", tmp_path, "--models", models, "--tag", "again", "--jobs", 1)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "exp/again-baseline").exists() and "EER by group, %" in done.stdout
