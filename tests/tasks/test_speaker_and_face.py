"""If these fail, a face network cannot be trained, or methods that run the teacher along see the wrong faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from feature_corpus import make_corpus, small
from PIL import Image
from safetensors.torch import save_file

from speakerkd.data.datadir import read_table, write_table
from speakerkd.distill.quality import Quality
from speakerkd.errors import InputError
from speakerkd.models.trained_model import load_trained_model
from speakerkd.teachers.classifier import fit_classifier
from speakerkd.training.build import build_parts
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loop import train
from speakerkd.training.processes import join_processes
from speakerkd.training.trainer import Trainer


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """A feature_corpus with one face a video: each speaker's pictures have a colour of their own."""
    directory = make_corpus(tmp_path_factory.mktemp("faces") / "train", speakers=4, utterances=6)
    rng = np.random.default_rng(0)
    colour = {f"id{s:03d}": rng.integers(60, 200, (1, 1, 3)) for s in range(4)}
    aligned = {}
    for key, speaker in read_table(directory / "utt2spk").items():
        path = directory / f"{Path(key).parent.as_posix().replace('/', '_')}.png"
        if not path.exists():
            noise = rng.integers(-20, 20, (112, 112, 3))
            Image.fromarray((colour[speaker] + noise).astype(np.uint8)).save(path)
        aligned[key] = str(path)
    write_table(directory / "aligned.scp", aligned)
    return directory


FACE = {
    "task": "face",
    "student": {"name": "resnet18", "width": 0.03, "embedding": 8},
    "loss": {"name": "aam"},
    "distill": [],
    "train__utterances": 1,
    "train__speakers": 4,
    "optim__lr": 0.02,
}


def test_a_face_network_learns_the_corpus_faces_and_teaches(faces, tmp_path):
    experiment = check_experiment(small(faces, **FACE, train__epochs=12, data__dev=str(faces)), "test")
    summary = train(experiment, tmp_path / "exp" / "face")
    assert summary["samples"] == 12  # one sample a picture, not an utterance
    assert summary["figures"]["eer"] < 25
    assert not (tmp_path / "exp" / "latest").exists()  # `match` wants a voice model
    package = load_trained_model(tmp_path / "exp" / "face")
    assert package.embed(torch.zeros(2, 112, 112, 3, dtype=torch.uint8)).shape == (2, 8)


@pytest.mark.parametrize("network", [{}, FACE], ids=["voices", "faces"])
def test_half_of_the_speakers_are_the_classes_that_half_of_the_speakers_make(faces, network):
    """Of four speakers with six utterances and three pictures each."""
    half = small(faces, **{**network, "train__speakers": 2}, data__fraction=0.5)
    source = build_parts(check_experiment(half, "test"), "cpu").source
    assert (len(source.names), len(source.labels)) == (4, 8 if network else 12)
    half["data"]["fraction_of"] = "speakers"
    source = build_parts(check_experiment(half, "test"), "cpu").source
    assert len(source.names) == 2 and len(source.labels) == (6 if network else 12)
    assert sorted(set(source.labels.tolist())) == [0, 1]


def test_a_face_student_is_taught_by_cached_embeddings(faces, tmp_path):
    experiment = check_experiment(small(faces, **{**FACE, "distill": [{"name": "margin"}]}, train__epochs=1), "test")
    parts = build_parts(experiment)
    assert parts.source.paired is None
    assert parts.source.teacher(np.array([0, 3]), np.zeros((2, 4))).shape == (2, 8)
    assert train(experiment, tmp_path / "run")["step"] == 3


def test_teacher_logits_follow_the_order_of_the_classes(faces, tmp_path):
    fit_classifier(faces)
    head = {"teacher__classifier": "teacher_classifier.safetensors", "distill": [{"name": "kd"}]}
    parts = build_parts(check_experiment(small(faces, **head), "test"))
    index = np.arange(len(parts.source.labels))
    logits = parts.teacher(parts.source.teacher(index, np.zeros((len(index), 9)))).logits
    assert (logits.argmax(1).numpy() == parts.source.labels).all()
    other = make_corpus(tmp_path / "other", speakers=5)
    with pytest.raises(InputError, match=r"does not know 1 of the 5 classes \('id004'\)"):
        build_parts(
            check_experiment(
                small(other, **{**head, "teacher__classifier": str(faces / head["teacher__classifier"])}), "t"
            )
        )


def test_an_online_teacher_sees_the_faces_of_the_utterances(faces, tmp_path):
    experiment = check_experiment(small(faces, **FACE, train__epochs=1), "test")
    train(experiment, tmp_path / "face")
    online = {
        "teacher": {"online": True, "name": str(tmp_path / "face")},
        "student__name": "resnet34",
        "student__width": 0.05,
        "distill": [{"name": "margin"}, {"name": "ickd"}],  # ickd compares channels of maps
    }
    experiment = check_experiment(small(faces, **online), "test")
    parts = build_parts(experiment)
    crops = np.stack([np.asarray(Image.open(read_table(faces / "aligned.scp")[k])) for k in parts.source.keys[:3]])
    assert (parts.source.teacher(np.arange(3), np.zeros((3, 9))).numpy() == crops).all()
    with join_processes(experiment.train) as accelerator:
        trainer = Trainer(parts, accelerator)
        trainer.train_mode()
        before = {k: v.clone() for k, v in parts.teacher.state_dict().items()}
        loader = trainer.open_loader()
        terms, share = trainer.take_step(loader)
        loader.close()
    assert share == 1 and {"margin", "ickd"} <= terms.keys()
    assert all(torch.equal(v, before[k]) for k, v in parts.teacher.state_dict().items())  # frozen, BatchNorm too


def test_two_networks_are_trained_and_published_together(faces, tmp_path):
    both = {
        "teacher": {"online": True, "trainable": True, "name": "resnet18", "width": 0.03},
        "student__name": "resnet34",
        "student__width": 0.05,
        "distill": [{"name": "disentangled"}],
    }
    experiment = check_experiment(small(faces, **both, train__epochs=1), "test")
    before = build_parts(experiment).teacher.state_dict()
    train(experiment, tmp_path / "run")
    voice, face = load_trained_model(tmp_path / "run"), load_trained_model(tmp_path / "run" / "teacher")
    assert voice.task == "speaker" and face.task == "face"
    assert voice.dim == face.dim == 8
    trained = face.student.state_dict()
    assert not torch.equal(trained["projection.0.weight"], before["network.projection.0.weight"])
    # each part apart: the same encoders, and of the classifier what stands on that part
    assert voice.teacher.weights == str((tmp_path / "run/teacher").absolute())
    x = torch.randn(2, 80, voice.settings.mels)
    whole, outputs = voice.outputs(x), []
    for number, part in enumerate(("inv", "inf")):
        alone = load_trained_model(tmp_path / "run" / part)
        outputs.append(alone.outputs(x))
        assert torch.allclose(outputs[-1].embedding, whole.parts[number], atol=1e-5)
        assert alone.teacher.weights == str((tmp_path / "run/teacher" / part).absolute())
        # by which matching finds that network's embeddings among those of several teachers
        network = load_trained_model(tmp_path / "run/teacher" / part)
        assert alone.teacher.digest == network.digest != voice.teacher.digest
        assert network.dim == alone.dim == 4
    total = outputs[0].logits + outputs[1].logits - voice.student.classifier.bias
    assert torch.allclose(total, whole.logits, atol=1e-5)
    with pytest.raises(InputError, match=r"set teacher\.online and teacher\.trainable"):
        train(check_experiment(small(faces, distill=[{"name": "disentangled"}]), "test"), tmp_path / "other")


def test_a_recording_without_a_face_trains_the_voice_alone(faces, tmp_path):
    """The face network sees the faces that there are and no black picture; the voice's terms are of all recordings."""
    import shutil

    some = tmp_path / "some"
    shutil.copytree(faces, some)
    aligned = read_table(some / "aligned.scp")
    speakers = read_table(some / "utt2spk")
    write_table(
        some / "aligned.scp", {key: path for key, path in aligned.items() if speakers[key] in ("id000", "id001")}
    )
    both = {"teacher": {"online": True, "trainable": True, "name": "resnet18", "width": 0.03}}
    both |= {"student__name": "resnet34", "student__width": 0.05, "distill": [{"name": "disentangled"}]}
    parts = build_parts(check_experiment(small(some, **both), "test"))
    assert parts.source.paired.sum() == len(parts.source.keys) // 2
    seen = []
    parts.teacher.network.register_forward_hook(lambda module, arguments, output: seen.append(len(arguments[0])))
    losses = []
    objective = parts.objectives.objectives["disentangled"]
    objective.losses = lambda *networks, inner=objective.losses: losses.append(networks) or inner(*networks)
    with join_processes(parts.experiment.train) as accelerator:
        trainer = Trainer(parts, accelerator)
        trainer.train_mode()
        loader = trainer.open_loader()
        batch = next(loader)
        loader.close()
        result = trainer.losses(batch)
        with_face = int(parts.source.paired[batch.index.numpy()].sum())
        assert 0 < with_face < len(batch.label) and seen == [with_face]
        voice, face = losses[0]
        assert len(voice.label) == len(batch.label) and face.label.tolist() == batch.label[batch.taught].tolist()
        assert torch.isfinite(result.total)
        batch.taught = batch.taught[:1]  # one face alone says nothing of its kind
        result = trainer.losses(batch)
        result.total.backward()
        assert len(losses[1]) == 1 and seen == [with_face]
        assert all(p.grad is None for p in parts.teacher.parameters())
    both["distill"].append({"name": "margin"})
    with pytest.raises(InputError, match="margin compares two networks sample by sample"):
        build_parts(check_experiment(small(some, **both), "test"))


def test_logits_on_two_views(faces, tmp_path):
    fit_classifier(faces)
    views = {"teacher__classifier": "teacher_classifier.safetensors", "distill": [{"name": "mlkd"}], "train__epochs": 1}
    assert train(check_experiment(small(faces, **views), "test"), tmp_path / "run")["step"] > 0


def test_foreign_weights_start_a_face_student(faces, tmp_path):
    from speakerkd.models.face import FaceSettings, build_face

    first = build_face(FaceSettings(name="resnet18", width=0.03, embedding=8))
    save_file(first.state_dict(), tmp_path / "face.safetensors")
    values = {**FACE, "student": {**FACE["student"], "weights": str(tmp_path / "face.safetensors")}}
    parts = build_parts(check_experiment(small(faces, **values), "test"))
    assert parts.student.training
    assert all(torch.equal(v, parts.student.state_dict()[k]) for k, v in first.state_dict().items())


def test_objectives_weigh_by_what_was_measured_of_each_face(faces, tmp_path):
    directory = make_corpus(tmp_path / "train", speakers=4, utterances=6)
    keys = sorted(read_table(directory / "utt2spk"))
    weighed = {"distill": [{"name": "margin", "quality": {"source": "size"}}], "train__epochs": 1}
    with pytest.raises(InputError, match=r"no quality of the faces \(size\)"):
        build_parts(check_experiment(small(directory, **weighed), "test"))
    write_table(directory / "face_quality", {key: f"0.99 {40 + n} {n}" for n, key in enumerate(keys[:-1])})
    parts = build_parts(check_experiment(small(directory, **weighed), "test"))
    (quality,) = [module for module in parts.objectives.modules() if isinstance(module, Quality)]
    rows = [keys.index(key) for key in parts.source.keys]
    expected = [40.0 + n if n < len(keys) - 1 else float("nan") for n in rows]
    np.testing.assert_array_equal(quality.measured.numpy(), np.array(expected, np.float32))
    assert train(parts.experiment, tmp_path / "run")["step"] > 0
    write_table(directory / "face_quality", {keys[0]: "0.99 40"})
    with pytest.raises(InputError, match="is no quality"):
        build_parts(check_experiment(small(directory, **weighed), "test"))
