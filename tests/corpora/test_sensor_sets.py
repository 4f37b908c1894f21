"""Sets of two sensors as their owners ship them: what was measured arrives, what was not is filled and counted."""

import json

import numpy as np
import pytest
import rasterio
from PIL import Image

from speakerkd.corpora.image_corpus import ImageCorpus, Split
from speakerkd.corpora.image_splits import divide
from speakerkd.corpora.image_store import store_images
from speakerkd.corpora.images import find_corpus
from speakerkd.corpora.sensor_sets import ROOMS
from speakerkd.data.derived_sensor import edges
from speakerkd.data.images import read_images, read_pair, sensor_names
from speakerkd.data.raster import read_measured
from speakerkd.errors import InputError

SPLITS = ("train", "val", "test")


def geotiff(path, values, nodata=None):
    """values (H, W, C) as a GeoTIFF, bands first, as satellites' files have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = values.shape
    size = {"height": height, "width": width, "count": count, "dtype": values.dtype, "nodata": nodata}
    transform = rasterio.transform.from_origin(600_000, 5_300_000, 10, 10)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=transform, **size) as out:
        out.write(np.moveaxis(values, -1, 0))


def eurosat_tree(root, classes=("Forest", "River"), count=10, missing=()):
    rng = np.random.default_rng(0)
    scenes = {}
    for name in classes:
        for number in range(1, count + 1):
            key = f"{name}/{name}_{number}"
            ms = rng.integers(1, 3000, (8, 8, 13)).astype(np.uint16)
            sar = rng.normal(-12, 3, (8, 8, 2)).astype(np.float32)
            if key in missing:
                sar[2, 3, 1] = sar[4, 4, 0] = np.nan
            scenes[key] = ms, sar
            geotiff(root / f"EuroSAT_MS/{key}.tif", ms)
            geotiff(root / f"EuroSAT-SAR/{key}.tif", sar)
    return scenes


def test_eurosats_thirteen_bands_stand_beside_the_radar_of_the_same_place(tmp_path):
    scenes = eurosat_tree(tmp_path / "in", missing={"River/River_3"})
    rejected = store_images(find_corpus(tmp_path / "in", "eurosat", seed=1), tmp_path / "out")
    assert "2 pixels of 1 sar pictures were not measured" in str(rejected)
    assert sensor_names(tmp_path / "out") == ["ms", "sar"]
    counts = []
    for split in SPLITS:
        ms, sar = read_pair(tmp_path / "out", split)
        counts.append(len(ms))
        for row, key in enumerate(ms.keys):
            optical, radar = scenes[key]
            assert np.array_equal(ms.read(np.array([row]))[0], optical)
            known = np.isfinite(radar)
            stored = sar.read(np.array([row]))[0]
            assert np.array_equal(stored[known], radar[known])
            if not known.all():
                assert stored[2, 3, 1] == np.float32(np.nanmedian(radar[:, :, 1]))
    assert counts == [14, 2, 4]  # 70, 10 and 20 % of ten pictures of two classes
    about = json.loads((tmp_path / "out/paired/images.json").read_text())
    assert about["filled"] == {"pixels": 2, "pictures": 1}


def sun_tree(root, count=10):
    rng = np.random.default_rng(0)
    for number in range(count):
        for room in ("office", "kitchen", "gym"):
            folder = root / f"SUNRGBD/kv2/{'kinect2data' if number % 2 else 'align_kv2'}/{room}_{number:06d}-resize"
            for kind in ("image", "depth"):
                (folder / kind).mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).save(folder / f"image/{number:07d}.jpg")
            depth = rng.integers(4000, 60000, (12, 16)).astype(np.uint16)
            depth[:2, 5] = 0  # the camera saw no distance there
            Image.fromarray(depth).save(folder / f"depth/{number:07d}.png")
            (folder / "scene.txt").write_text(room + "\n")
    return depth


def test_sun_rgbds_depth_keeps_its_sixteen_bits_and_its_ten_rooms(tmp_path):
    sun_tree(tmp_path / "in")
    assert len(ROOMS) == 10
    with pytest.raises(InputError, match="0 pictures are too few.*class 'bathroom'"):  # a tree with two of the ten
        find_corpus(tmp_path / "in", "sunrgbd")
    (tmp_path / "two.txt").write_text("office\nkitchen\n")
    corpus = find_corpus(tmp_path / "in", "sunrgbd", classes=tmp_path / "two.txt")
    rejected = store_images(corpus, tmp_path / "out")
    assert "40 pixels of 20 depth pictures" in str(rejected)
    rgb, depth = read_pair(tmp_path / "out", "train")
    assert rgb.classes == ["office", "kitchen"] and len(rgb) == 14 and rgb.channels == 3 and depth.channels == 1
    assert depth.pixels.dtype == np.uint16 and depth.pixels.min() >= 4000 and depth.pixels.max() > 255 * 200
    assert rgb.size == depth.size == (12, 12)


def tristar_tree(root, frames=10):
    rng = np.random.default_rng(0)
    for split, shot, actions in (("train", "0", ["sit", "stand"]), ("test", "7", ["stand", "lay"])):
        folder = root / split / shot
        lines = []
        for number in range(frames * 2):
            for kind, level in (("thermal", 29000), ("depth", 2000)):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                values = (level + rng.integers(0, 900, (6, 8))).astype(np.uint16)
                Image.fromarray(values).save(folder / kind / f"{number:05d}.png")
            lines.append("-1" if number == 0 else actions[number % 2])
        (folder / "actions.txt").write_text("\n".join(lines) + "\n")


def test_tristars_frames_take_their_shots_actions(tmp_path):
    tristar_tree(tmp_path / "in")
    corpus = find_corpus(tmp_path / "in", "tristar")
    assert corpus.classes == ["lay", "sit", "stand"]
    store_images(corpus, tmp_path / "out")
    for split, count in zip(SPLITS, (26, 4, 8), strict=True):
        thermal, depth = read_pair(tmp_path / "out", split)
        assert len(thermal) == count
        assert thermal.read(np.arange(count)).min() >= 29000 > 3000 > depth.read(np.arange(count)).max()
    assert sum(len(read_images(tmp_path / "out", split)) for split in SPLITS) == 38  # 40 frames, two without an action
    shot = tmp_path / "in/train/0"
    (shot / "actions.txt").write_text("sit\n")
    with pytest.raises(InputError, match="1 actions for 20 frames"):
        find_corpus(tmp_path / "in", "tristar")


def test_what_is_not_as_it_should_be_is_refused_with_its_reason(tmp_path):
    eurosat_tree(tmp_path / "in", count=40)
    few = np.ones((8, 8, 12), np.uint16) * np.arange(12, dtype=np.uint16)
    few[0, 0] = 7
    geotiff(tmp_path / "in/EuroSAT_MS/Forest/Forest_1.tif", few)
    geotiff(tmp_path / "in/EuroSAT-SAR/Forest/Forest_2.tif", np.full((8, 8, 2), -9, np.float32))
    geotiff(tmp_path / "in/EuroSAT-SAR/Forest/Forest_3.tif", np.full((8, 8, 2), np.nan, np.float32))
    (tmp_path / "in/EuroSAT-SAR/River/River_1.tif").write_bytes(b"II*\0 not a picture")
    (tmp_path / "in/EuroSAT-SAR/River/River_2.tif").unlink()
    rng = np.random.default_rng(0)
    geotiff(tmp_path / "in/EuroSAT-SAR/River/River_3.tif", rng.normal(size=(4, 4, 2)).astype(np.float32))
    corpus = find_corpus(tmp_path / "in", "eurosat")
    with pytest.raises(InputError, match="6 of 80 refused"):
        store_images(corpus, tmp_path / "out")
    store_images(corpus, tmp_path / "out", max_rejected=0.1)
    reasons = dict(line.split("\t") for line in (tmp_path / "out.rejected").read_text().splitlines())
    for key, reason in (
        ("Forest/Forest_1", "12 bands, 13 expected"),
        ("Forest/Forest_2", "a constant picture"),
        ("Forest/Forest_3", "without a measurement"),
        ("River/River_1", "cannot be decoded"),
        ("River/River_2", "no picture of this name"),
        ("River/River_3", "a pair of 8 x 8 and 4 x 4 pixels"),
    ):
        assert reason in reasons[key]


def test_a_files_own_mark_of_no_data_is_known(tmp_path):
    values = np.arange(36, dtype=np.float32).reshape(6, 6, 1) + 1
    values[0, 0] = -999
    geotiff(tmp_path / "a.tif", values, nodata=-999)
    measured, filled = read_measured(tmp_path / "a.tif", 1)
    assert filled == 1 and measured[0, 0, 0] == 19  # the median of 2 to 36


def test_shares_of_any_corpus_and_classes_too_small_for_three_splits(tmp_path):
    def corpus(*counts):
        labels = [label for label, count in enumerate(counts) for _ in range(count)]
        pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
        split = Split([str(n) for n in range(len(labels))], labels, [], pixels)
        return ImageCorpus("made", list("abc")[: len(counts)], {"train": split})

    divided = divide(corpus(20, 30), (0.7, 0.1, 0.2), seed=3)
    assert [np.bincount(divided.splits[name].labels).tolist() for name in SPLITS] == [[14, 21], [2, 3], [4, 6]]
    keys = [set(divided.splits[name].keys) for name in SPLITS]
    assert len(set.union(*keys)) == 50
    assert keys[0] != set(divide(corpus(20, 30), (0.7, 0.1, 0.2), seed=4).splits["train"].keys)
    assert [int(key) for key in divided.splits["val"].keys] == divided.splits["val"].pixels[:, 0, 0, 0].tolist()
    with pytest.raises(InputError, match=r"3 pictures are too few.*class 'b'.*--absent redraw"):
        divide(corpus(20, 3), (0.7, 0.1, 0.2), 0)
    again = divide(corpus(20, 3), (0.7, 0.1, 0.2), 0, "redraw")
    assert [again.splits[name].labels.count(1) for name in SPLITS] == [1, 1, 1]
    with pytest.raises(InputError, match="2 pictures are too few"):
        divide(corpus(20, 2), (0.7, 0.1, 0.2), 0, "redraw")
    with pytest.raises(InputError, match="three percentages"):
        divide(corpus(20), (0.7, 0.3), 0)


def test_edges_by_hand(tmp_path):
    """A step from 0 to 51 of 255 between two columns: Sobel gives 4 x .2 on both sides of it, of at most sqrt(20)."""
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, 3:] = 51
    outline = edges(picture)
    expected = np.zeros((4, 6, 1))
    expected[:, 2:4] = round(255 * 0.8 / 20**0.5)
    assert np.array_equal(outline, expected)
    store_images(find_corpus(None, "digits", second="edges", shares=(0.7, 0.1, 0.2)), tmp_path / "out")
    first, second = read_pair(tmp_path / "out", "val")
    assert sensor_names(tmp_path / "out") == ["picture", "edges"] and second.channels == 1
    assert np.array_equal(second.read(np.array([3]))[0], edges(first.read(np.array([3]))[0]))
