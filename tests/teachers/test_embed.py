"""What a user loses if these fail: a student taught by the wrong embeddings, or by a teacher nobody can name."""

import json

import numpy as np
import pytest
import torch
from onnx_recogniser import expected, write
from PIL import Image
from sklearn.linear_model import LogisticRegression

from speakerkd.cli.main import run
from speakerkd.data.archive import read_shared_vectors, read_vectors
from speakerkd.data.datadir import read_table, write_table
from speakerkd.errors import InputError
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import save_trained_model
from speakerkd.teachers import embed as module
from speakerkd.teachers.classifier import accuracy, fit, fit_classifier, load_classifier
from speakerkd.teachers.embed import embed_teacher
from speakerkd.teachers.load import find_teacher, load_teacher
from speakerkd.work.files import digest


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A MobileFaceNet of fresh weights, its normalisation set so that embeddings differ between pictures."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net 1.pth"
    torch.save({"state_dict": build_face(FaceSettings(name="mobilefacenet")).state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """What `speakerkd train` leaves of a face network."""
    torch.manual_seed(1)
    directory = tmp_path_factory.mktemp("exp") / "face"
    settings = FaceSettings(name="resnet18", width=0.125, embedding=24)
    save_trained_model(directory, task="face", student=build_face(settings), settings=settings)
    return directory


@pytest.fixture
def data(tmp_path):
    """Three sessions of two speakers, one of them with two utterances."""
    rng = np.random.default_rng(0)
    aligned = {}
    for number, keys in enumerate([["a/1/1", "a/1/2"], ["a/2/1"], ["b/1/1"]]):
        path = tmp_path / f"crop {number}.png"
        Image.fromarray(rng.integers(0, 255, (112, 112, 3), np.uint8)).save(path)
        aligned |= dict.fromkeys(keys, str(path))
    directory = tmp_path / "data"
    write_table(directory / "aligned.scp", aligned)
    write_table(directory / "utt2spk", {key: key[0] for key in aligned})
    return directory


@pytest.fixture
def embedded(monkeypatch):
    """How many pictures went through the network, a call each."""
    calls = []
    embed = module._embed
    monkeypatch.setattr(module, "_embed", lambda net, crops, **kw: calls.append(len(crops)) or embed(net, crops, **kw))
    return calls


def crops_of(data):
    return torch.from_numpy(np.stack([np.asarray(Image.open(p)) for p in read_table(data / "aligned.scp").values()]))


def test_every_utterance_gets_the_embedding_of_its_crop(data, weights):
    rejected = embed_teacher(data, "mobilefacenet", weights, precision="float32", batch=2)
    assert (rejected.taken, len(rejected)) == (3, 0)
    keys, vectors = read_vectors(data / "teacher.scp")
    assert keys == ["a/1/1", "a/1/2", "a/2/1", "b/1/1"]
    network = build_face(FaceSettings(name="mobilefacenet", weights=weights))
    crops = crops_of(data)
    with torch.no_grad():
        # the network's input, by hand: (x - 127.5) / 128, the middle 96 columns
        x = (crops[:, :, 8:104].permute(0, 3, 1, 2).float() - 127.5) / 128
        expected = network(x).embedding
        mirrored = network(x.flip(3)).embedding
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    assert len(read_shared_vectors(data / "teacher.scp")[1]) == 3
    assert json.loads((data / "teacher.json").read_text()) == {
        "name": "mobilefacenet",
        "dim": 128,
        "weights": str(weights),
        "digest": digest(weights),
        "flip": False,
        "dtype": "float32",
        "source": str(data / "aligned.scp"),
    }
    embed_teacher(data, "mobilefacenet", weights, precision="float32", flip=True)
    np.testing.assert_allclose(read_vectors(data / "teacher.scp")[1], (expected + mirrored) / 2, rtol=1e-4, atol=1e-5)


def test_half_precision_changes_next_to_nothing(data, weights):
    embed_teacher(data, "mobilefacenet", weights, precision="float32")
    full = read_vectors(data / "teacher.scp")[1]
    embed_teacher(data, "mobilefacenet", weights, precision="bfloat16")
    half = read_vectors(data / "teacher.scp")[1]
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999 and not np.array_equal(full, half)


def test_the_teacher_runs_once(data, weights, embedded, tmp_path):
    embed_teacher(data, "mobilefacenet", weights)
    assert embedded == [3]
    archive = (data / "teacher.ark").stat().st_mtime_ns
    embed_teacher(data, "mobilefacenet", weights)
    assert embedded == [3] and (data / "teacher.ark").stat().st_mtime_ns == archive
    Image.fromarray(np.full((112, 112, 3), 50, np.uint8)).save(tmp_path / "crop 2.png")
    embed_teacher(data, "mobilefacenet", weights)
    assert embedded == [3, 1] and (data / "teacher.ark").stat().st_mtime_ns != archive


def test_a_killed_run_goes_on_where_it_stopped(data, weights, embedded, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    count = module._embed

    def stop(net, crops, **kw):
        if embedded:
            raise KeyboardInterrupt
        return count(net, crops, **kw)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_embed", stop)
        with pytest.raises(KeyboardInterrupt):
            embed_teacher(data, "mobilefacenet", weights)
    assert not (data / "teacher.scp").exists()
    embed_teacher(data, "mobilefacenet", weights)
    assert embedded == [2, 1] and len(read_vectors(data / "teacher.scp")[0]) == 4


def test_an_experiment_is_a_teacher(data, experiment):
    embed_teacher(data, str(experiment))
    record = json.loads((data / "teacher.json").read_text())
    assert (record["name"], record["dim"], record["weights"]) == ("resnet18", 24, str(experiment))
    # matching finds it again by what is recorded
    network = load_teacher(record["name"], record["weights"])
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    with torch.no_grad():
        expected = network(network.preprocess(crops_of(data))).embedding
    cosine = torch.cosine_similarity(expected, torch.from_numpy(read_vectors(data / "teacher.scp")[1]))
    assert cosine.min() > 0.999


def test_an_onnx_file_teaches_and_is_found_again_by_what_is_recorded(data, tmp_path):
    weights = write(tmp_path / "net.onnx")
    embed_teacher(data, "onnx", weights)
    record = json.loads((data / "teacher.json").read_text())
    assert (record["name"], record["dim"], record["dtype"]) == ("onnx:rgb,127.5,127.5", 24, "float32")
    vectors = read_vectors(data / "teacher.scp")[1]
    np.testing.assert_allclose(vectors, expected(crops_of(data)), rtol=1e-4, atol=1e-4)
    again = find_teacher(record["name"], record["weights"])
    assert again.digest == record["digest"] and load_teacher(again.name, again.weights).dim == 24
    assert find_teacher("arcface", weights).name == "arcface"
    with pytest.raises(InputError, match="'arcface' needs weights.*ONNX file"):
        find_teacher("arcface")


def test_unfit_teachers_are_refused(experiment, weights, tmp_path):
    voice = SpeakerSettings(width=0.25)
    save_trained_model(tmp_path / "voice", task="speaker", student=build_speaker(voice), settings=voice)
    for arguments, fault in {
        ("ir5O",): "no teacher 'ir5O'.*did you mean 'ir50'",
        ("exp/none",): "no teacher 'exp/none'",
        ("ir50",): "needs weights",
        ("resnet18",): "needs weights.*experiment directory",
        ("ir50", tmp_path / "none.pth"): "no such weights file",
        (str(experiment), weights): "has its own weights",
        ("resnet34", experiment): "trained 'resnet18'",
        ("resnet18", weights): "not an experiment directory",
        (str(tmp_path),): "no trained model here",
        (str(tmp_path / "voice"),): "a speaker network",
    }.items():
        with pytest.raises(InputError, match=fault):
            find_teacher(*arguments)
    with pytest.raises(InputError, match="weights of another network than IR50"):
        load_teacher("ir50", weights)


def test_unreadable_crops_are_refused(data, weights, tmp_path):
    (tmp_path / "crop 0.png").write_bytes(b"")
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(tmp_path / "crop 1.png")
    with pytest.raises(InputError, match="2 of 3 refused"):
        embed_teacher(data, "mobilefacenet", weights)
    assert not (data / "teacher.scp").exists()
    embed_teacher(data, "mobilefacenet", weights, max_rejected=0.9)
    assert read_vectors(data / "teacher.scp")[0] == ["b/1/1"]
    reasons = (data / "teacher.rejected").read_text()
    assert "empty file" in reasons and "60 x 50 pixels, not 112" in reasons


def test_a_teacher_that_gives_no_numbers_is_noticed(data, weights, monkeypatch):
    monkeypatch.setattr(module, "_embed", lambda net, crops, **kw: np.full((len(crops), 4), np.nan, np.float32))
    with pytest.raises(InputError, match="zero or not finite"):
        embed_teacher(data, "mobilefacenet", weights)


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(5), 12)
    vectors = rng.normal(size=(5, 7))[label] * 3 + rng.normal(size=(60, 7)) * 2 + 10
    return (vectors * [1, 5, 0.1, 1, 1, 20, 1]).astype(np.float32), label


@pytest.mark.parametrize("decay", [1e-3, 1e-1])
def test_the_head_is_scikit_learns_logistic_regression(blobs, decay):
    vectors, label = blobs
    weight, bias = fit(vectors, label, 5, decay)
    mean, deviation = vectors.mean(0), vectors.std(0)
    theirs = LogisticRegression(C=1 / (len(label) * decay), tol=1e-8, max_iter=10_000).fit(
        (vectors - mean) / deviation, label
    )
    expected = theirs.decision_function((vectors - mean) / deviation)
    ours = vectors @ weight.numpy().T + bias.numpy()
    # logits are free up to a constant a row
    np.testing.assert_allclose(ours - ours.mean(1, keepdims=True), expected, atol=0.02 * np.abs(expected).max())
    assert accuracy(weight, bias, vectors, label) == theirs.score((vectors - mean) / deviation, label)


def test_a_constant_column_does_no_harm(blobs):
    vectors, label = blobs
    weight, bias = fit(np.column_stack([vectors, np.full(60, 3.0)]), label, 5)
    assert torch.isfinite(weight).all() and torch.isfinite(bias).all()


def test_the_head_of_a_directory(data, weights):
    embed_teacher(data, "mobilefacenet", weights)
    # a speaker without a face keeps his row, so that rows are the sorted speakers of utt2spk
    speakers = read_table(data / "utt2spk") | {"0/1/1": "0"}
    write_table(data / "utt2spk", speakers)
    fitted = fit_classifier(data)
    assert (fitted.speakers, fitted.embeddings, fitted.accuracy) == (3, 3, 1.0)
    head = load_classifier(fitted.path)
    assert head.labels == ["0", "a", "b"] and not head.weight.requires_grad
    keys, vectors = read_vectors(data / "teacher.scp")
    answers = head(torch.from_numpy(vectors)).argmax(1)
    assert [head.labels[k] for k in answers] == [speakers[key] for key in keys]
    before = fitted.path.stat().st_mtime_ns
    fit_classifier(data)
    assert fitted.path.stat().st_mtime_ns == before


def test_faults_of_the_head_are_named(data, weights, tmp_path):
    with pytest.raises(InputError, match="no teacher embeddings"):
        fit_classifier(data)
    embed_teacher(data, "mobilefacenet", weights)
    speakers = read_table(data / "utt2spk")
    for table, fault in (
        (dict.fromkeys(speakers, "a"), "fewer than two speakers"),
        ({key: name for key, name in speakers.items() if key != "b/1/1"}, "'b/1/1' of teacher.scp has no speaker"),
        (speakers | {"a/1/2": "b"}, "a and b share a face"),
    ):
        write_table(data / "utt2spk", table)
        with pytest.raises(InputError, match=fault):
            fit_classifier(data)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    for path, fault in (
        (tmp_path / "bad.safetensors", "not a teacher classifier"),
        (tmp_path / "none", "no such teacher classifier"),
    ):
        with pytest.raises(InputError, match=fault):
            load_classifier(path)


def test_the_verb(data, weights, capsys):
    with pytest.raises(SystemExit) as caught:
        run(["embed-teacher", str(data), "--teacher", "mobilefacenet", "--weights", str(weights), "--classifier"])
    out = capsys.readouterr().out
    assert (
        caught.value.code == 0
        and "3 in, 3 out" in out
        and "2 speakers, 3 embeddings, training accuracy 100.00 %" in out
    )
    for arguments, code, message in (
        (["embed-teacher", str(data)], 2, "missing option"),
        (["embed-teacher", str(data), "--teacher", "ir50"], 1, "needs weights"),
        (["embed-teacher", str(data), "--teacher", "ir50", "--precision", "half"], 1, "(given: 'half'), --precision"),
        (["embed-teacher", str(data.parent), "--teacher", "ir50"], 1, "no such table"),
    ):
        with pytest.raises(SystemExit) as caught:
            run(arguments)
        assert caught.value.code == code and message in capsys.readouterr().err


def test_several_teachers_stand_side_by_side_and_none_overwrites_another(data, weights, experiment, capsys):
    embed_teacher(data, "mobilefacenet", weights, precision="float32")
    before = (data / "teacher.ark").read_bytes()
    with pytest.raises(InputError, match=r"another teacher \(mobilefacenet.*--name"):
        embed_teacher(data, str(experiment))
    assert (data / "teacher.ark").read_bytes() == before
    embed_teacher(data, str(experiment), name="weak")
    assert (data / "teacher.ark").read_bytes() == before
    assert read_vectors(data / "teacher.weak.scp")[1].shape != read_vectors(data / "teacher.scp")[1].shape
    assert json.loads((data / "teacher.weak.json").read_text())["name"] == "resnet18"
    embed_teacher(data, str(experiment), replace=True)
    assert json.loads((data / "teacher.json").read_text())["name"] == "resnet18"
    with pytest.raises(InputError, match="cannot be the name"):
        embed_teacher(data, str(experiment), name="../x")
