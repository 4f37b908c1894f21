"""What the recipes' shell scripts share."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
