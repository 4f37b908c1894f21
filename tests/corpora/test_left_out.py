"""Whatever lies in a corpus's folder and is not used is counted by reason, in one line, by every preparing verb."""

import pytest
from PIL import Image

from speakerkd.cli.main import run
from speakerkd.config import parse
from speakerkd.corpora.cnceleb import prepare_cnceleb
from speakerkd.corpora.mavceleb import MavCelebSettings, prepare_mavceleb
from speakerkd.corpora.noises import prepare_musan
from speakerkd.corpora.voxceleb import prepare_vox1, prepare_vox2


def test_voxceleb2(media, tmp_path, work):
    for person in ("id1", "id2"):
        media.sound(f"v/dev/aac/{person}/a/1.wav")
        media.image(f"v/dev/mp4/{person}/a/1.png")
    media.sound("v/extra/id3/a/1.wav")
    media.image("v/dev/mp4/id1/b/1.png")
    media.text("v/dev/aac/id1/a/1.txt", "x")
    media.text("v/dev/aac/.DS_Store", "x")
    media.text("v/vox2_meta.csv", "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid1 ,n1 ,m ,dev \n")
    built = prepare_vox2(tmp_path / "data", tmp_path / "v", work)
    (tmp_path / "linked").symlink_to("v")  # the corpus reached by a link is the same corpus
    again = prepare_vox2(tmp_path / "data2", tmp_path / "linked", work)
    for one, root in ((built[0], "v"), (again[0], "linked")):
        line = str(one).splitlines()[1]
        assert line.startswith(f"left out of {tmp_path / root}: 1 whose ending is not read (.txt 1); ")
        assert set(line.partition(": ")[2].split("; ")[1:]) == {
            "1 pictures and videos of no recording, or beside the one that is taken",
            "1 recordings in other places, or beside one of their name",
            "1 hidden or a system's own",
        }


def test_voxceleb1(media, tmp_path, work):
    for person, count in (("id1", 2), ("id2", 3)):
        for number in range(count):
            media.sound(f"v/wav/{person}/a/{number}.wav")
    media.text("v/veri_test.txt", "1 id1/a/0.wav id1/a/1.wav\n0 id1/a/0.wav id2/a/0.wav\n")
    built = prepare_vox1(tmp_path / "data", tmp_path / "v", work)
    assert (
        built.left_out == f"left out of {tmp_path / 'v'}: 2 recordings that no list names, or beside one of their name"
    )


def test_cnceleb(media, tmp_path, work):
    for name in ("id1/s-01-001.flac", "id1/s-01-001.wav", "id2/s-01-001.flac", "id9/s-01-001.flac"):
        media.sound(f"c/data/{name}")
    media.text("c/spk.lst", "id1\nid2\n")
    (built,) = prepare_cnceleb(tmp_path / "data", work, cn2=tmp_path / "c", join=0)
    assert "2 recordings of speakers that the training list does not name" in built.left_out


def test_mavceleb(media, tmp_path, work):
    for name in ("voices/id1/English/v/0", "voices/English/0", "voices/Urdu/0"):
        media.sound(f"m/{name}.wav")
        media.image(f"m/{name.replace('voices', 'faces')}.png")
    media.text("m/English_train.txt", "k voices/id1/English/v/0.wav faces/id1/English/v/0.png\n")
    media.text("m/English_test.txt", "k voices/English/0.wav faces/English/0.png\n")
    settings = parse(MavCelebSettings, {"root": tmp_path / "m", "version": "v1"}, "test")
    built = prepare_mavceleb(tmp_path / "data", settings, work)
    assert built[0].left_out == f"left out of {tmp_path / 'm'}: 2 recordings and pictures that no list names"


def test_musan(media, tmp_path, work):
    media.sound("m/noise/free/a.wav")
    media.sound("m/other/a.wav")
    assert "1 recordings outside of noise, music, speech" in str(prepare_musan(tmp_path / "d", tmp_path / "m", work))


def test_pictures_of_one_sensor_and_of_two(tmp_path, capsys):
    for label in "ab":
        for number in range(6):
            for sensor in ("radar", "optical"):
                path = tmp_path / "in" / label / sensor / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8)).save(path)
    Image.new("RGB", (8, 8)).save(tmp_path / "in/a/radar/alone.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "in/stray.png")
    (tmp_path / "in/notes.txt").write_text("x")
    words = ["prepare", "images", str(tmp_path / "out"), "--root", str(tmp_path / "in"), "--max-rejected", "0.5"]
    with pytest.raises(SystemExit, match="0"):
        run([*words, "--sensors", "radar optical"])
    line = f"left out of {tmp_path / 'in'}: 1 whose ending is not read (.txt 1); "
    account = capsys.readouterr().out.splitlines()[1]
    assert account.startswith(line)
    assert set(account.removeprefix(line).split("; ")) == {
        "1 pictures of no class that is taken",
        "1 pictures without a partner (listed)",
    }
    with pytest.raises(SystemExit, match="0"):
        run([*words[:2], str(tmp_path / "one"), *words[3:]])
    assert capsys.readouterr().out.splitlines()[1] == line + "1 pictures of no class that is taken"
