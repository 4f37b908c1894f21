"""Every command and Python line that a README shows: what a newcomer types first."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from speakerkd.cli.main import run, speakerkd
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.trained_model import save_trained_model
from speakerkd.work.files import digest

ROOT = Path(__file__).parents[1]
READMES = sorted(
    p for p in ROOT.glob("**/*.md") if not {".venv", ".tools", "exp", "data"} & set(p.relative_to(ROOT).parts)
)


def blocks(path: Path) -> list[str]:
    """The code blocks of a Markdown file: indented by four spaces after an empty line, or fenced."""
    text = path.read_text("utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.M | re.S)
    text = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.M | re.S)
    indented = re.findall(r"(?:^|\n)\n((?: {4}.*\n|\n(?= {4}))+)", text)
    return [re.sub(r"^ {4}", "", block, flags=re.M) for block in (*fenced, *indented)]


def commands(path: Path) -> list[list[str]]:
    """The command lines of its blocks, continued lines joined, comments left out."""
    lines = []
    for block in blocks(path):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"^\$ ", "", line.strip())
            if re.match(r"(bash|speakerkd|python|\.venv/bin/\w+) ", line):
                lines.append(shlex.split(line, comments=True))
    return lines


SHOWN = [(path.relative_to(ROOT), command) for path in READMES for command in commands(path)]
SCRIPTS = [(path, command) for path, command in SHOWN if command[0] == "bash"]
VERBS = [(path, command) for path, command in SHOWN if command[0].endswith("speakerkd")]
PYTHON = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in READMES
    for number, block in enumerate(blocks(path))
    if re.match(r"(import|from) \w+", block.strip())
]


def named(shown):
    return [f"{path}: {' '.join(command)[:70]}" for path, command in shown]


def test_the_main_readme_shows_the_fixed_commands():
    mine = [" ".join(command) for path, command in SHOWN if path == Path("README.md")]
    assert any(command.startswith("speakerkd match --audio a.wav --faces f1.jpg f2.jpg") for command in mine)
    assert any(command.startswith("speakerkd score --trials ") for command in mine)
    assert "bash recipes/voxceleb/run.sh --stage 3" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("shown", SCRIPTS, ids=named(SCRIPTS))
def test_every_script_is_there_and_knows_its_options(shown):
    """The scripts read their options in order, so `--help` at the end is reached only past options that they know."""
    _, (_, script, *options) = shown
    assert (ROOT / script).is_file()
    if script == "tools/install.sh":  # it has no options
        return
    done = subprocess.run(
        ["bash", script, *options, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "--" in done.stdout, done.stderr


@pytest.mark.parametrize("shown", VERBS, ids=named(VERBS))
def test_every_verb_takes_the_options_that_are_shown(shown):
    """Parsed to the end as the command line does it, without being run."""
    group = speakerkd()
    context = group.make_context("speakerkd", list(shown[1][1:]))
    while hasattr(group, "resolve_command"):
        name, command, rest = group.resolve_command(context, context.protected_args + context.args)
        context, group = command.make_context(name, rest, parent=context), command
    assert not context.args


@pytest.fixture
def sandbox(monkeypatch, tmp_path, corpus, model_dir):
    """A folder in which the files of the main README's examples lie under the names that it uses."""
    lfw = pytest.importorskip("skimage.data").lfw_subset()
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    settings = FaceSettings(name="resnet18", width=0.03, embedding=12)
    save_trained_model(tmp_path / "exp/face", task="face", student=build_face(settings).eval(), settings=settings)
    described = json.loads((model_dir / "model.json").read_text())
    weights = tmp_path / "exp/face"
    described["teacher"] = {"name": "resnet18", "dim": 12, "weights": str(weights)}
    described["teacher"]["digest"] = digest(weights / "model.safetensors")
    (model_dir / "model.json").write_text(json.dumps(described))
    shutil.copytree(model_dir, tmp_path / "exp/mini-margin_classifier")
    shutil.copytree(corpus.data, tmp_path / "data/mini/vox1")
    shutil.copy(corpus.trials, tmp_path / "data/mini/vox1/trials_original")
    for name, key in (("a.wav", corpus.keys[1]), ("b.wav", corpus.keys[5])):
        shutil.copy(corpus.root / f"{key}.wav", tmp_path / name)
    for number, name in enumerate(("f.jpg", "f1.jpg", "f2.jpg")):
        canvas = Image.new("L", (160, 160), 127)
        face = Image.fromarray((lfw[number] * 255).astype(np.uint8))
        canvas.paste(face.resize((100, 100), Image.Resampling.BICUBIC), (30, 30))
        canvas.convert("RGB").save(tmp_path / name)
    (tmp_path / "exp/latest").symlink_to("mini-margin_classifier")
    return tmp_path


EXAMPLES = [
    (path, command)
    for path, command in VERBS
    if path == Path("README.md") and command[1] in ("score", "match", "verify", "embed")
]


@pytest.mark.parametrize("shown", EXAMPLES, ids=named(EXAMPLES))
def test_the_main_readmes_commands_run(sandbox, shown, capsys):
    with pytest.raises(SystemExit) as end:
        run(shown[1][1:])
    assert not end.value.code, capsys.readouterr().err


@pytest.mark.parametrize("block", PYTHON)
def test_python_examples_run(sandbox, block):
    exec(compile(block, "README", "exec"), {})
