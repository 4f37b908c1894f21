"""The option parser of the recipes."""

import subprocess
from pathlib import Path

import pytest

PARSER = Path(__file__).parents[2] / "tools" / "parse_options.sh"


def run(tmp_path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "run.sh"
    script.write_text(
        "#!/usr/bin/env bash\n# Does a thing.\n#   --stage N\nset -euo pipefail\nstage=0 stop_stage=6 data_dir=\n"
        f'source "{PARSER}"\necho "$stage|$stop_stage|$data_dir"\n'
    )
    return subprocess.run(["bash", str(script), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "result"),
    [((), "0|6|"), (("--stage", "3"), "3|6|"), (("--stop-stage=4", "--data-dir", "a b"), "0|4|a b")],
)
def test_options_set_variables(tmp_path, arguments, result):
    assert run(tmp_path, *arguments).stdout.strip() == result


@pytest.mark.parametrize("arguments", [("--stge", "3"), ("--stage",), ("3",), ("--",)])
def test_what_is_not_an_option_ends_the_script(tmp_path, arguments):
    failed = run(tmp_path, *arguments)
    assert failed.returncode == 2
    assert "error" in failed.stderr


def test_help_prints_the_comment_at_the_head(tmp_path):
    assert run(tmp_path, "--help").stdout.splitlines() == ["Does a thing.", "  --stage N"]


def test_a_script_that_asks_for_it_gets_the_options_that_it_does_not_know(tmp_path):
    script = tmp_path / "compare.sh"
    script.write_text(
        f'set -euo pipefail\ntable=1 dry_run=false\npass_on=()\nsource "{PARSER}"\n'
        'echo "$table|$dry_run"\nprintf "<%s>" "${pass_on[@]}"\n'
    )
    arguments = ["--size", "a b.yaml", "--table", "2", "--set=x=1", "--same-session", "--dry-run", "--set", "y=2 z=3"]
    done = subprocess.run(["bash", str(script), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == "2|true\n<--size><a b.yaml><--set=x=1><--same-session><--set><y=2 z=3>"
