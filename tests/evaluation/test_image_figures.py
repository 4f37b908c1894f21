"""From a saved image model to figures: class order, preprocessing and texts must be those of training."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from speakerkd.data.images import ImageSet
from speakerkd.errors import InputError
from speakerkd.evaluation.images import classify_files, image_figures
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.trained_model import load_trained_model, save_trained_model
from speakerkd.teachers.text_table import TextTable

CLASSES = ["cat", "dog", "ship"]
VIEW = {"size": 16, "test_crop": 0.8, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    torch.manual_seed(0)
    settings = ImageSettings(name="resnet8", classes=3, size=16)
    network = build_image(settings)
    network.fc.weight.data *= 20  # decided, if random, opinions
    folder = tmp_path_factory.mktemp("exp")
    save_trained_model(folder, task="image", student=network, settings=settings, frontend=VIEW, labels=CLASSES)
    return load_trained_model(folder, dtype=torch.float32)


def pictures(classes=CLASSES, count=30):
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 200, (count, 1, 1, 3)) + rng.integers(0, 56, (count, 24, 24, 3))
    labels = rng.integers(0, len(classes), count)
    keys = [str(i) for i in range(count)]
    return ImageSet(list(classes), labels, keys, (24, 24), np.zeros(3), np.ones(3), shades.astype(np.uint8))


def expected_logits(package, images):
    """The published preprocessing, by torchvision: resize 24 to 20, centre crop 16, normalise."""
    x = torch.from_numpy(images.pixels).permute(0, 3, 1, 2).float() / 255
    x = tv.normalize(tv.center_crop(tv.resize(x, [20, 20], antialias=True), [16, 16]), VIEW["mean"], VIEW["std"])
    with torch.no_grad():
        return package.student(x)


def test_accuracy_is_that_of_the_network_on_torchvisions_preprocessing(package):
    images = pictures()
    right = expected_logits(package, images).logits.argmax(1).numpy() == images.labels
    figures = image_figures(package, images)
    assert figures["top1"] == pytest.approx(100 * right.mean())
    assert "image_to_text_top1" not in figures
    assert "top5" not in figures


def test_data_may_number_the_classes_otherwise(package):
    images = pictures()
    turned = pictures(["ship", "cat", "dog"])
    turned.labels = np.array([1, 2, 0])[images.labels]
    texts = np.random.default_rng(1).normal(size=(3, 2, 64)).astype(np.float32)
    one = image_figures(package, images, TextTable(CLASSES, ["a {}", "the {}"], texts))
    two = image_figures(package, turned, TextTable(turned.classes, ["a {}", "the {}"], texts[[2, 0, 1]]))
    assert one == pytest.approx(two)


def test_matching_compares_with_the_mean_of_the_prompts(package):
    images = pictures()
    embedding = expected_logits(package, images).embedding.numpy()
    table = np.random.default_rng(1).normal(size=(3, 4, 64)).astype(np.float32)
    unit = table / np.linalg.norm(table, axis=2, keepdims=True)
    texts = unit.mean(1) / np.linalg.norm(unit.mean(1), axis=1, keepdims=True)
    expected = 100 * ((embedding @ texts.T).argmax(1) == images.labels).mean()
    figures = image_figures(package, images, TextTable(CLASSES, ["{}"] * 4, table))
    assert figures["image_to_text_top1"] == pytest.approx(expected)
    assert figures["chance"] == pytest.approx(100 / 3)


def test_a_table_of_another_width_gives_no_matching(package):
    table = TextTable(CLASSES, ["{}"], np.ones((3, 1, 5), np.float32))
    assert "image_to_text_top1" not in image_figures(package, pictures(), table)


def test_damage_is_the_same_in_every_run(package):
    one, two = (image_figures(package, pictures(count=8), robustness=True) for _ in range(2))
    assert one == two
    names = [name for name in one if name.startswith("top1_")]
    assert one["corrupted_top1"] == pytest.approx(np.mean([one[name] for name in names]))


def test_a_class_that_the_model_does_not_know(package):
    with pytest.raises(InputError, match="does not know class 'boat'"):
        image_figures(package, pictures(["cat", "dog", "boat"]))


def test_one_file(package, tmp_path):
    images = pictures(count=3)
    for number, pixels in enumerate(images.pixels):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    answers = list(classify_files(package, [tmp_path / f"{i}.png" for i in range(3)]))
    best = expected_logits(package, images).logits.softmax(1)
    assert [name for _, name, _ in answers] == [CLASSES[i] for i in best.argmax(1)]
    assert [p for _, _, p in answers] == pytest.approx(best.max(1).values.tolist(), abs=0.05)
