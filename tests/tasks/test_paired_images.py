"""A clean sensor teaches a poor one: both see the same scene under the same crop, and the teacher is the one named."""

import json

import numpy as np
import pytest
import torch

from speakerkd.corpora.image_corpus import ImageCorpus, Split
from speakerkd.corpora.image_store import store_images
from speakerkd.corpora.images import find_corpus
from speakerkd.errors import InputError
from speakerkd.evaluation.images import image_figures, open_pictures
from speakerkd.frontend.images import network_input
from speakerkd.models.trained_model import load_trained_model
from speakerkd.training.build import build_parts, build_task
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loader import Loader
from speakerkd.training.loop import train

VIEW = {"size": 16, "crop": "padded", "test_crop": 1, "flip": False}
STILL = {"size": 16, "crop": "none", "test_crop": 1, "flip": False}
NOISE = {"name": "salt_pepper", "amount": 0.2}
# the second paper's twelve rivals and its own method
METHODS = ["kd", "alkd", "fitnet", "at", "afkd", "nst", "vid", "crd", "semckd", "rkd", "fsp", "cc", "dimensional"]


def settings(task, directory, *objectives, view=VIEW, student="resnet8", teacher=None, **data):
    return check_experiment(
        {
            "task": task,
            "name": "small",
            "data": {"train": str(directory), "dev": None, "view": view, **data},
            "student": {"name": student},
            "loss": {"name": "softmax"},
            "teacher": teacher or {},
            "distill": list(objectives),
            "optim": {"name": "sgd", "lr": 0.05, "nesterov": False, "schedule": {"name": "cosine"}},
            "train": {"epochs": 1, "batch": 32, "compile": False, "precision": "fp32"},
        },
        "test",
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("digits") / "data"
    store_images(find_corpus(None, "digits"), directory)
    return directory


@pytest.fixture(scope="module")
def teacher(digits, tmp_path_factory):
    """A network of other widths than the students', trained a little on the clean pictures."""
    folder = tmp_path_factory.mktemp("teacher") / "exp"
    experiment = settings("image", digits, student="wrn_16_1")
    experiment.train.epochs = 2
    train(experiment, folder)
    return folder


def pair(digits, teacher, *objectives, online=True, view=VIEW, **data):
    noisy = {**view, "degrade": NOISE}
    options = {"weights": str(teacher), "online": online}
    return settings("paired_images", digits, *objectives, view=noisy, teacher=options, **data)


def batch_of(experiment, number=0):
    parts = build_parts(experiment)
    loader = Loader(parts.source, parts.sampler, experiment.seed, torch.device("cpu"), online=True)
    loader.close()
    return parts, loader.make(number)


def test_the_teacher_sees_the_same_crop_of_the_clean_picture(digits, teacher):
    experiment = pair(digits, teacher, {"name": "kd"})
    experiment.data.view.degrade.amount = 0.0  # then the two differ in nothing
    parts, batch = batch_of(experiment)
    mine, _ = parts.source.view(batch.student, batch.draws)
    its, _ = parts.source.teacher_view(batch.teacher, batch.draws)
    assert torch.allclose(mine, its, atol=1e-6)
    parts, batch = batch_of(pair(digits, teacher, {"name": "kd"}))
    noisy, _ = parts.source.view(batch.student, batch.draws)
    assert torch.equal(parts.source.teacher_view(batch.teacher, batch.draws)[0], its)
    hit = ((noisy - its).abs() > 1e-3).any(1).float().mean().item()
    assert 0.1 < hit < 0.4  # the fifth that is hit, less what was black or white before, more what resizing smears


def test_damage_is_the_same_for_the_same_seed_pass_and_key_in_any_batch(digits, teacher):
    def views(size, number):
        experiment = pair(digits, teacher, {"name": "kd"})
        experiment.train.batch = size
        parts, batch = batch_of(experiment, number)
        seen, _ = parts.source.view(batch.student, batch.draws)
        return dict(zip(batch.index.tolist(), seen, strict=True))

    whole, small = views(512, 0), views(64, 1)
    common = whole.keys() & small.keys()
    assert len(common) == 64
    assert all(torch.equal(whole[i], small[i]) for i in common)
    later = views(2048, 1)  # the second pass
    assert not any(torch.equal(whole[i], later[i]) for i in common)


def test_a_fixed_draw_is_that_of_every_pass(digits, teacher):
    experiment = pair(digits, teacher, {"name": "kd"}, view=STILL)
    experiment.data.view.degrade.fixed = True
    experiment.train.batch = 2048
    (parts, first), (_, second) = batch_of(experiment, 0), batch_of(experiment, 1)
    seen = [dict(zip(b.index.tolist(), parts.source.view(b.student, b.draws)[0], strict=True)) for b in (first, second)]
    assert all(torch.equal(seen[0][i], seen[1][i]) for i in range(50))


def test_outputs_computed_once_are_those_of_the_teacher_running_along(digits, teacher):
    objective = {"name": "at", "weight": 100}
    outputs = []
    for online in (True, False):
        parts, batch = batch_of(pair(digits, teacher, objective, online=online, view=STILL))
        view, _ = parts.source.teacher_view(batch.teacher, batch.draws)
        outputs.append(parts.teacher(view, maps=True))
    running, stored = outputs
    assert torch.allclose(running.embedding, stored.embedding, atol=1e-5)
    assert torch.allclose(running.logits, stored.logits, atol=1e-4)
    for a, b in zip(running.maps, stored.maps, strict=True):
        assert torch.allclose(a, b, atol=2e-2, rtol=2e-3)  # kept in 16 bits
    folders = list((digits / "train").glob("teacher_*"))
    before = [(f / "embedding.npy").stat().st_mtime_ns for f in folders]
    build_parts(pair(digits, teacher, {"name": "kd"}, online=False, view=STILL))  # another method: read, not made anew
    assert [(f / "embedding.npy").stat().st_mtime_ns for f in (digits / "train").glob("teacher_*")] == before


@pytest.mark.parametrize("name", [*METHODS, "mlkd", "sp", "ickd", "simkd", "dkd", "pkt"])
def test_every_method_teaches_a_pair_with_maps_of_another_size(digits, teacher, tmp_path, name):
    experiment = pair(digits, teacher, {"name": name}, fraction=0.1)
    if name == "fsp":
        experiment.student.stem_map = True
    experiment.train.epochs = experiment.train.steps_per_epoch = 1
    train(experiment, tmp_path / "exp")
    rows = [json.loads(line) for line in (tmp_path / "exp" / "log.jsonl").read_text().splitlines()]
    terms = [row["terms"] for row in rows if "terms" in row][-1]
    own = {k: v for k, v in terms.items() if k not in ("softmax", "accuracy", "loss", "gradient")}
    assert own and all(np.isfinite(v) for v in own.values())
    package = load_trained_model(tmp_path / "exp")
    assert package.frontend["degrade"]["amount"] == 0.2
    assert package.teacher.weights == str(teacher)


def test_methods_combine(digits, teacher):
    parts = build_parts(pair(digits, teacher, {"name": "kd"}, {"name": "dimensional"}))
    assert len(parts.objectives) == 2


def test_what_is_published_is_evaluated_on_damaged_pictures_the_same_each_time(digits, teacher, tmp_path):
    experiment = pair(digits, teacher, {"name": "kd"}, dev="test")
    experiment.train.epochs = experiment.train.evaluate_every = 3
    summary = train(experiment, tmp_path / "exp")
    package = load_trained_model(tmp_path / "exp")
    figures = image_figures(package, *open_pictures(digits, "test", None))
    assert figures == image_figures(package, *open_pictures(digits, "test", None))
    assert summary["figures"]["top1"] == pytest.approx(figures["top1"], abs=0.6)
    clean = load_trained_model(teacher)
    assert figures["top1"] < image_figures(clean, *open_pictures(digits, "test", None))["top1"] + 3
    pictures, _ = open_pictures(digits, "test", None)
    view = experiment.data.view.model_copy(update={"mean": (0.3,) * 3, "std": (0.4,) * 3})
    rows = np.arange(6)
    seen = network_input(torch.from_numpy(pictures.read(rows)), view, pictures.keys[:6])
    turned = network_input(torch.from_numpy(pictures.read(rows[::-1].copy())), view, pictures.keys[5::-1])
    assert torch.equal(seen, turned.flip(0))


def test_two_sensors_of_other_channels(tmp_path):
    """The poor sensor has 2 channels, the clean one 3; the teacher is trained on the folder of the second."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", 64), ("test", 16)):
        clean = rng.integers(0, 256, (count, 16, 16, 3), np.uint8)
        clean[::2] //= 4
        labels = [i % 2 for i in range(count)]
        poor = rng.normal(size=(count, 16, 16, 2)).astype(np.float32) + clean.mean((1, 2, 3))[:, None, None, None] / 60
        splits[name] = Split([f"{name}/{i}" for i in range(count)], labels, [], poor, [], clean)
    store_images(ImageCorpus("made", ["dark", "light"], splits), tmp_path / "data")
    own = settings("image", tmp_path / "data" / "paired")
    train(own, tmp_path / "teacher")
    options = {"weights": str(tmp_path / "teacher"), "online": True}
    experiment = settings("paired_images", tmp_path / "data", {"name": "at"}, {"name": "mlkd"}, teacher=options)
    train(experiment, tmp_path / "exp")
    assert load_trained_model(tmp_path / "exp").settings.channels == 2
    noisy, options = {**VIEW, "degrade": NOISE}, {"weights": str(tmp_path / "exp"), "online": True}
    wrong = settings("paired_images", tmp_path / "data" / "paired", {"name": "kd"}, view=noisy, teacher=options)
    with pytest.raises(InputError, match="the teacher sees 2 channels, its pictures here have 3"):
        build_task(wrong)


@pytest.mark.parametrize("sees", ["second", "both"])
def test_a_student_of_either_sensor_learns_from_the_other_or_from_both(tmp_path, sees):
    """Cross-modal and multi-modal: which pictures reach whom follows from `view.sensor` of the two."""
    rng = np.random.default_rng(0)
    labels = [i % 2 for i in range(40)]
    poor = rng.normal(size=(40, 16, 16, 2)).astype(np.float32)
    rich = rng.integers(0, 256, (40, 16, 16, 3), np.uint8)
    splits = {"train": Split([f"{i}" for i in range(40)], labels, [], poor, [], rich)}
    store_images(ImageCorpus("made", ["a", "b"], splits), tmp_path / "data")
    own = settings("image", tmp_path / "data", view={**STILL, "sensor": sees})
    train(own, tmp_path / "teacher")
    seen = load_trained_model(tmp_path / "teacher").settings
    assert (seen.channels, seen.sensors) == ((3, []) if sees == "second" else (5, [2, 3]))
    options = {"weights": str(tmp_path / "teacher"), "online": True}
    for sensor, channels in (("first", 2), ("second", 3)):
        if (sees, sensor) == ("second", "second"):
            continue
        view = {**STILL, "sensor": sensor}
        parts, batch = batch_of(
            settings("paired_images", tmp_path / "data", {"name": "kd"}, view=view, teacher=options)
        )
        rows = batch.index.numpy()
        assert np.array_equal(batch.student.numpy(), (poor if sensor == "first" else rich)[rows])
        expected = rich[rows] if sees == "second" else np.concatenate([poor[rows], rich[rows] / 255], 3)
        assert np.allclose(batch.teacher.numpy(), expected)
        assert parts.task.example().shape[1] == channels
    both = settings(
        "paired_images", tmp_path / "data", {"name": "kd"}, view={**STILL, "sensor": "both"}, teacher=options
    )
    with pytest.raises(InputError, match="give a student first or second"):
        build_task(both)


def test_teachers_that_do_not_fit(digits, teacher, tmp_path):
    unnamed = pair(digits, teacher, {"name": "kd"})
    unnamed.teacher.weights = None
    with pytest.raises(InputError, match=r"no teacher is named.*task: image"):
        build_task(unnamed)
    description = json.loads((teacher / "model.json").read_text())
    for number in range(3):
        description["labels"][number] = f"other {number}"
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.json").write_text(json.dumps(description))
    (other / "model.safetensors").write_bytes((teacher / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="a teacher of 10 classes for a student of 10, and lacks 'zero' and 2 more"):
        build_task(pair(digits, other, {"name": "kd"}))


def test_a_teacher_whose_classes_stand_in_another_order(digits, teacher, tmp_path):
    description = json.loads((teacher / "model.json").read_text())
    description["labels"] = description["labels"][::-1]
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.json").write_text(json.dumps(description))
    (other / "model.safetensors").write_bytes((teacher / "model.safetensors").read_bytes())
    x = torch.randn(2, 3, 16, 16)
    networks = [build_task(pair(digits, folder, {"name": "kd"})).image_teacher.network for folder in (teacher, other)]
    plain, turned = (network(x).logits for network in networks)
    assert torch.allclose(plain, turned.flip(1))


def test_settings_that_contradict_each_other(digits, teacher):
    with pytest.raises(InputError, match=r"the views are augmented.*teacher.online"):
        build_task(pair(digits, teacher, {"name": "kd"}, online=False))
    same = settings("paired_images", digits, {"name": "kd"}, teacher={"weights": str(teacher), "online": True})
    with pytest.raises(InputError, match=r"the student sees what the teacher sees.*data.view.degrade"):
        build_task(same)
    small = pair(digits, teacher, {"name": "semckd"})
    small.train.batch = 3
    with pytest.raises(InputError, match="semckd cannot attend over a batch of 3"):
        build_parts(small)
