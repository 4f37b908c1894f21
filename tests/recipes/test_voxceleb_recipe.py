"""The recipe from end to end, as a user types it, on a very small mini corpus."""

import json
import subprocess
from pathlib import Path

import pytest

from speakerkd.report.published import published_row

ROOT = Path(__file__).parents[2]


def recipe(work: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "recipes/voxceleb/run.sh", "--work", str(work), "--people", "12", *options]
    size = ["--size", str(Path(__file__).with_name("tiny.yaml"))]
    return subprocess.run([*command, *size], cwd=ROOT, capture_output=True, text=True, check=False)


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("stage", ["1", "2", "3", "4", "5", "6"])
def test_a_stage_alone_says_what_is_missing_and_which_stage_makes_it(tmp_path, stage):
    failed = recipe(tmp_path, "--stage", stage)
    assert failed.returncode == 1
    line = failed.stderr.strip().splitlines()[-1]
    assert line.startswith("run.sh: error: no ")
    assert "--stage " in line


@pytest.mark.parametrize(
    "of", ["table 1", "table 2", "table 3", "table 4", "table 5", "table 6", "figure 1", "figure 6"]
)
def test_every_table_and_figure_names_configs_that_are_there(tmp_path, of):
    kind, number = of.split()
    command = ["bash", "recipes/voxceleb/compare.sh", f"--{kind}", number, "--dry-run", "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    systems = ok(done).splitlines()[-1].split()[2:]
    published = {"1": 10, "2": 10, "3": 2, "4": 6, "5": 5, "6": 6}
    assert len(systems) == (published[number] if kind == "table" else 3)
    assert len({system.rpartition("/")[2] for system in systems}) == len(systems)
    for system in systems:
        assert (ROOT / f"recipes/voxceleb/conf/{system}.yaml").is_file(), system
        if kind == "table" and number in "1256":
            assert published_row(system.rpartition("/")[2]) is not None, system
    assert "0 of them done" in done.stdout
    prefix = "mini_short_by_epoch" if of == "figure 6" else "mini_short"  # its trainings have settings of their own
    (tmp_path / "exp" / f"{prefix}-{systems[0].rpartition('/')[2]}").mkdir(parents=True)
    (tmp_path / "exp" / f"{prefix}-{systems[0].rpartition('/')[2]}" / "model.json").touch()
    assert "1 of them done" in ok(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False))


@pytest.mark.slow
def test_the_recipe_ends_with_a_table_and_each_stage_runs_again(tmp_path):
    shown = ok(recipe(tmp_path))
    assert "A-F (O) %" in shown and "minDCF (O)" in shown
    for system in ("baseline", "margin"):
        folder = tmp_path / "exp" / f"mini-{system}"
        results = json.loads((folder / "results.json").read_text())
        assert 0 <= results["scores"]["trials_original.crops"]["eer_percent"] <= 100
        assert {"trials_original.crops.all-10dB", "trials_hard.crops"} <= set(results["scores"])
        assert results["match"]["acc_match_audio_to_face_o_fit"]["questions"] == 10_000
    gains = json.loads((tmp_path / "exp" / "mini-margin" / "results.json").read_text())["differences"]["mini-baseline"]
    assert {"better", "worse", "no difference"} >= {one["verdict"] for one in gains.values()}
    assert "match/acc_match_face_to_audio_h_fit/accuracy_percent" in gains
    page = (tmp_path / "exp" / "mini.html").read_text()
    assert "<svg" in page and "margin against baseline" in page

    # again: nothing is trained anew, and the figures stay
    before = (tmp_path / "exp" / "mini-margin" / "model.safetensors").read_bytes()
    again = ok(recipe(tmp_path, "--stage", "3"))
    assert "trained already" in again
    assert "done already" in again
    assert (tmp_path / "exp" / "mini-margin" / "model.safetensors").read_bytes() == before
    assert again.splitlines()[-6:-3] == shown.splitlines()[-6:-3]

    # another model of the same name is scored again
    with open(tmp_path / "exp" / "mini-margin" / "model.json", "a") as description:
        description.write("\n")
    renewed = ok(recipe(tmp_path, "--stage", "4", "--stop-stage", "4"))
    # two lists and one under noise, of either system; the baseline's stand
    assert [renewed.count(text) for text in ("figures in ", "done already: ")] == [4, 2]

    # the trained model on files, as README says
    speech = sorted((tmp_path / "data/mini/corpus/vox1/wav").rglob("*.wav"))[0]
    faces = [str(p) for p in sorted((tmp_path / "data/mini/corpus/vox2/test/mp4").rglob("00001.mp4"))[:3]]
    command = [str(ROOT / ".venv/bin/speakerkd"), "match", "--model", str(tmp_path / "exp/mini-margin")]
    done = subprocess.run(
        [*command, "--audio", str(speech), "--faces", *faces, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    similarities = [row["similarity"] for row in table["candidates"]]
    assert len(similarities) == 3
    assert similarities == sorted(similarities, reverse=True)
    assert table["chosen"] == table["candidates"][0]["path"]
