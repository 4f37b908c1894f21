"""Two sensors' pictures meet by their names; what has no partner, or does not fit it, is said and never mixed up."""

import numpy as np
import pytest
from PIL import Image

from speakerkd.corpora.image_store import store_images
from speakerkd.corpora.images import find_corpus
from speakerkd.data.images import read_images, read_pair
from speakerkd.errors import InputError


def picture(path, value, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def trees(root, names, lay_out=("{sensor}/{name}"), endings=("png", "bmp")):
    """Pictures of two sensors; the radar's are of grey n, the optical ones of grey 100 + n."""
    for number, name in enumerate(names):
        for sensor, ending, more in zip(("radar", "optical"), endings, (0, 100), strict=True):
            split, label, stem = name.split("/")
            relative = lay_out.format(sensor=sensor, name=name, split=split, label=label, stem=stem)
            picture(root / f"{relative}.{ending}", number + more)


NAMES = [f"{split}/{label}/{n}" for split in ("train", "test") for label in ("cargo", "buoy") for n in range(3)]


@pytest.mark.parametrize(
    "lay_out",
    ["{sensor}/{name}", "{split}/{sensor}/{label}/{stem}", "{split}/{label}/{sensor}/{stem}"],
)
def test_a_sensors_folder_may_stand_anywhere_in_the_path(tmp_path, lay_out):
    trees(tmp_path / "in", NAMES, lay_out)
    corpus = find_corpus(tmp_path / "in", sensors=["radar", "optical"])
    store_images(corpus, tmp_path / "out")
    for split, count in (("train", 6), ("test", 6)):
        radar, optical = read_pair(tmp_path / "out", split)
        assert len(radar) == len(optical) == count
        of_radar, of_optical = (side.read(np.arange(count))[:, 0, 0, 0].astype(int) for side in (radar, optical))
        assert (of_optical - of_radar == 100).all()  # each with its own partner
    assert radar.classes == ["buoy", "cargo"]
    assert read_images(tmp_path / "out").mean.tolist() == pytest.approx([np.mean(range(6)) / 255] * 3)


def test_two_trees_of_other_endings_and_without_a_test_split(tmp_path):
    trees(tmp_path, [f"x/{label}/{n}" for label in ("cargo", "buoy") for n in range(10)], "{sensor}/{label}/{stem}")
    corpus = find_corpus(tmp_path / "radar", teacher_source=tmp_path / "optical", test_share=0.2)
    store_images(corpus, tmp_path / "out")
    radar, optical = read_pair(tmp_path / "out", "test")
    assert len(radar) == 4
    assert (optical.read(np.arange(4)).astype(int) - radar.read(np.arange(4)) == 100).all()


def test_pictures_without_a_partner_are_listed_and_counted(tmp_path):
    trees(tmp_path / "in", NAMES)
    picture(tmp_path / "in/radar/train/cargo/lone.png", 1)
    corpus = find_corpus(tmp_path / "in", sensors=["radar", "optical"])
    with pytest.raises(InputError, match=r"1 of 13 refused.*no picture of this name in optical below"):
        store_images(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    store_images(corpus, tmp_path / "out", max_rejected=0.1)
    assert (tmp_path / "out.rejected").read_text().startswith("train/cargo/lone\t")


def test_names_that_do_not_match_at_all(tmp_path):
    picture(tmp_path / "a/cargo/1.png", 0)
    picture(tmp_path / "b/cargo/2.png", 0)
    with pytest.raises(InputError, match="none of 1 and 1 pictures share a name"):
        find_corpus(tmp_path / "a", teacher_source=tmp_path / "b")


def test_a_class_of_one_sensor_alone(tmp_path):
    trees(tmp_path, NAMES)
    picture(tmp_path / "radar/train/helicopter/1.png", 0)
    with pytest.raises(InputError, match=r"class 'helicopter' has pictures in .*radar and none"):
        find_corpus(tmp_path / "radar", teacher_source=tmp_path / "optical")


def test_pairs_of_different_sizes_need_a_size(tmp_path):
    trees(tmp_path, NAMES)
    for name in NAMES:
        picture(tmp_path / f"optical/{name}.bmp", 5, (32, 32))
    corpus = find_corpus(tmp_path / "radar", teacher_source=tmp_path / "optical")
    with pytest.raises(InputError, match=r"a pair of 16 x 16 and 32 x 32 pixels.*--size"):
        store_images(corpus, tmp_path / "out")
    store_images(corpus, tmp_path / "out", size=16)
    assert read_pair(tmp_path / "out")[1].size == (16, 16)
    picture(tmp_path / f"optical/{NAMES[0]}.bmp", 5, (32, 16))
    with pytest.raises(InputError, match="a pair of other shapes, 16 x 16 and 32 x 16"):
        store_images(corpus, tmp_path / "other", size=16)


def test_two_pictures_of_one_name(tmp_path):
    trees(tmp_path, NAMES)
    picture(tmp_path / f"radar/{NAMES[0]}.gif", 1)
    with pytest.raises(InputError, match="two pictures are named 'train/cargo/0'"):
        find_corpus(tmp_path / "radar", teacher_source=tmp_path / "optical")


def test_a_sensor_that_is_not_there_and_one_sensor_where_two_are_wanted(tmp_path):
    trees(tmp_path, NAMES)
    with pytest.raises(InputError, match="no picture below a folder 'sonar'"):
        find_corpus(tmp_path, sensors=["sonar", "optical"])
    with pytest.raises(InputError, match="name two folders"):
        find_corpus(tmp_path, sensors=["radar"])
    store_images(find_corpus(tmp_path / "radar"), tmp_path / "out")
    with pytest.raises(InputError, match=r"of one sensor.*--teacher-root"):
        read_pair(tmp_path / "out")


def test_any_number_of_channels_and_sixteen_bits(tmp_path):
    """13 bands of 16 bits beside 2 of floats, as satellites give them."""
    import tifffile

    rng = np.random.default_rng(0)
    pixels = {}
    for name in NAMES:
        for sensor in ("sar", "ms"):
            (tmp_path / sensor / name).parent.mkdir(parents=True, exist_ok=True)
        radar = rng.normal(size=(16, 16, 2)).astype(np.float32)
        bands = rng.integers(0, 10_000, (16, 16, 13)).astype(np.uint16)
        np.save(tmp_path / f"sar/{name}.npy", radar)
        tifffile.imwrite(tmp_path / f"ms/{name}.tif", bands, photometric="minisblack", planarconfig="contig")
        pixels[name] = radar, bands
    for store in ("array", "files"):
        corpus = find_corpus(tmp_path, sensors=["sar", "ms"])
        store_images(corpus, tmp_path / store, store=store)
        sar, ms = read_pair(tmp_path / store)
        assert (sar.channels, ms.channels) == (2, 13)
        for row, key in enumerate(sar.keys):
            assert (sar.read(np.array([row]))[0] == pixels[key][0]).all()
            assert (ms.read(np.array([row]))[0] == pixels[key][1]).all()
        stacked = np.stack([pixels[key][1] for key in ms.keys]) / 65535
        assert ms.mean.tolist() == pytest.approx(stacked.mean((0, 1, 2)).tolist())
        assert ms.std.tolist() == pytest.approx(stacked.std((0, 1, 2)).tolist())


def test_a_picture_of_another_number_of_channels_is_refused(tmp_path):
    for number in range(4):
        for label in ("a", "b"):
            (tmp_path / "in" / label).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "in" / label / f"{number}.npy", np.zeros((8, 8, 5 if number else 4), np.uint8))
    with pytest.raises(InputError, match="5 channels of uint8, those before had 4"):
        store_images(find_corpus(tmp_path / "in"), tmp_path / "out")
