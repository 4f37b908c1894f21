"""An exported model gives what torch gives: embeddings, scores and verdicts, and needs no torch to do so."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import speakerkd
from speakerkd.errors import InputError
from speakerkd.export import export_card, export_model
from speakerkd.frontend.fbank import fbank
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.onnx_export import KaldiFbank
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import save_trained_model
from speakerkd.onnx_model import OnnxModel

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    return export_model(tiny, tmp_path_factory.mktemp("export") / "onnx")


def test_fbank_as_a_convolution_is_kaldis():
    settings = FbankSettings(mels=40)
    waves = 0.1 * torch.randn(2, 8000)
    assert (KaldiFbank(settings)(waves) - fbank(waves, settings)).abs().max() < 5e-3


@pytest.mark.parametrize("protocol", ["whole", "mean", "crops"])
def test_embeds_as_torch_does(exported, tiny, corpus, protocol):
    files = [corpus.root / f"{key}.wav" for key in corpus.keys[:3]]  # of 2 and of 5.5 s
    ours, theirs = (
        OnnxModel(exported.directory).embed(files, protocol),
        speakerkd.load(tiny, "cpu").embed(files, protocol),
    )
    assert exported.cosine > 0.9999 and ours.shape == theirs.shape
    assert (ours * theirs).sum(-1).min() > 0.999


def test_scores_and_verdicts_are_torchs(exported, tiny, corpus):
    first, second = (corpus.root / f"{corpus.keys[k]}.wav" for k in (1, 5))
    model, ours = speakerkd.load(tiny, "cpu"), OnnxModel(exported.directory)
    assert ours.similarity(first, second) == pytest.approx(model.similarity(first, second), abs=5e-3)
    assert ours.verify(first, second)["same"] is None
    assert ours.verify(first, first, threshold=-0.9)["same"] is True
    head = model.package.project(torch.ones(2, 12)).numpy()
    np.testing.assert_allclose(ours.project(np.ones((2, 12), np.float32)), head, atol=1e-4)


def test_it_runs_where_torch_is_not(exported, corpus):
    code = (
        "import sys; sys.modules['torch'] = None\n"  # an import of torch now fails
        "from speakerkd.cli.main import run; run(sys.argv[1:])"
    )
    files = [str(corpus.root / f"{corpus.keys[k]}.wav") for k in (1, 5)]
    common = [
        "verify",
        *files,
        "--runtime",
        "onnx",
        "--model",
        str(exported.directory),
        "--threshold",
        "-0.5",
        "--json",
    ]
    done = subprocess.run([sys.executable, "-c", code, *common], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["same"] in (True, False)


@pytest.mark.parametrize("name", ["resnetse34l", "ecapa", "xvector", "campplus", "redimnet_b0", "resnet50"])
def test_every_family_can_be_exported(name, tmp_path):
    mels = 60 if name == "redimnet_b0" else 24
    width = None if name == "redimnet_b0" else 0.1
    settings = SpeakerSettings(name=name, width=width, mels=mels, embedding=16)
    network = build_speaker(settings).eval()
    save_trained_model(
        tmp_path / "exp", task="speaker", student=network, settings=settings, frontend=FbankSettings(mels=mels)
    )
    assert export_model(tmp_path / "exp").cosine > 0.9999
    assert export_model(tmp_path / "exp", tmp_path / "whole", reads="waveform").cosine > 0.9999


def test_eight_bits_are_a_fraction_of_the_size(tmp_path):
    settings = SpeakerSettings(name="xvector", width=0.5, mels=24, embedding=64)
    network, exp = build_speaker(settings).eval(), tmp_path / "exp"
    save_trained_model(exp, task="speaker", student=network, settings=settings, frontend=FbankSettings(mels=24))
    whole, small = export_model(exp), export_model(exp, tmp_path / "small", int8=True)
    assert small.megabytes < 0.4 * whole.megabytes and small.cosine > 0.98


def test_a_network_that_differs_is_refused_and_nothing_stays(tiny, tmp_path, monkeypatch):
    from speakerkd.models import onnx_export

    monkeypatch.setattr(onnx_export, "_compared", lambda *_: 0.9)
    with pytest.raises(InputError, match="differs from torch"):
        export_model(tiny, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_an_export_that_was_changed_is_refused(exported, tmp_path):
    import shutil

    copy = shutil.copytree(exported.directory, tmp_path / "copy")
    with open(copy / "model.onnx", "ab") as stream:
        stream.write(b"x")
    with pytest.raises(InputError, match="not the file that"):
        OnnxModel(copy)
    with pytest.raises(InputError, match="no exported model"):
        OnnxModel(tmp_path)


def test_a_card_folder_is_a_model(tiny, tmp_path, corpus):
    folder = export_card(tiny, tmp_path / "card")
    text = (folder / "README.md").read_text("utf-8")
    for part in ("Training data", "Results", "Intended use", "Limits", "biometric", "Licence"):
        assert part in text
    path = corpus.root / f"{corpus.keys[1]}.wav"
    same = speakerkd.load(folder, "cpu").embed(path) @ speakerkd.load(tiny, "cpu").embed(path)
    assert same == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="already"):
        export_card(tiny, tmp_path / "card")
