"""Text teaches pictures: what the network sees, what teaches it, and that the published model classifies."""

import json

import numpy as np
import pytest
import torch

from speakerkd.corpora.image_store import store_images
from speakerkd.corpora.images import find_corpus
from speakerkd.data.images import read_images
from speakerkd.errors import InputError
from speakerkd.evaluation.images import image_figures, open_pictures
from speakerkd.models.trained_model import load_trained_model
from speakerkd.tasks.image import ImageSource, resolved_view
from speakerkd.teachers.text import embed_text
from speakerkd.teachers.text_table import TextTable, write_text_table
from speakerkd.training.build import build_parts, build_task
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loop import train

VIEW = {"size": 16, "crop": "padded", "test_crop": 1, "flip": False}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("digits") / "data"
    store_images(find_corpus(None, "digits"), directory)
    embed_text(directory, "ngrams")
    return directory


def experiment(directory, *objectives, **data):
    values = {
        "task": "image",
        "name": "small",
        "data": {"train": str(directory), "dev": None, "view": VIEW, **data},
        "student": {"name": "resnet8"},
        "loss": {"name": "softmax"},
        "teacher": {"archive": "teacher.npz"},
        "distill": list(objectives),
        "optim": {"name": "sgd", "lr": 0.05, "nesterov": False, "schedule": {"name": "cosine"}},
        "train": {"epochs": 1, "batch": 32, "compile": False, "precision": "fp32"},
    }
    return check_experiment(values, "test")


def source_of(directory, *objectives, **data) -> ImageSource:
    return build_task(experiment(directory, *objectives, **data)).source("cpu", strong=False)


def test_what_is_published_classifies_and_matches(digits, tmp_path):
    config = experiment(digits, {"name": "margin", "distance": "l2n", "margin": "0.3^2"}, dev="test")
    config.train.epochs = 3
    config.train.evaluate_every = 3
    summary = train(config, tmp_path / "exp")
    package = load_trained_model(tmp_path / "exp")
    figures = image_figures(package, *open_pictures(digits, "test", None), robustness=True)
    assert figures["top1"] > 80  # chance is 10
    assert figures["image_to_text_top1"] > 50
    assert figures["corrupted_top1"] < figures["top1"]
    assert package.labels[:3] == ["zero", "one", "two"]
    assert package.teacher.name == "ngrams"
    # the loop's own figure after the last epoch is that of the published network
    assert summary["figures"]["top1"] == pytest.approx(figures["top1"], abs=0.6)
    description = json.loads((tmp_path / "exp" / "model.json").read_text())
    assert description["student"]["classes"] == 10
    assert description["frontend"]["mean"] == pytest.approx(read_images(digits).mean.tolist())


def test_every_sample_is_taught_by_its_own_class_in_a_prompt_drawn_anew(digits):
    source = source_of(digits, {"name": "margin"})
    table = np.load(digits / "teacher.npz")["embeddings"]
    index = np.zeros(400, np.int64) + 7
    draws = np.random.default_rng(0).random((400, source.draws))
    vectors = source.teacher(index, draws).numpy()
    rows = table[source.labels[7]]
    drawn = [int(np.flatnonzero((rows == row).all(1))[0]) for row in vectors]
    assert len(set(drawn)) > 70  # of 80 prompts in 400 draws


def test_prompts_may_be_named(digits):
    source = source_of(digits, {"name": "margin"}, prompts="photo")
    assert source._table.shape == (10, 1, 512)
    with pytest.raises(InputError, match="did you mean 'imagenet_80'"):
        source_of(digits, {"name": "margin"}, prompts="imagenet80")


def test_a_fraction_is_a_share_of_every_class(digits):
    whole, quarter = source_of(digits), source_of(digits, fraction=0.25)
    expected = np.round(np.bincount(whole.labels) * 0.25)
    assert np.bincount(quarter.labels).tolist() == expected.tolist()
    assert set(quarter.keys) < set(whole.keys)


@pytest.mark.parametrize(
    "statistics", [{"mean": [78, 78, 78], "std": [95, 95, 95]}, {"mean": [0, 0, 0], "std": [1, 1, 1]}]
)
def test_wrong_normalisation_is_noticed_on_the_first_batches(digits, tmp_path, statistics):
    config = experiment(digits, view={**VIEW, **statistics})
    with pytest.raises(InputError, match=r"near 0 and 1.*leave them out \(the pictures have mean \[0.30"):
        train(config, tmp_path / "exp")


def test_imagenets_statistics_on_like_pictures_are_let_pass(digits):
    view = experiment(digits, view={**VIEW, "mean": [0.3, 0.32, 0.28], "std": [0.4, 0.35, 0.38]}).data.view
    pictures = read_images(digits)
    source = ImageSource(pictures, np.arange(len(pictures)), resolved_view(view, pictures), None)
    for start in range(0, 600, 100):
        raw = source.student(np.arange(start, start + 100), None)
        source.view(raw, torch.rand(100, source.draws))
    assert source._seen >= source.checked


def test_a_table_of_another_width_is_refused_where_the_method_has_no_head(digits, tmp_path):
    classes = (digits / "classes.txt").read_text().splitlines()
    path = tmp_path / "narrow.npz"
    write_text_table(path, TextTable(classes, ["{}"], np.random.default_rng(0).normal(size=(10, 1, 48)).astype("f4")))
    config = experiment(digits, {"name": "clip"})
    config.teacher.archive = str(path)
    with pytest.raises(InputError, match="48"):
        build_parts(config)
    config = experiment(digits, {"name": "margin"})  # its head brings 48 to the student's size
    config.teacher.archive = str(path)
    assert build_parts(config).teacher.dim == 48


def test_a_class_that_the_table_lacks(digits, tmp_path):
    path = tmp_path / "rows.npz"
    np.savez(
        path,
        embeddings=np.ones((10, 4)),
        classes=["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nein"],
    )
    config = experiment(digits, {"name": "margin"})
    config.teacher.archive = str(path)
    with pytest.raises(InputError, match="no 'nine'.*rows.npz"):
        build_parts(config)


def test_without_a_teacher_nothing_is_read_of_one(digits):
    config = experiment(digits)
    config.teacher.archive = "absent.npz"
    assert build_parts(config).teacher is None
    config = experiment(digits, {"name": "margin"})
    config.teacher.archive = "absent.npz"
    with pytest.raises(InputError, match=r"no such text table.*speakerkd embed-text"):
        build_parts(config)


@pytest.mark.parametrize(
    "objective",
    [
        {"name": "margin", "distance": "l2n", "margin": "0.3^2"},
        {"name": "margin", "distance": "l2n", "margin": "0.3^2", "quality": {"source": "student"}},
        {"name": "classifier", "beta": 1},
        {"name": "fitnet"},
        {"name": "sp"},
        {"name": "ickd"},
        {"name": "pkt"},
        {"name": "ccl", "temperature": 0.1},
        {"name": "clip"},
    ],
    ids=lambda objective: objective["name"] + ("_quality" if "quality" in objective else ""),
)
def test_every_objective_of_the_paper_teaches_this_pair(digits, tmp_path, objective):
    table = np.random.default_rng(0).normal(size=(10, 4, 64)).astype(np.float32)  # of the student's size
    classes = (digits / "classes.txt").read_text().splitlines()
    write_text_table(tmp_path / "table.npz", TextTable(classes, [f"{i} {{}}" for i in range(4)], table))
    config = experiment(digits, objective, fraction=0.1)
    config.teacher.archive = str(tmp_path / "table.npz")
    config.train.epochs = 0.5
    train(config, tmp_path / "exp")
    rows = [json.loads(line) for line in (tmp_path / "exp" / "log.jsonl").read_text().splitlines()]
    terms = [row["terms"] for row in rows if "terms" in row]
    assert sum(value for name, value in terms[-1].items() if name.startswith(objective["name"])) > 0
    assert load_trained_model(tmp_path / "exp").labels == classes


def test_tasks_that_do_not_fit_pictures(digits):
    config = experiment(digits)
    config.loss = {"name": "aam"}
    with pytest.raises(InputError, match="set it to softmax"):
        build_task(config)
    with pytest.raises(InputError, match="not an image directory"):
        build_task(experiment(digits.parent))
