"""What all recipes share: if it fails, a run stops without a word, or trains on other data than it says."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def said(script: str) -> list[str]:
    """What a script prints that sources tools/recipe.sh, its arguments in brackets."""
    begin = "set -euo pipefail; speakerkd() { printf '[%s]' \"$@\"; echo; }; source tools/recipe.sh; "
    return subprocess.run(
        ["bash", "-c", begin + script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_strong_systems_train_on_the_copies_that_are_there(tmp_path):
    for kind in ("noise", "music"):  # no rooms: no --rirs was given
        (tmp_path / f"train_{kind}").mkdir()
    settings = f'data={tmp_path} augment=true; strong_set conf/strong.yaml; speakerkd train "${{copies[@]}}"'
    trained = f"[--set][data.train=[{tmp_path}/train, {tmp_path}/train_sp0.9, {tmp_path}/train_sp1.1]]"
    assert said(settings) == [f"[train]{trained}[--set][data.copies=[{tmp_path}/train_noise, {tmp_path}/train_music]]"]


def test_other_systems_do_not(tmp_path):
    assert said(f"data={tmp_path} augment=true; strong_set conf/margin.yaml; echo ${{#copies[@]}}") == ["0"]


def test_the_weak_teacher_is_trained_where_a_system_wants_it(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/aligned.scp").touch()
    names = f"data={tmp_path} exp=e conf=c size=; "
    assert said(names + "systems='baseline margin'; weak_teacher") == []
    assert [line.split("]")[0] for line in said(names + "systems='quarter_weak_margin'; weak_teacher")] == [
        "[train",
        "[embed-teacher",
    ]


def at_once(body: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Two systems with two seeds each, two at a time; body: what is done of CONFIG SEED EXPERIMENT."""
    for system in ("plain", "taught"):
        (tmp_path / f"{system}.yaml").touch()
    script = f"""set -euo pipefail
        at_once=2 systems="plain taught" seeds="1 2" variant='' exp=exp/mini conf={tmp_path}
        source tools/recipe.sh
        work() {{ {body}; }}
        at_once_for_each work
        echo after all"""
    return subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


def test_each_line_of_systems_that_run_beside_each_other_names_its_experiment(tmp_path):
    done = at_once('echo "begin $2"; echo end', tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "after all"
    experiments = ["mini-plain", "mini-plain-seed2", "mini-taught", "mini-taught-seed2"]
    lines = [f"{name}: {text}" for name in experiments for text in (f"begin {1 + name.endswith('2')}", "end")]
    assert sorted(done.stdout.splitlines()[:-1]) == sorted(lines)


def test_where_one_of_several_systems_fails_the_others_end_and_the_stage_fails(tmp_path):
    done = at_once('[ "$3" != exp/mini-plain ] || false; echo end', tmp_path)
    assert done.returncode != 0 and "after all" not in done.stdout
    assert sorted(done.stdout.splitlines()) == ["mini-plain-seed2: end", "mini-taught-seed2: end", "mini-taught: end"]
