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
