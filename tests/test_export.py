"""An exported model gives what torch gives: embeddings, scores and verdicts, and needs no torch to do so."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_recogniser
import pytest
import torch
from conftest import save_tiny
from PIL import Image

import speakerkd
from speakerkd.cli.extras import TRAIN
from speakerkd.cli.main import run
from speakerkd.distill.projection import ProjectionHead
from speakerkd.errors import InputError
from speakerkd.export import export_card, export_model
from speakerkd.frontend.faces import FaceDetector
from speakerkd.frontend.fbank import fbank
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.face_network import embed_pictures
from speakerkd.models.onnx_export import KaldiFbank
from speakerkd.models.onnx_faces import write_faces
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import load_trained_model, save_trained_model
from speakerkd.onnx_model import OnnxModel, read_record
from speakerkd.teachers.load import find_teacher

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def in_float32(folder):
    """The model in float32, as exported: on processors with bf16 torch computes in that."""
    model = speakerkd.load(folder, "cpu")
    model.package.to("cpu", torch.float32)
    return model


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
        in_float32(tiny).embed(files, protocol),
    )
    assert exported.cosine > 0.9999 and ours.shape == theirs.shape
    assert (ours * theirs).sum(-1).min() > 0.999


def test_scores_and_verdicts_are_torchs(exported, tiny, corpus):
    first, second = (corpus.root / f"{corpus.keys[k]}.wav" for k in (1, 5))
    model, ours = in_float32(tiny), OnnxModel(exported.directory)
    assert ours.similarity(first, second) == pytest.approx(model.similarity(first, second), abs=5e-3)
    assert ours.verify(first, second).same is None
    assert ours.verify(first, first, threshold=-0.9).same is True
    head = model.package.project(torch.ones(2, 12)).numpy()
    np.testing.assert_allclose(ours.project(np.ones((2, 12), np.float32)), head, atol=1e-4)


def test_it_runs_where_torch_is_not(exported, corpus):
    files = [corpus.root / f"{corpus.keys[k]}.wav" for k in (1, 5)]
    common = ("--runtime", "onnx", "--model", exported.directory, "--threshold", "-0.5", "--json")
    status, out, err = _without_torch("verify", *files, *common)
    assert status == 0 and json.loads(out)["same"] in (True, False), err
    status, _, err = _without_torch("verify", *files, "--model", exported.directory.parent)
    assert status == 1 and "without --no-deps" in err and len(err.splitlines()) == 1


def test_a_slim_installation_is_what_readme_says_and_lacks_what_is_named():
    root = Path(__file__).parents[1]
    text = (root / "setup.py").read_text("utf-8")

    def listed(start):
        block = re.search(re.escape(start) + r"(.*?)^\]", text, re.S | re.M)[1]
        return {name.lower() for name in re.findall(r'^\s+"([\w-]+)', block, re.M)}

    left_out = {name.replace("-", "_") for name in listed("REQUIRES = SLIM + [")}
    assert {"sklearn" if name == "scikit_learn" else name for name in left_out} == TRAIN
    line = re.search(r"^    pip install (onnxruntime .*)$", (root / "README.md").read_text("utf-8"), re.M)[1]
    assert {re.split("[<>=]", name)[0].lower() for name in shlex.split(line)} == listed("SLIM = [") | {"onnxruntime"}


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


def test_what_leaves_the_machine_names_the_teachers_licence_and_no_folder_of_ours(taught, tmp_path, capsys):
    folder = str(taught.parent)
    card = export_card(taught, tmp_path / "card")
    assert "licence of those who published them" in (card / "README.md").read_text("utf-8")
    assert speakerkd.load(card, "cpu").package.teacher.weights == "teacher.onnx"
    with pytest.raises(SystemExit):
        run(["export", str(taught), "--onnx", "--to", str(tmp_path / "onnx")])
    assert "face.onnx holds the weights of 'onnx:" in capsys.readouterr().out
    for text in ((card / "model.json"), tmp_path / "onnx/onnx.json"):
        assert folder not in text.read_text("utf-8")


def _without_torch(*arguments):
    """The exit status, output and errors of a command in a process that can import nothing of the extra `train`."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({TRAIN}))\nfrom speakerkd.cli.main import run; run(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A model whose face teacher, an ONNX file, looks at the mean colours of a face."""
    folder = tmp_path_factory.mktemp("taught")
    file = find_teacher("onnx", onnx_recogniser.write(folder / "teacher.onnx", listed=True))
    package = load_trained_model(save_tiny(folder / "first"))
    save_trained_model(
        folder / "taught",
        task="speaker",
        student=package.student,
        settings=package.settings,
        frontend=package.frontend,
        head=ProjectionHead(onnx_recogniser.DIM, 16),
        teacher={"name": file.name, "dim": onnx_recogniser.DIM, "digest": file.digest, "weights": str(file.weights)},
    )
    return folder / "taught"


def test_voices_and_faces_are_matched_without_torch_as_with_it(taught, corpus, tmp_path):
    data = pytest.importorskip("skimage.data")
    portrait = data.astronaut()[:256, 100:356]
    for name, tint in (("a.png", [1, 1, 1]), ("b.png", [1, 0.4, 0.4])):
        Image.fromarray((portrait * np.array(tint)).astype(np.uint8)).save(tmp_path / name)
    Image.fromarray(np.full((90, 90, 3), 80, np.uint8)).save(tmp_path / "none.png")
    export_model(taught, tmp_path / "onnx")
    voice, files = corpus.root / f"{corpus.keys[1]}.wav", [tmp_path / "a.png", tmp_path / "b.png"]
    common = ("--runtime", "onnx", "--model", tmp_path / "onnx", "--json")
    status, out, err = _without_torch("match", "--audio", voice, "--faces", *files, *common)
    assert status == 0, err
    theirs = in_float32(taught).match(audio=voice, faces=files)
    ours = json.loads(out)["candidates"]
    assert [c["path"] for c in ours] == [c.path for c in theirs.candidates]
    assert [c["similarity"] for c in ours] == pytest.approx([c.similarity for c in theirs.candidates], abs=3e-3)
    status, _, err = _without_torch("match", "--face", tmp_path / "none.png", "--audios", voice, *common)
    assert status == 1 and "no face found" in err and len(err.splitlines()) == 1


def test_without_the_teachers_weights_the_voice_is_exported_and_that_is_said(tiny, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run(["export", str(tiny), "--onnx", "--to", str(tmp_path / "onnx")])
    assert not end.value.code and "without faces: the weights of the teacher" in capsys.readouterr().out
    assert not (tmp_path / "onnx/pnet.onnx").exists()
    with pytest.raises(InputError, match="exported without the face teacher"):
        OnnxModel(tmp_path / "onnx").faces(["x.png"])


def test_a_face_network_of_torch_is_exported_with_its_pixels(tmp_path):
    torch.manual_seed(0)
    network = build_face(FaceSettings(name="resnet18", width=0.1, embedding=16)).eval()
    assert write_faces(network, tmp_path) == {"pixels": None}
    crops = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), np.uint8)
    session = onnxruntime.InferenceSession(str(tmp_path / "face.onnx"), providers=["CPUExecutionProvider"])
    (vectors,) = session.run(None, {"pictures": crops})
    np.testing.assert_allclose(vectors, embed_pictures(network, torch.from_numpy(crops)).numpy(), rtol=1e-3, atol=1e-4)


def test_the_detector_without_torch_finds_the_same_faces(tmp_path):
    data = pytest.importorskip("skimage.data")
    write_faces(build_face(FaceSettings(name="resnet18", width=0.1, embedding=16)).eval(), tmp_path)
    portrait = data.astronaut()[:256, 100:356]
    pictures = [
        portrait,
        np.hstack([portrait, portrait[:, ::-1]]),
        portrait[::3, ::3],
        np.full((99, 70, 3), 90, np.uint8),
    ]
    for ours, theirs in zip(FaceDetector(exported=tmp_path).find(pictures), FaceDetector().find(pictures), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours.count == theirs.count
            np.testing.assert_allclose(ours.landmarks, theirs.landmarks, atol=0.01)
            np.testing.assert_allclose(ours.box, theirs.box, atol=0.01)


def test_a_list_is_scored_by_both_and_another_eer_is_refused(tiny, corpus, tmp_path, monkeypatch):
    settings = {"trials": corpus.trials, "audio_root": corpus.root}
    export_model(tiny, tmp_path / "onnx", **settings)
    record = read_record(tmp_path / "onnx")
    assert record.eer["list"] == "trials_o" and record.eer["torch"] == pytest.approx(record.eer["onnx"], abs=1e-3)
    monkeypatch.setattr("speakerkd.export.eer_both", lambda *_: (0.05, 0.07))
    with pytest.raises(InputError, match=r"EER 7.000 % by the exported files, 5.000 % by torch"):
        export_model(tiny, tmp_path / "other", **settings)
    assert not (tmp_path / "other").exists()


def test_a_data_directory_is_embedded_without_torch(exported, tiny, corpus, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    lines = (corpus.data / "wav.scp").read_text().splitlines()[:3]
    (data / "wav.scp").write_text("\n".join([*lines, f"zz/gone {tmp_path}/gone.wav"]) + "\n")
    common = ("--runtime", "onnx", "--model", exported.directory, "--out", tmp_path / "e.npz")
    status, out, err = _without_torch("embed", data, *common)
    assert status == 1 and "rejected" in err and not (tmp_path / "e.npz").exists()
    status, out, err = _without_torch("embed", data, *common, "--max-rejected", "0.3")
    assert status == 0 and "4 in, 3 out" in out, err
    archive = np.load(tmp_path / "e.npz")
    files = [line.split()[1] for line in lines]
    theirs = in_float32(tiny).embed(files, "crops")
    assert archive["embedding"].shape == (3, 10, 16) and (archive["embedding"] * theirs).sum(-1).min() > 0.999
