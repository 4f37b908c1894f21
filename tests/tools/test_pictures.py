"""One command makes the pictures of all READMEs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("recipes/*/README.md")), *sorted(ROOT.glob("egs/*/README.md"))]


def pictures_of(readme: Path) -> list[Path]:
    names = re.findall(r"!\[[^]]+\]\(([^)]+)\)", readme.read_text("utf-8"))
    return [(readme.parent / name).resolve().relative_to(ROOT) for name in names]


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """All pictures, made beside two experiments of mini and one of a published row."""
    sys.path.insert(0, str(ROOT / "tests/report"))
    from experiments import make_experiment

    base = tmp_path_factory.mktemp("pictures")
    for name in ("mini-baseline", "mini-margin", "cifar100-resnet18-margin"):
        make_experiment(base / "exp" / name)
    command = [sys.executable, "tools/pictures.py", "--exp", str(base / "exp"), "--out", str(base)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return base, done.stdout


def test_every_picture_of_a_readme_is_there_and_made_by_the_command(drawings):
    named = {picture for readme in READMES for picture in pictures_of(readme)}
    folder, _ = drawings
    drawn = {path.relative_to(folder) for path in [*folder.glob("recipes/*/*.png"), *folder.glob("egs/*/*.png")]}
    assert named == drawn
    for picture in named:
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_without_mini_its_picture_stays(tmp_path):
    command = [sys.executable, "tools/pictures.py", "--exp", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "stays: no mini" in done.stdout and not (tmp_path / "egs").exists()
