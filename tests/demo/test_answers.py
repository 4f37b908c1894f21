"""What the page answers about uploads: scores as `speakerkd` gives them, faults in words, and text that stays text."""

import json
import re
import shutil

import numpy as np
import onnx_recogniser
import pytest
import soundfile
from conftest import save_tiny
from PIL import Image

import speakerkd
from speakerkd.demo import drawing
from speakerkd.demo.answers import Answers
from speakerkd.demo.settings import DemoSettings
from speakerkd.demo.uploads import Heard
from speakerkd.distill.projection import ProjectionHead
from speakerkd.models.trained_model import load_trained_model, save_trained_model
from speakerkd.teachers.load import find_teacher

EVIL = "<img src=x onerror=alert(1)>"
data = pytest.importorskip("skimage.data")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A model whose face teacher looks at the mean colours of a face."""
    folder = tmp_path_factory.mktemp("taught")
    weights = onnx_recogniser.write(folder / "teacher.onnx")
    teacher = find_teacher("onnx", weights)
    package = load_trained_model(save_tiny(folder / "first"))
    save_trained_model(
        folder / "taught",
        task="speaker",
        student=package.student,
        settings=package.settings,
        frontend=package.frontend,
        head=ProjectionHead(onnx_recogniser.DIM, 16),
        teacher={"name": teacher.name, "dim": onnx_recogniser.DIM, "digest": teacher.digest, "weights": str(weights)},
    )
    return folder / "taught"


@pytest.fixture(scope="module")
def answers(taught):
    model = speakerkd.load(taught, "cpu")
    return Answers(model, DemoSettings(threshold=-0.7, seconds=6, megabytes=1, files=3))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """One face; three faces side by side; none. The astronaut's portrait comes with scikit-image."""
    folder = tmp_path_factory.mktemp("pictures")
    portrait = data.astronaut()[:256, 100:356]
    reddish = (portrait * [1.0, 0.5, 0.5]).astype(np.uint8)
    files = {"one.png": portrait, "three.png": np.hstack([portrait, reddish, portrait[:, ::-1]]), "red.png": reddish}
    for name, pixels in {**files, "none.png": np.full((200, 200, 3), 90, np.uint8)}.items():
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def voices(corpus):
    return [str(corpus.root / f"{corpus.keys[k]}.wav") for k in (1, 5)]


def test_two_recordings_get_the_score_and_verdict_that_python_gives(answers, taught, voices):
    page = answers.verify(*voices)
    verdict = speakerkd.load(taught, "cpu").verify(voices[0], voices[1], threshold=-0.7)
    assert ("Same speaker" in page) is verdict.same and f"score {verdict.score:.3f}" in page
    assert "threshold -0.700" in page and page.count("waveform of") == 2
    assert "minus the mean distance" in page


def test_where_the_threshold_comes_from_is_said_without_its_folder(taught, voices, tmp_path):
    folder = shutil.copytree(taught, tmp_path / "exp")
    model = speakerkd.load(folder, "cpu")
    origin = {"model": model.package.digest}
    entry = {"eer_threshold": -0.5, "trials": 9, "protocol": "crops", "made": origin}
    (folder / "results.json").write_text(json.dumps({"scores": {"our_list.crops": entry}}))
    page = Answers(model, DemoSettings()).verify(voices[0], voices[1])
    assert "EER threshold of our_list)" in page and str(tmp_path) not in page


def test_every_face_is_shown_with_its_frame_and_ranked_as_match_ranks(answers, taught, voices, pictures):
    files = [str(pictures / name) for name in ("one.png", "three.png", "red.png")]
    page = answers.faces_of_voice(voices[0], files)
    ranked = speakerkd.load(taught, "cpu").match(audio=voices[0], faces=files).candidates
    places = [page.index(f"{c.similarity:+.3f}<svg") for c in ranked]
    assert places == sorted(places)
    assert page.count("<rect") - page.count('y="2"') == 5  # three subjects and two beside one of them
    assert "3 faces: the framed one counts" in page and page.count('alt="the face, aligned"') == 3


def test_every_voice_is_shown_and_ranked_for_a_face(answers, taught, voices, pictures):
    page = answers.voices_of_face(str(pictures / "one.png"), voices)
    best = speakerkd.load(taught, "cpu").match(face=pictures / "one.png", audios=voices).candidates[0]
    assert f"{best.similarity:+.3f}" in page and page.count("waveform of") == 2


def test_what_is_wrong_is_said_with_the_files_name_and_never_its_folder(answers, voices, pictures, tmp_path):
    wrong = tmp_path / f"{EVIL}.wav"
    wrong.write_text("no sound")
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(size=7 * 16000) * 0.1, 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    (tmp_path / "big.wav").write_bytes(b"RIFF" + bytes(1_100_000))
    (tmp_path / "empty.wav").touch()
    pages = {
        answers.verify(str(wrong), voices[0]): "not a readable recording",
        answers.verify(voices[0], str(tmp_path / "long.wav")): "long.wav: longer than 6 s",
        answers.verify(voices[0], str(tmp_path / "silent.wav")): "silent.wav: silent",
        answers.verify(str(tmp_path / "big.wav"), voices[0]): "big.wav: more than 1 MB",
        answers.verify(str(tmp_path / "empty.wav"), voices[0]): "empty",
        answers.verify(str(tmp_path / "gone.wav"), voices[0]): "no longer kept",
        answers.verify(None, voices[0]): "a recording is missing",
        answers.verify(str(pictures / "one.png"), voices[0]): "a picture",
        answers.faces_of_voice(voices[0], [str(pictures / "none.png")]): "none.png: no face found",
        answers.faces_of_voice(voices[0], voices[:1]): "not a picture",
        answers.faces_of_voice(voices[0], [str(pictures / "one.png")] * 4): "4 pictures, at most 3",
        answers.faces_of_voice(voices[0], []): "missing",
        answers.voices_of_face(None, voices): "missing",
    }
    assert len(pages) == 13
    for page, message in pages.items():
        assert message in page and 'role="alert"' in page, page
        assert str(tmp_path) not in page and EVIL not in page


def test_a_small_file_of_many_hours_is_refused_before_it_is_kept(answers, voices, tmp_path):
    """FLAC of one value for an hour takes a few kB: it is decoded only as far as the bound."""
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 16000, 1) as stream:
        for _ in range(60):
            stream.write(np.full(60 * 16000, 0.1, np.float32))
    assert path.stat().st_size < 1_000_000
    assert "hour.flac: longer than 6 s" in answers.verify(str(path), voices[0])


def test_a_files_name_is_text(answers, voices, pictures, tmp_path):
    shutil.copy(voices[0], tmp_path / f"{EVIL}.wav")
    shutil.copy(pictures / "one.png", tmp_path / f"{EVIL}.png")
    pages = [
        answers.verify(str(tmp_path / f"{EVIL}.wav"), voices[0]),
        answers.faces_of_voice(voices[0], [str(tmp_path / f"{EVIL}.png"), str(pictures / "one.png")]),
    ]
    for page in pages:
        assert "&lt;img src=x" in page and EVIL not in page
        assert not re.search(r"<(?!/?(div|table|tr|t[dh]|p|b|br|span|svg|path|rect|text|image|img|fig\w+)\b)", page)


def test_a_model_that_no_face_taught_says_so_in_place_of_matching(tmp_path):
    model = speakerkd.load(save_tiny(tmp_path / "alone", head=False), "cpu")
    assert "no face teacher" in Answers(model, DemoSettings()).no_faces


def test_the_scale_puts_score_and_threshold_where_they_belong():
    """By hand: -1 is the middle of -2 to 0, at 20 + 440 / 2; -0.5 at three quarters, 350."""
    drawn = drawing.scale(-1.0, -0.5, -2.0, 0.0)
    assert 'd="M240.0 33l' in drawn and 'd="M350.0 28V50"' in drawn
    assert 'd="M460.0 33l' in drawing.scale(7.0, None, -2.0, 0.0)  # never beyond the scale's end


def test_a_waveform_shows_every_part_of_a_recording():
    samples = np.concatenate([np.zeros(500), np.ones(250), -np.ones(250)]).astype(np.float32)
    bars = re.findall(r"M\d+ ([\d.]+)V([\d.]+)", drawing.waveform(Heard("x", samples, 1000)))
    assert len(bars) == 240
    assert bars[0] == ("30.0", "31.0") and bars[150] == ("2.0", "3.0") and bars[-1] == ("58.0", "59.0")
