"""Image sets in small copies of their owners' layouts."""

import gzip
import hashlib

import numpy as np
import pytest
from PIL import Image

from speakerkd.corpora.image_store import store_images
from speakerkd.corpora.images import find_corpus
from speakerkd.data.images import read_images
from speakerkd.errors import InputError


def picture(path, size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 99, 199)).save(path, "JPEG")


@pytest.fixture
def imagenet(tmp_path):
    """Three classes, two of which are both called crane, below the folders of the unpacked archive; a flat val."""
    root = tmp_path / "ILSVRC/Data/CLS-LOC"
    for wnid in ("n01", "n02", "n03"):
        for number in range(2):
            picture(root / "train" / wnid / f"{wnid}_{number}.JPEG")
    for number in range(3):
        picture(root / "val" / f"ILSVRC2012_val_{number}.JPEG")
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 crane\nn03 crane, lifting\n")
    lines = [f"ILSVRC2012_val_{number},{wnid} 1 2 3 4" for number, wnid in enumerate(("n03", "n01", "n02"))]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines]) + "\n")
    return tmp_path


def test_imagenet_as_it_is_unpacked(imagenet):
    corpus = find_corpus(imagenet)
    assert corpus.kind == "imagenet"
    assert corpus.classes == ["tench", "crane (n02)", "crane (n03)"]
    assert corpus.splits["train"].labels == [0, 0, 1, 1, 2, 2]
    assert corpus.splits["test"].labels == [2, 0, 1]


def test_imagenet_with_a_folder_a_class_in_val(imagenet):
    root = imagenet / "ILSVRC/Data/CLS-LOC"
    for path in (root / "val").iterdir():
        path.unlink()
    picture(root / "val/n02/x.JPEG")
    assert find_corpus(root, "imagenet").splits["test"].labels == [1]
    picture(root / "val/n09/x.JPEG")
    with pytest.raises(InputError, match="class 'n09' has no training pictures"):
        find_corpus(root, "imagenet")


def test_imagenet_100_is_its_classes_by_a_list_in_the_lists_order(imagenet, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("n03\ncrane (n02)\n")
    corpus = find_corpus(imagenet, classes=listed)
    assert corpus.classes == ["crane (n03)", "crane (n02)"]
    assert corpus.splits["train"].labels == [1, 1, 0, 0]
    assert corpus.splits["test"].labels == [0, 1]
    store_images(corpus, tmp_path / "out")
    assert read_images(tmp_path / "out", "test").classes == ["crane (n03)", "crane (n02)"]
    listed.write_text("n03\nn04\n")
    with pytest.raises(InputError, match=r"no class 'n04'.*list.txt:2"):
        find_corpus(imagenet, classes=listed)


def test_imagenets_list_with_a_broken_line(imagenet):
    path = imagenet / "LOC_val_solution.csv"
    path.write_text(path.read_text() + "half\n")
    with pytest.raises(InputError, match="LOC_val_solution.csv:5"):
        find_corpus(imagenet)


def test_stl10(tmp_path, monkeypatch):
    from torchvision.datasets import STL10

    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 3, 96, 96), np.uint8)  # column-major, as the file has them
    for name, labels in (("train", [2, 1]), ("test", [1, 2])):
        (folder / f"{name}_X.bin").write_bytes(pixels.tobytes())
        (folder / f"{name}_y.bin").write_bytes(bytes(labels))
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    files = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
    digests = [[name, hashlib.md5((folder / name).read_bytes()).hexdigest()] for name in files]
    monkeypatch.setattr(STL10, "train_list", digests[:2])
    monkeypatch.setattr(STL10, "test_list", digests[2:])
    corpus = find_corpus(tmp_path)
    assert (corpus.kind, corpus.classes) == ("stl10", ["airplane", "bird"])
    assert corpus.splits["train"].labels == [1, 0]
    assert (corpus.splits["train"].pixels[0, 3, 5] == pixels[0, :, 5, 3]).all()
    (folder / "train_X.bin").write_bytes(b"")
    with pytest.raises(InputError, match="stl10 is not there, incomplete or damaged"):
        find_corpus(tmp_path)


def idx(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, values.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    path.write_bytes(head + values.tobytes())
    with gzip.open(f"{path}.gz", "wb") as stream:
        stream.write(head + values.tobytes())


def test_fashion_mnist_has_one_channel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    for name in ("train", "t10k"):
        idx(tmp_path / f"FashionMNIST/raw/{name}-images-idx3-ubyte", pixels)
        idx(tmp_path / f"FashionMNIST/raw/{name}-labels-idx1-ubyte", np.array([0, 9, 3], np.uint8))
    corpus = find_corpus(tmp_path)
    assert corpus.classes[0] == "T-shirt or top"
    assert corpus.splits["test"].labels == [0, 9, 3]
    with pytest.raises(InputError, match="no readable training picture of class 'Trouser'"):
        store_images(corpus, tmp_path / "out")
    (tmp_path / "two.txt").write_text("T-shirt or top\nAnkle boot\n")
    store_images(find_corpus(tmp_path, classes=tmp_path / "two.txt"), tmp_path / "out")
    stored = read_images(tmp_path / "out")
    assert stored.channels == 1
    assert (stored.read(np.array([1]))[0, :, :, 0] == pixels[1]).all()


def test_what_cannot_be_fetched_and_what_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="imagenet cannot be fetched"):
        find_corpus(tmp_path, "imagenet", download=True)
    with pytest.raises(InputError, match="no such kind of corpus 'mnist'"):
        find_corpus(tmp_path, "mnist")
