"""Image corpora are found as their owners ship them, and damaged ones are named, not half-read."""

import hashlib
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from speakerkd.corpora.images import find_corpus
from speakerkd.errors import InputError


def picture(path, colour=(200, 10, 10), size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def tree(tmp_path):
    """Two classes, in train/ and val/, with names that need reading."""
    for split, count in (("train", 3), ("val", 1)):
        for name in ("maple_tree", "Café au lait"):
            for number in range(count):
                picture(tmp_path / split / name / f"{number} é.png")
    return tmp_path


@pytest.fixture
def tiny(tmp_path):
    """Tiny-ImageNet's layout with two classes."""
    root = tmp_path / "tiny-imagenet-200"
    for wnid in ("n02", "n01"):
        for number in range(2):
            picture(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", size=(64, 64))
    for number in range(3):
        picture(root / "val" / "images" / f"val_{number}.JPEG", size=(64, 64))
    (root / "val" / "val_annotations.txt").write_text(
        "val_0.JPEG\tn01\t0\t0\t62\t62\nval_1.JPEG\tn02\t1\t2\t3\t4\nval_2.JPEG\tn01\t0\t0\t1\t1\n"
    )
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text("n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\ttailed frog, bell toad\n")
    (root / "test" / "images").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10's files for Python with two pictures each, whose digests torchvision is told."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch(first):
        planes = np.zeros((2, 3, 32, 32), np.uint8)
        planes[:, 0], planes[:, 1], planes[:, 2] = first, first + 1, first + 2
        return {"data": planes.reshape(2, -1), "labels": [1, 0]}

    train = [write(f"data_batch_{i}", batch(10 * i)) for i in (1, 2)]
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(90))])
    name, digest = write("batches.meta", {"label_names": ["airplane", "aquarium_fish"]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": digest})
    return tmp_path


def test_a_tree_with_splits(tree):
    corpus = find_corpus(tree)
    assert (corpus.kind, corpus.classes) == ("folder", ["Café au lait", "maple tree"])
    train, test = corpus.splits["train"], corpus.splits["test"]
    assert train.labels == [0, 0, 0, 1, 1, 1]
    assert test.keys == ["val/Café au lait/0 é.png", "val/maple_tree/0 é.png"]
    assert test.labels == [0, 1]


def test_a_tree_without_splits_keeps_a_share_of_each_class(tmp_path):
    for name in ("cat", "dog"):
        for number in range(10):
            picture(tmp_path / name / "sub" / f"{number}.jpg")
    first, again, other = (find_corpus(tmp_path, test_share=0.3, seed=s).splits for s in (1, 1, 2))
    assert sorted(first["train"].keys + first["test"].keys) == sorted(
        f"{name}/sub/{number}.jpg" for name in ("cat", "dog") for number in range(10)
    )
    assert sorted(first["test"].labels) == [0] * 3 + [1] * 3
    assert first["test"].keys == again["test"].keys != other["test"].keys


def test_an_empty_class_folder_is_named(tree):
    (tree / "train" / "ship").mkdir()
    (tree / "train" / "ship" / "Thumbs.db").write_bytes(b"x")
    with pytest.raises(InputError, match="a class folder without pictures.*ship"):
        find_corpus(tree)


def test_a_test_class_that_was_never_trained_on(tree):
    picture(tree / "val" / "ship" / "a.png")
    with pytest.raises(InputError, match="'ship' has no training pictures"):
        find_corpus(tree)


def test_two_folders_that_read_alike(tree):
    picture(tree / "train" / "maple tree" / "a.png")
    with pytest.raises(InputError, match="two class folders read 'maple tree'"):
        find_corpus(tree)


def test_a_training_split_alone(tree):
    shutil.rmtree(tree / "val")
    with pytest.raises(InputError, match="no test split"):
        find_corpus(tree)


def test_tiny_imagenet_as_shipped(tiny):
    for source in (tiny, tiny / "tiny-imagenet-200"):
        corpus = find_corpus(source)
        assert corpus.kind == "tiny_imagenet"
        assert corpus.classes == ["tailed frog", "goldfish"]  # the order of wnids.txt, the first of its words
        assert corpus.splits["train"].labels == [0, 0, 1, 1]
        assert corpus.splits["test"].labels == [1, 0, 1]
        assert corpus.splits["test"].keys[1] == "val/images/val_1.JPEG"


def test_tiny_imagenet_half_unpacked(tiny):
    (tiny / "tiny-imagenet-200" / "val" / "val_annotations.txt").unlink()
    with pytest.raises(InputError, match=r"incomplete.*val_annotations\.txt"):
        find_corpus(tiny)


def test_what_an_interrupted_unpacking_left_is_fetched_again(tiny, monkeypatch):
    fetched = []
    fetch = "torchvision.datasets.utils.download_and_extract_archive"
    monkeypatch.setattr(fetch, lambda url, root, md5: fetched.append((url.rsplit("/")[-1], root, len(md5))))
    find_corpus(tiny, "tiny_imagenet", download=True)
    assert fetched == [("tiny-imagenet-200.zip", tiny, 32)]

    def broken(*_, **__):
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(fetch, broken)
    with pytest.raises(InputError, match="could not be fetched.*corrupted.*run the command again"):
        find_corpus(tiny, "tiny_imagenet", download=True)


def test_an_annotation_of_an_unknown_class(tiny):
    with open(tiny / "tiny-imagenet-200" / "val" / "val_annotations.txt", "a") as stream:
        stream.write("val_9.JPEG\tn09\t0\t0\t1\t1\n")
    with pytest.raises(InputError, match=r"'n09'.*val_annotations\.txt:4"):
        find_corpus(tiny)


def test_cifar_as_shipped(cifar):
    for source in (cifar, cifar / "cifar-10-batches-py"):
        corpus = find_corpus(source)
        assert (corpus.kind, corpus.classes) == ("cifar10", ["airplane", "aquarium fish"])
        train = corpus.splits["train"]
        assert train.labels == [1, 0, 1, 0]
        assert train.pixels[2, 5, 7].tolist() == [20, 21, 22]  # channels last
        assert corpus.splits["test"].pixels.shape == (2, 32, 32, 3)


def test_cifar_as_folders_of_pictures(tree):
    assert find_corpus(tree, "cifar10").classes == ["Café au lait", "maple tree"]


def test_an_interrupted_download_of_cifar(cifar):
    path = cifar / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cifar10 is not there, incomplete or damaged.*--download"):
        find_corpus(cifar)


def test_digits_come_with_a_package():
    corpus = find_corpus(None, "digits")
    assert corpus.classes[3] == "three"
    train, test = corpus.splits["train"], corpus.splits["test"]
    assert len(train.labels) + len(test.labels) == 1797
    assert np.bincount(test.labels).min() >= 34
    assert train.pixels.shape[1:] == (8, 8, 3)
    assert train.pixels.max() == 255


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [("absent", "auto", "no such folder"), ("absent", "cifar", "no such kind"), (None, "auto", "--root")],
)
def test_wrong_questions(tmp_path, source, kind, message):
    with pytest.raises(InputError, match=message):
        find_corpus(None if source is None else tmp_path / source, kind)
