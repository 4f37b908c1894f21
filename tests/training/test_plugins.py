"""If these fail, nobody adds an objective, a student or a corpus without a copy of this project."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from feature_corpus import MELS, small

from speakerkd.cli.main import run
from speakerkd.distill import METHODS
from speakerkd.errors import InputError
from speakerkd.models.trained_model import load_trained_model
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loop import train

CODE = '''"""Write one file of a corpus of mine.

Example: speakerkd prepare mine OUTPUT
"""

from typing import Literal

import torch
from torch import nn

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import Output
from speakerkd.distill import Objective, ObjectiveSettings
from speakerkd.tensors import Output as Outputs


class NearSettings(ObjectiveSettings):
    name: Literal["near"] = "near"
    power: float = 2.0


class Near(Objective):
    Settings = NearSettings
    needs = frozenset({"embedding", "equal_dims"})

    def terms(self, student, teacher, samples):
        apart = student.embedding - self.teacher_view(teacher.embedding)
        return {"near": apart.abs().pow(self.settings.power).mean()}


class Line(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.dim = settings.embedding
        self.layer = nn.Linear(settings.mels, self.dim)

    def forward(self, x, maps=False):
        return Outputs(self.layer(x.mean(1)))


@verb("output")
def mine(settings: Output) -> None:
    settings.output.write_text("here")
'''


@pytest.fixture
def others_package(tmp_path: Path, monkeypatch) -> None:
    site = tmp_path / "site"
    about = site / "others-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "others_speakerkd.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[speakerkd.objectives]\nnear = others_speakerkd:Near\nbroken = others_speakerkd:Nothing\n"
        "[speakerkd.students]\nline = others_speakerkd:Line\n"
        "[speakerkd.corpora]\nmine = others_speakerkd:mine\n"
    )
    monkeypatch.syspath_prepend(site)


def test_an_objective_and_a_student_of_another_package_train(others_package, feature_corpus, tmp_path):
    settings = small(feature_corpus, train__epochs=1, distill=[{"name": "near", "power": 1.0}])
    settings["student"] = {"name": "line", "mels": MELS, "embedding": 8}
    experiment = check_experiment(settings, "test")
    assert experiment.distill[0].power == 1.0
    summary = train(experiment, tmp_path / "exp" / "line")
    assert summary["step"] > 0
    assert '"near"' in (tmp_path / "exp" / "line" / "log.jsonl").read_text()
    model = load_trained_model(tmp_path / "exp" / "line")
    assert model.embed(torch.randn(3, 20, MELS)).shape == (3, 8)


def test_a_corpus_of_another_package_is_a_verb(others_package, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run(["prepare", "mine", str(tmp_path / "mine")])
    assert end.value.code == 0 and (tmp_path / "mine").read_text() == "here"
    with pytest.raises(SystemExit):
        run(["prepare", "--help"])
    assert "Write one file of a corpus of mine." in capsys.readouterr().out


def test_what_cannot_be_loaded_is_named(others_package):
    with pytest.raises(InputError, match="cannot be loaded .*Nothing.*entry point 'broken' of speakerkd.objectives"):
        METHODS["broken"]


def test_a_misspelt_name_is_compared_with_the_installed_ones_too(others_package, feature_corpus):
    with pytest.raises(InputError, match="did you mean 'near'"):
        check_experiment(small(feature_corpus, distill=[{"name": "neer"}]), "test")
    with pytest.raises(InputError, match="no such network: did you mean 'line'"):
        check_experiment(small(feature_corpus, student__name="lime"), "test")
