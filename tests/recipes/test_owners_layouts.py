"""The recipes on VoxCeleb, CN-Celeb and MAV-Celeb as owners ship them, in small: every stage, and kills."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from speakerkd.work.records import read_json
from tests.recipes import trees

ROOT = Path(__file__).parents[2]
# seconds after which each stage is killed; one that has ended by then is killed at its end
KILLS = {0: 0.3, 1: 1.0, 2: 6.0, 3: 6.0, 4: 4.0, 5: 4.0, 6: 1.0}


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    root = tmp_path_factory.mktemp("disk")
    command = [ROOT / ".venv/bin/speakerkd", "prepare", "mini", root / "mini", "--identities", "12", "--jobs", "1"]
    subprocess.run(command, check=True, capture_output=True)
    trees.voxceleb(root / "mini", root, 6)
    trees.cnceleb(root / "mini", root, 6)
    trees.mavceleb(root / "mini", root / "mavceleb", 6)
    trees.ir50(root / "ir50.pth")
    return root


def command(recipe, disk, work, *more):
    size = Path(__file__).with_name("tiny.yaml")
    return [str(w) for w in ["bash", f"recipes/{recipe}/run.sh", "--work", work, "--size", size, "--jobs", 1, *more]]


def voxceleb(disk, work, *more):
    options = ["--corpus", "voxceleb", "--voxceleb1", disk / "vox1", "--voxceleb2", disk / "vox2"]
    options += ["--lists", disk / "lists", "--weights", disk / "ir50.pth", "--musan", "none"]
    return command("voxceleb", disk, work, *options, *more)


def figures(folder):
    """Every number of results.json, without what says when and where it was made."""
    results = read_json(folder / "results.json", dict, "")
    return {
        (kind, name, key): value
        for kind in ("scores", "match")
        for name, entry in results[kind].items()
        for key, value in entry.items()
        if key not in ("made", "files", "trials_file") and not isinstance(value, str)
    }


@pytest.fixture(scope="module")
def calm(disk):
    """The folder of a run that nothing disturbed."""
    done = subprocess.run(voxceleb(disk, disk / "calm"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "left out: no other trial lists" in done.stdout and "A-F (H) %" in done.stdout
    return disk / "calm"


@pytest.mark.slow
def test_a_system_that_does_not_fit_is_refused_before_the_first_is_trained(disk, calm):
    """ccl compares embeddings of one width, and the student has 128 numbers, IR-50 512."""
    wanted = ["--prefix", "fit", "--stage", "3", "--stop-stage", "3", "--systems", "pkt ccl"]
    done = subprocess.run(voxceleb(disk, calm, *wanted), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "512" in done.stderr and "128" in done.stderr
    assert "fit: " in done.stdout and "fit-pkt" in done.stdout
    assert not list((calm / "exp").glob("fit-*/model.json"))


@pytest.mark.slow
def test_a_kill_in_every_stage_and_a_restart_give_the_bytes_of_an_undisturbed_run(disk, calm, tmp_path):
    torn = tmp_path / "torn"
    for stage, pause in KILLS.items():
        running = subprocess.Popen(voxceleb(disk, torn, "--stage", stage), cwd=ROOT, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, start_new_session=True)  # fmt: skip
        assert any(f" stage {stage}:" in line for line in running.stdout)
        time.sleep(pause)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()
        again = voxceleb(disk, torn, "--stage", stage, "--stop-stage", stage)
        done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    ends = re.compile(
        r".*(\.ark|\.tar|\.safetensors|\.scp|utt2\w+|spk2\w+|face_quality|trials_\w+|\.txt|left_out\.tsv)"
    )
    compared = 0
    for path in sorted(p for p in calm.rglob("*") if p.is_file() and ends.fullmatch(p.name)):
        if "checkpoints" in path.parts:
            continue
        twin = torn / path.relative_to(calm)
        assert path.read_bytes() == twin.read_bytes().replace(bytes(torn), bytes(calm)), twin
        compared += 1
    assert compared > 40
    for system in ("voxceleb-baseline", "voxceleb-margin"):
        assert figures(calm / "exp" / system) == figures(torn / "exp" / system)
    assert not [p for p in torn.rglob("*") if ".part" in p.name]


@pytest.mark.slow
def test_cnceleb_goes_through_every_stage(disk, tmp_path):
    options = ["--cn1", disk / "CN-Celeb_flac", "--cn2", disk / "CN-Celeb2_flac"]
    done = subprocess.run(
        command("cnceleb", disk, tmp_path, *options), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "left out: " not in done.stdout and "EER (CN-Celeb, joined) %" in done.stdout


@pytest.mark.slow
def test_mavceleb_gives_score_files_as_the_challenge_takes_them(disk, tmp_path):
    """Their names are those of its baseline's computeScore.py, their lines in the lists' order, as its README shows."""
    options = [
        "--root",
        disk / "mavceleb/v3",
        "--lists",
        disk / "mavceleb/v3_lists",
        "--version",
        "v3",
        "--heard",
        "English",
    ]
    options += ["--weights", disk / "ir50.pth", "--labels", disk / "mavceleb/labels", "--systems", "fop"]
    small = "student.width=0.1 train.epochs=2 train.speakers=6 train.compile=false"
    words = ["bash", "recipes/mavceleb/run.sh", *options, "--work", tmp_path, "--jobs", 1, "--set", small]
    done = subprocess.run([str(w) for w in words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for part, language in (("heard", "English"), ("unheard", "German")):
        lines = (tmp_path / f"exp/mavceleb-v3-English-fop/sub_score_v3_{language}_{part}.txt").read_text().splitlines()
        listed = (disk / f"mavceleb/v3_lists/{language}_test.txt").read_text().splitlines()
        assert [line.split(" ")[0] for line in lines] == [line.split(" ")[0] for line in listed]
        assert all(re.fullmatch(r"\w+ [0-2]\.\d+", line) for line in lines)
    assert done.stdout.count("EER") == 3  # of the teacher's faces in training, and of both languages
