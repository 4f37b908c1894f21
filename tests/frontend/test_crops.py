"""What a user loses if these fail: faces of the wrong session, or a night of detection after a kill."""

import tarfile

import numpy as np
import pytest
from PIL import Image
from videos import write_video

from speakerkd.cli.main import run
from speakerkd.data.datadir import read_table, write_table
from speakerkd.data.validate import validate
from speakerkd.errors import InputError
from speakerkd.frontend import crops
from speakerkd.frontend.crop_map import crop_map
from speakerkd.frontend.crops import align_faces
from speakerkd.frontend.faces import FaceDetector
from speakerkd.media.packed import read_placed

BLANK = np.full((224, 224, 3), 90, np.uint8)


@pytest.fixture
def data(tmp_path, portraits):
    """Four sessions: a picture shared by two utterances, a video, a wall before a face, and a wall alone."""
    write_video(tmp_path / "b.mp4", [BLANK] * 12 + [portraits[1]] * 8)
    for name, picture in {"a ä.png": portraits[0], "wall.png": BLANK, "face.png": portraits[2]}.items():
        Image.fromarray(picture).save(tmp_path / name)
    directory = tmp_path / "data"
    sources = {"s/a/1": "a ä.png", "s/a/2": "a ä.png", "s/b/1": "b.mp4", "t/c/1": "wall.png", "t/c/2": "face.png"}
    sources["t/d/1"] = "wall.png"
    write_table(directory / "face.scp", {key: str(tmp_path / name) for key, name in sources.items()})
    # s/a/3 has no picture of its own
    write_table(directory / "utt2session", {key: key.rpartition("/")[0] for key in [*sources, "s/a/3"]})
    return directory


@pytest.fixture
def searched(monkeypatch):
    """How many pictures each call of the detector looked at."""
    calls = []
    find = FaceDetector.find
    monkeypatch.setattr(FaceDetector, "find", lambda self, images: calls.append(len(images)) or find(self, images))
    return calls


def test_each_session_gets_one_face_that_its_utterances_share(data, portraits):
    with pytest.raises(InputError, match="1 of 4 refused"):
        align_faces(data)
    assert not (data / "aligned.scp").exists()
    rejected = align_faces(data, max_rejected=0.3)
    assert (rejected.taken, len(rejected)) == (3, 1)
    aligned = read_table(data / "aligned.scp")
    assert sorted(aligned) == ["s/a/1", "s/a/2", "s/a/3", "s/b/1", "t/c/1", "t/c/2"]
    assert aligned["s/a/1"] == aligned["s/a/2"] == aligned["s/a/3"] != aligned["s/b/1"]
    faces = FaceDetector().find(portraits[:3])
    for key, face in zip(("s/a/1", "s/b/1", "t/c/1"), faces, strict=True):
        picture = np.asarray(Image.open(aligned[key]))
        assert picture.shape == (112, 112, 3)
        apart = [np.abs(picture.astype(int) - other.crop).mean() for other in faces]
        assert faces[int(np.argmin(apart))] is face and min(apart) < 8
    assert (data / "faces.rejected").read_text().startswith("t/d\tno face found in 1 pictures of it")
    notes = dict(line.split("\t") for line in (data / "faces.notes").read_text().splitlines())
    assert notes["t/c"] == "found in the picture number 2" and notes["s/b"].startswith("found in the picture number")
    assert "s/a" not in notes


def test_packed_crops_are_the_same_pictures_in_a_tar(data, tmp_path, searched):
    align_faces(data, max_rejected=0.3)
    single = {key: read_placed(location) for key, location in read_table(data / "aligned.scp").items()}
    quality = (data / "face_quality").read_bytes()
    align_faces(data, max_rejected=0.3, pack=True)
    places = read_table(data / "aligned.scp")
    assert places.keys() == single.keys() and (data / "face_quality").read_bytes() == quality
    for key, location in places.items():
        np.testing.assert_array_equal(read_placed(location), single[key])
    (tar,) = (data / "faces").glob("*.tar")
    assert sorted(tarfile.TarFile(tar).getnames()) == ["s/a.png", "s/b.png", "t/c.png"]
    of_key, crops = crop_map(data)
    np.testing.assert_array_equal(crops[of_key["t/c/2"]], single["t/c/2"])
    assert not [p for p in validate(data) if p.file.name == "aligned.scp"]
    searched.clear()
    align_faces(data, max_rejected=0.3, pack=True)
    assert searched == []
    before = tar.read_bytes()
    tar.write_bytes(before[:3000])  # a copy that was broken off: the shard is made again
    with pytest.raises(InputError, match=r"tar:\d+"):
        for location in places.values():
            read_placed(location)
    align_faces(data, max_rejected=0.3, pack=True)
    (tar,) = (data / "faces").glob("*.tar")
    assert searched and tar.read_bytes() == before


def test_only_new_and_changed_sessions_are_searched(data, searched, portraits, tmp_path):
    align_faces(data, max_rejected=0.3)
    record = (data / "aligned.scp.made.json").read_text()
    searched.clear()
    align_faces(data, max_rejected=0.3)
    assert searched == [] and (data / "aligned.scp.made.json").read_text() == record
    crop = data / "aligned" / "t" / "c.png"
    before = crop.read_bytes()
    crop.unlink()
    align_faces(data, max_rejected=0.3)
    assert searched == [1, 1] and crop.read_bytes() == before
    Image.fromarray(portraits[5]).save(tmp_path / "a ä.png")
    searched.clear()
    align_faces(data, max_rejected=0.3)
    assert searched == [1] and (data / "aligned.scp.made.json").read_text() != record


def test_a_killed_run_goes_on_where_it_stopped(data, searched, monkeypatch):
    monkeypatch.setattr(crops, "BATCH", 1)
    write = crops._write_picture

    def stop_at_the_second(path, picture):
        if path.name == "b.png":
            raise KeyboardInterrupt
        write(path, picture)

    with monkeypatch.context() as patch:
        patch.setattr(crops, "_write_picture", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            align_faces(data, max_rejected=0.3)
    done = (data / "aligned" / "s" / "a.png").stat().st_mtime_ns
    align_faces(data, max_rejected=0.3)
    assert (data / "aligned" / "s" / "a.png").stat().st_mtime_ns == done
    assert len(read_table(data / "aligned.scp")) == 6


def test_unreadable_sources_are_passed_over_and_named(data, tmp_path):
    table = read_table(data / "face.scp")
    (tmp_path / "cut.png").write_bytes((tmp_path / "face.png").read_bytes()[:500])
    (tmp_path / "zero.mp4").touch()
    table |= {"t/c/1": str(tmp_path / "cut.png"), "t/d/1": str(tmp_path / "zero.mp4")}
    write_table(data / "face.scp", table)
    align_faces(data, max_rejected=0.3)
    assert "truncated" in (data / "faces.notes").read_text()
    assert "zero.mp4" in (data / "faces.rejected").read_text()
    assert "t/c/1" in read_table(data / "aligned.scp")


def test_several_faces_are_noted(data, tmp_path, portraits):
    crowd = np.full((300, 500, 3), 90, np.uint8)
    crowd[38:262, 138:362] = portraits[0]
    crowd[100:180, 5:85] = np.asarray(Image.fromarray(portraits[1][32:192, 32:192]).resize((80, 80)))
    Image.fromarray(crowd).save(tmp_path / "a ä.png")
    align_faces(data, max_rejected=0.3)
    assert "s/a\t2 faces, the largest near the centre was taken" in (data / "faces.notes").read_text()


def test_without_sessions_each_utterance_has_its_own_face(data):
    (data / "utt2session").unlink()
    assert len(align_faces(data, max_rejected=0.5)) == 2
    aligned = read_table(data / "aligned.scp")
    assert sorted(aligned) == ["s/a/1", "s/a/2", "s/b/1", "t/c/2"] and len(set(aligned.values())) == 4


def test_aligned_pictures_are_taken_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    pictures = {"a": rng.integers(0, 255, (112, 112, 3), np.uint8), "b": np.full((224, 224, 3), 7, np.uint8)}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    Image.fromarray(BLANK[:100]).save(tmp_path / "c.png")
    write_table(tmp_path / "data" / "face.scp", {name: str(tmp_path / f"{name}.png") for name in "abc"})
    with pytest.raises(InputError, match="224 x 100 pixels, an aligned picture is square"):
        align_faces(tmp_path / "data", detect=False)
    align_faces(tmp_path / "data", detect=False, max_rejected=0.5)
    aligned = read_table(tmp_path / "data" / "aligned.scp")
    np.testing.assert_array_equal(np.asarray(Image.open(aligned["a"])), pictures["a"])
    np.testing.assert_array_equal(np.asarray(Image.open(aligned["b"])), np.full((112, 112, 3), 7))


@pytest.mark.parametrize("session", ["../up", "/etc/x", "s/../../x"])
def test_a_session_cannot_write_outside(data, session):
    write_table(data / "utt2session", dict.fromkeys(read_table(data / "face.scp"), session))
    with pytest.raises(InputError, match="cannot be the name of a session"):
        align_faces(data)


def test_the_verb(data, capsys):
    with pytest.raises(SystemExit) as caught:
        run(["faces", str(data), "--max-rejected", "0.3", "--padding", "0.2", "--jobs", "1"])
    assert caught.value.code == 0 and "4 in, 3 out, 1 refused" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        run(["faces", str(data), "--padding", "-1"])
    assert caught.value.code == 1 and "--padding" in capsys.readouterr().err
