"""speakerkd from Python, as its README says: every kind of input, one or many, in any folder."""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import speakerkd
from speakerkd.errors import InputError

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def model(model_dir):
    return speakerkd.load(model_dir)


@pytest.fixture
def voice(corpus):
    return corpus.root / f"{corpus.keys[1]}.wav"


def test_a_recording_may_be_given_in_any_form(model, voice):
    samples, rate = soundfile.read(voice, dtype="float32")
    expected = model.embed(str(voice))
    assert expected.shape == (16,)
    with open(voice, "rb") as stream:
        forms = [voice, voice.read_bytes(), io.BytesIO(voice.read_bytes()), stream, (samples, rate)]
        forms += [(np.stack([samples, samples], 1), rate)]
        many = model.embed(forms)
    assert many.shape == (6, 16)
    np.testing.assert_allclose(many, np.tile(expected, (6, 1)), atol=2e-3)
    np.testing.assert_allclose(model.embed(samples, rate=rate), expected, atol=2e-3)
    assert model.embed([]).shape == (0, 16)
    with pytest.raises(InputError, match="samples without their rate"):
        model.embed(samples)
    with pytest.raises(InputError, match="1.*samples, less than one window|too short|silent"):
        model.embed((samples[:100], rate))


def test_samples_may_come_as_other_libraries_give_them(model, voice):
    """torchaudio: a tensor (channels, N); scipy: the rate first; recorders: whole numbers."""
    import torch

    samples, rate = soundfile.read(voice, dtype="float32")
    expected = model.embed((samples, rate))
    tensor = torch.from_numpy(samples)
    forms = [(tensor, rate), (tensor[None], rate), (rate, samples), (samples[None], float(rate))]
    for form in forms:
        np.testing.assert_allclose(model.embed(form), expected, atol=1e-5)
    np.testing.assert_allclose(
        model.embed(torch.stack([tensor, tensor]).requires_grad_(), rate=rate), expected, atol=1e-5
    )
    whole = (samples * 32767).astype(np.int16)
    fractions = model.embed(whole / np.float32(32768), rate=rate)
    np.testing.assert_allclose(model.embed([tensor, whole], rate=rate), [expected, fractions], atol=1e-5)
    for bad in ("16000", None, float("nan"), 0, -1, 16000.5):
        with pytest.raises(InputError, match="rate"):
            model.embed(samples, rate=bad)
    for bad, match in (
        (samples[:0], "no samples"),
        (samples > 0, "bool"),
        (samples * np.nan, "not finite"),
        (3, "int"),
    ):
        with pytest.raises(InputError, match=match):
            model.embed(bad, rate=rate)


def test_many_are_whatever_gives_them_one_by_one(model, voice, corpus):
    files = [str(corpus.root / f"{key}.wav") for key in corpus.keys[:2]]
    expected = model.embed(files)
    for many in (tuple(files), (name for name in files), map(Path, files), np.array(files), iter(files)):
        np.testing.assert_array_equal(model.embed(many), expected)
    assert model.embed(iter(())).shape == (0, 16)
    assert model.verify(tuple(files), iter(files), threshold=0)[0].score == model.verify(files, files, 0)[0].score
    assert model.verify([], []) == []
    for bad in ({"a": files[0]}, set(files)):
        with pytest.raises(InputError, match="give a list"):
            model.embed(bad)
    with pytest.raises(InputError, match="similarity"):
        model.similarity(files, files)
    for bad in (float("nan"), "0.5"):
        with pytest.raises(InputError, match="threshold"):
            model.verify(*files, bad)


def test_pairs_are_verified_one_by_one_or_in_lists(model, corpus):
    files = [corpus.root / f"{key}.wav" for key in corpus.keys[:4]]
    one = model.verify(files[0], files[1], threshold=-1)
    listed = model.verify(files[:2], files[1:3], threshold=-1)
    assert [v.score for v in listed][0] == pytest.approx(one.score, abs=1e-3) and len(listed) == 2
    assert one.same is (one.score >= -1)
    with pytest.raises(InputError, match="lists of 2 and 3"):
        model.verify(files[:2], files[:3])
    with pytest.raises(InputError, match="one recording against a list"):
        model.verify(files[0], files[:3])


def test_a_picture_may_be_given_in_any_form(model, voice, tmp_path, monkeypatch):
    """The detector is not under test: every picture is its own face, and the teacher looks at its brightness."""
    import torch

    from speakerkd.frontend import faces as detection
    from speakerkd.frontend.faces import Face
    from speakerkd.frontend.pictures import read_picture

    create = Face.__new__

    def whole(source, *_):
        face = create(Face)
        object.__setattr__(face, "crop", np.resize(read_picture(source), (112, 112, 3)))
        return face

    class Bright(torch.nn.Module):
        dim = 12

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def preprocess(self, x):
            return x.float()

        def forward(self, x, maps=False):
            from speakerkd.tensors import Output

            return Output(self.scale * x.mean((1, 2, 3))[:, None] * torch.eye(12)[:1] + torch.arange(12.0))

    monkeypatch.setattr(detection, "face_of", whole)
    monkeypatch.setattr(type(model), "_teacher", Bright())
    pixels = np.full((40, 40, 3), 90, np.uint8)
    path = tmp_path / "face é.png"
    Image.fromarray(pixels).save(path)
    forms = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), Image.open(path), pixels]
    forms += [torch.from_numpy(pixels), pixels.transpose(2, 0, 1), torch.from_numpy(pixels).permute(2, 0, 1) / 255]
    seen = model.faces(forms)
    assert seen.shape == (9, 16) and model.faces([]).shape == (0, 16)
    np.testing.assert_allclose(seen, np.tile(seen[0], (9, 1)), atol=1e-5)
    assert model.faces(np.stack([pixels, pixels])).shape == model.faces(iter(forms[:2])).shape == (2, 16)
    answer = model.match(audio=voice, faces=[path, pixels, 255 - pixels])
    assert {c.path for c in answer.candidates} == {str(path), "number 2", "number 3"}
    assert [c.similarity for c in answer.candidates] == sorted((c.similarity for c in answer.candidates), reverse=True)
    heard = model.match(face=pixels, audios=[voice, voice.read_bytes()])
    assert heard.chosen is None and {c.place for c in heard.candidates} == {0, 1}
    for one in (str(path), path, path.read_bytes(), Image.open(path), pixels):  # one option, without a list
        assert len(model.match(voice, one).candidates) == 1
    for one in (str(voice), voice, (np.sin(np.arange(32000, dtype=np.float32)), 16000)):
        assert len(model.match_voices(path, one).candidates) == len(model.match(face=path, audios=one).candidates) == 1


def test_the_readmes_example_runs(tiny, voice, tmp_path, monkeypatch):
    text = README.read_text("utf-8")
    block = next(b for b in re.findall(r"\n\n((?:    .+\n|\n)+)", text) if "import speakerkd" in b)
    lines = [line[4:] for line in block.splitlines()]
    shutil.copytree(tiny, tmp_path / "exp/mini-margin_classifier")
    for name in ("a.wav", "b.wav"):
        shutil.copy(voice, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speakerkd.Model, "faces", lambda self, faces: np.eye(len(faces), 16, dtype=np.float32))
    exec("\n".join(lines), {})


def test_importing_it_costs_no_torch():
    code = "import sys, speakerkd; speakerkd.__version__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_name_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="lod"):
        speakerkd.lod  # noqa: B018  (looking it up is what is tested)
