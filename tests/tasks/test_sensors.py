"""Sensors that learn together: each modality's network is trained on its own pictures, chosen by its own figure."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from speakerkd.corpora.image_corpus import ImageCorpus, Split
from speakerkd.corpora.image_store import store_images
from speakerkd.data.images import read_pair, read_sensor
from speakerkd.errors import InputError
from speakerkd.evaluation.images import classify_split
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.trained_model import load_trained_model
from speakerkd.training.build import build_parts, build_task
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loader import Loader
from speakerkd.training.loop import train

CLASSES, SIDE = 3, 8


def pictures(seed, count=30):
    """Colour pictures whose class is their brightness, and a second sensor's of one channel and 16 bits."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    base = rng.integers(0, 60, (count, SIDE, SIDE, 3)) + 80 * labels[:, None, None, None]
    other = (rng.integers(0, 9000, (count, SIDE, SIDE, 1)) + 20000 * labels[:, None, None, None]).astype(np.uint16)
    keys = [f"{seed}/{n:03d}" for n in range(count)]
    return Split(keys, labels.tolist(), [], base.astype(np.uint8), [], other)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensors") / "data"
    splits = {"train": pictures(1), "val": pictures(2, 12), "test": pictures(3, 12)}
    store_images(ImageCorpus("made", ["dark", "grey", "light"], splits), folder)
    return folder


def settings(directory, *, objective=None, student=None, data=None, train=None, teacher=None):
    view = {"size": SIDE, "crop": "none", "test_crop": 1, "flip": True, "turn": True}
    places = directory if isinstance(directory, list) else str(directory)
    return check_experiment(
        {
            "task": "sensors",
            "name": "small",
            "data": {
                "train": places,
                "view": view,
                **(data or {}),
            },
            "student": {"name": "resnet18", "width": 0.07, **(student or {})},
            "loss": {"name": "softmax"},
            "teacher": teacher or {},
            "distill": [{"name": "disentangled", **(objective or {})}],
            "optim": {"lr": 0.003, "weight_decay": 0},
            "train": {"epochs": 2, "batch": 10, "compile": False, "precision": "fp32", **(train or {})},
        },
        "test",
    )


def batch_of(parts, number=0):
    loader = Loader(parts.source, parts.sampler, 1, torch.device("cpu"), online=True)
    loader.close()
    return loader.make(number)


def test_two_networks_are_trained_published_and_scored_each_by_its_own_pictures(directory, tmp_path):
    experiment = settings(directory, data={"names": ["colour", "depth"]}, train={"epochs": 6, "publish": "best"})
    summary = train(experiment, tmp_path / "run")
    assert {"f1_weighted_colour", "f1_weighted_depth", "f1_weighted"} <= summary["figures"].keys()
    mean = (summary["figures"]["f1_weighted_colour"] + summary["figures"]["f1_weighted_depth"]) / 2
    assert summary["figures"]["f1_weighted"] == pytest.approx(mean, rel=1e-4)
    for name, sensor, channels in (("colour", "first", 3), ("depth", "second", 1)):
        package = load_trained_model(tmp_path / "run" / name)
        assert package.settings.channels == channels and package.frontend["sensor"] == sensor
        assert not classify_split(tmp_path / "run" / name, directory, "test")
        figures = json.loads((tmp_path / "run" / name / "results.json").read_text())["classify"]["test"]["figures"]
        test = read_sensor(directory, "test", sensor)
        scale = 255 if sensor == "first" else 65535
        view = torch.from_numpy(test.read(np.arange(len(test))).astype(np.float32) / scale).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(package.frontend[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
        predicted = package.outputs((view - mean) / std).logits.argmax(1)
        expected = 100 * f1_score(test.labels, predicted, average="weighted", zero_division=0)
        assert figures["f1_weighted"] == pytest.approx(expected)
    assert figures["f1_weighted"] > 50  # chance is 33


def test_each_modality_has_the_weights_of_its_own_best_epoch(directory, tmp_path):
    experiment = settings(directory, train={"epochs": 5, "publish": "best", "keep_last": 5})
    train(experiment, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    figures = {row["step"]: row["evaluation"] for row in rows if "evaluation" in row}
    from safetensors.torch import load_file

    for name, front in (("first", "student."), ("second", "teacher.network.branches.0.")):
        best = max(figures, key=lambda step, name=name: (figures[step][f"f1_weighted_{name}"], step))
        stored = load_file(tmp_path / f"run/checkpoints/step-{best}/weights.safetensors")
        published = load_file(tmp_path / f"run/{name}/model.safetensors")
        key = "invariant.conv1.weight"
        assert torch.equal(published[f"student.{key}"], stored[front + key])


def test_paired_batches_show_the_same_scene_in_the_same_view(directory):
    parts = build_parts(settings(directory, data={"paired": True}))
    batch = batch_of(parts)
    first, second = read_pair(directory, "train")
    rows = batch.index.numpy()
    assert np.array_equal(batch.student.numpy(), first.read(rows))
    assert np.array_equal(batch.teacher[:, 0].numpy(), second.read(rows))
    assert batch.teacher_label is None
    # a second sensor that sees what the first does is turned and mirrored as it is
    source = parts.source
    x, _ = source.view(batch.student[..., :1].expand(-1, -1, -1, 3), batch.draws)
    source._views[1] = source._views[0].model_copy(update={"mean": (0.5,), "std": (0.5,)})
    y, _ = source.teacher_view(batch.student[:, None, :, :, :1], batch.draws)
    mean, std = source._views[0].mean[0], source._views[0].std[0]
    assert torch.allclose(x[:, :1] * std + mean, y * 0.5 + 0.5, atol=1e-5)


def test_independent_batches_go_through_each_modality_once_a_pass(directory):
    parts = build_parts(settings(directory))
    _, second = read_pair(directory, "train")
    seen, labels = [], []
    for number in range(3):  # a pass: 30 pictures, 10 a batch
        batch = batch_of(parts, number)
        seen += [picture.tobytes() for picture in batch.teacher[:, 0].numpy()]
        labels += batch.teacher_label.tolist()
        assert not torch.equal(batch.teacher_label, batch.label)
    every = zip(second.read(np.arange(30)), second.labels, strict=True)
    of = {picture.tobytes(): int(label) for picture, label in every}
    assert len(set(seen)) == 30 and labels == [of[picture] for picture in seen]


def test_three_modalities_of_different_counts_learn_together(directory, tmp_path):
    splits = {name: pictures(seed, count) for name, seed, count in (("train", 4, 45), ("val", 5, 9))}
    store_images(ImageCorpus("made", ["dark", "grey", "light"], splits), tmp_path / "thermal")
    places = [str(directory), str(directory / "paired"), str(tmp_path / "thermal" / "paired")]
    experiment = settings(places, data={"names": ["rgb", "depth", "thermal"]}, train={"epochs": 1})
    parts = build_parts(experiment)
    objective = parts.objectives.objectives["disentangled"]
    assert objective.of_inv.out_features == 3
    batch = batch_of(parts)
    assert batch.teacher.shape == (10, 2, SIDE, SIDE, 1) and batch.teacher_label.shape == (20,)
    summary = train(experiment, tmp_path / "run")
    assert {"f1_weighted_rgb", "f1_weighted_depth", "f1_weighted_thermal"} <= summary["figures"].keys()
    assert load_trained_model(tmp_path / "run/thermal").settings.channels == 1


def test_rows_of_three_networks_reach_their_own_heads():
    """Cross-entropy by hand: of the others' rows 0, 2, 4 are the second modality's and 1, 3, 5 the third's."""
    from speakerkd.distill import Pair, build
    from speakerkd.tensors import Output, Samples

    torch.manual_seed(0)
    pair = Pair(student_dim=4, teacher_dim=4, classes=2, samples=9, batch=3, disentangled=True, networks=3)
    only = dict.fromkeys(("task", "adversarial", "auxiliary", "orthogonal"), 0)
    objective = build([{"name": "disentangled", **only}], pair).objectives["disentangled"].double()
    student = [torch.rand(3, 2, dtype=torch.float64) for _ in range(3)]
    others = [torch.rand(6, 2, dtype=torch.float64) for _ in range(3)]

    def output(parts):
        return Output(torch.cat(parts[:2], 1), torch.zeros(len(parts[0]), 2, dtype=torch.float64), parts=parts)

    samples = Samples(torch.zeros(3, dtype=torch.int64), torch.arange(3), torch.zeros(6, dtype=torch.int64))
    loss = objective(output(student), output(others), samples)["disentangled_modality"]
    expected = 0.0
    for head, part in ((objective.of_inf, 1), (objective.of_irr, 2)):
        for which, rows in enumerate((student[part], others[part][0::2], others[part][1::2])):
            scores = (rows @ head.weight.T + head.bias).softmax(1)
            expected += -scores[:, which].log().mean().item()
    assert loss.item() == pytest.approx(expected)


def test_sizes_and_parts_of_a_branch(directory, tmp_path):
    """A ResNet-18 has 11,181,642 weights for 10 classes and 3 channels (torchvision's figure); matched is narrower."""
    assert sum(p.numel() for p in build_image(ImageSettings(size=224)).parameters()) == 11_181_642
    full = build_task(settings(directory, student={"width": 1.0})).student()
    encoder = 11_181_642 - 5_130 - 9_408 + 3 * 64 * 9  # without the linear layer, with CIFAR's stem
    assert sum(p.numel() for p in full.parameters()) == 2 * encoder + 512 * 256 + 256 + 2 * 256 + 512 * 3 + 3
    matched = build_task(settings(directory, student={"width": 1.0, "size": "matched"})).student()
    assert matched.part_dim == 128
    assert sum(p.numel() for p in matched.parameters()) < 11_181_642
    experiment = settings(directory, student={"uses": "inf"}, train={"epochs": 1})
    train(experiment, tmp_path / "inf")
    package = load_trained_model(tmp_path / "inf/second")
    assert package.dim == package.student.part_dim and package.student.classifier.in_features == package.dim


def test_a_killed_run_goes_on_to_the_same_weights(directory, tmp_path):
    from safetensors.torch import load_file

    whole = settings(directory, train={"epochs": 4})
    train(whole, tmp_path / "whole")
    (tmp_path / "half").mkdir()
    import shutil

    shutil.copytree(tmp_path / "whole", tmp_path / "half", dirs_exist_ok=True)
    (tmp_path / "half/finished.json").unlink()
    for step in (12, 9):
        shutil.rmtree(tmp_path / f"half/checkpoints/step-{step}", ignore_errors=True)
    train(whole, tmp_path / "half", resume=True)
    for name in ("first", "second"):
        one, two = (load_file(tmp_path / run / name / "model.safetensors") for run in ("whole", "half"))
        assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_what_cannot_be_is_said(directory, tmp_path):
    with pytest.raises(InputError, match="need an objective"):
        build_task(settings(directory).model_copy(update={"distill": []}))
    with pytest.raises(InputError, match="directory of one sensor"):
        build_task(settings(directory / "paired"))
    with pytest.raises(InputError, match="no frozen teacher"):
        both = settings(directory).model_copy(deep=True)
        build_parts(check_experiment({**both.model_dump(), "distill": [{"name": "kd"}]}, "test"))
    with pytest.raises(InputError, match="kd compares two networks sample by sample"):
        both = settings(directory).model_dump()
        build_parts(check_experiment({**both, "distill": [{"name": "disentangled"}, {"name": "kd"}]}, "test"))
    with pytest.raises(InputError, match="each name once"):
        settings(directory, data={"names": ["a", "a"]})
    with pytest.raises(InputError, match="set it to paper"):
        places = [str(directory), str(directory / "paired"), str(directory / "paired")]
        build_parts(settings(places, objective={"targets": "official"}))
    store_images(ImageCorpus("made", ["a", "b", "c"], {"train": pictures(1), "val": pictures(2)}), tmp_path / "other")
    with pytest.raises(InputError, match="other classes than"):
        build_task(settings([str(directory), str(tmp_path / "other")]))


def test_a_figure_that_no_evaluation_gives_is_named_with_the_nearest(directory, tmp_path):
    experiment = settings(directory, train={"epochs": 1, "steps_per_epoch": 1, "best": "f1_weighted_frist"})
    with pytest.raises(InputError, match=r"no figure 'f1_weighted_frist', train\.best.*f1_weighted_first"):
        train(experiment, tmp_path / "run")
