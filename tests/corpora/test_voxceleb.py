"""VoxCeleb's own layouts: mispaired faces, lost recordings or short lists would spoil every result silently."""

import pytest

from speakerkd.corpora.build import Work
from speakerkd.corpora.voxceleb import prepare_vox1, prepare_vox2
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from speakerkd.errors import InputError

META2 = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00015 ,n000015 ,f ,dev \n"
META1 = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10270\tEartha_Kitt\tf\tUSA\ttest\nid10271\tA B\tm\tUK\ttest\n"
)


@pytest.fixture
def vox2(media):
    for person, video in (("id00012", "21Uxsk56VDQ"), ("id00015", "-0 x_a")):
        for part in ("dev", "test") if person == "id00012" else ("dev",):
            for utterance in ("00001", "00002"):
                media.sound(f"vox2/{part}/aac/{person}/{video}/{utterance}.m4a", 0.4)
                media.video(f"vox2/{part}/mp4/{person}/{video}/{utterance}.mp4")
    media.text("vox2/vox2_meta.csv", META2)
    return media.root / "vox2"


@pytest.fixture
def vox1(media):
    for person in ("id10270", "id10271"):
        for utterance in ("00001", "00002"):
            media.sound(f"vox1/wav/{person}/5r0dWxy17C8/{utterance}.wav", 0.3)
    media.sound("vox1/wav/id10309/0b1inHMAr6o/00001.wav", 0.3)  # of the dev part: no list names it
    media.text(
        "vox1/veri_test.txt",
        "1 id10270/5r0dWxy17C8/00001.wav id10270/5r0dWxy17C8/00002.wav\n"
        "0 id10270/5r0dWxy17C8/00001.wav id10271/5r0dWxy17C8/00001.wav\n"
        "1 id10271/5r0dWxy17C8/00001.wav id10271/5r0dWxy17C8/00002.wav\n",
    )
    media.text("vox1/vox1_meta.csv", META1)
    return media.root / "vox1"


def test_vox2_pairs_each_recording_with_its_own_video(vox2, tmp_path, work):
    built = prepare_vox2(tmp_path / "data", vox2, work)
    assert [(b.path.name, b.utterances, b.speakers, b.faces) for b in built] == [("train", 4, 2, 4), ("test", 2, 1, 2)]
    train = DataDir(tmp_path / "data/train")
    assert train.keys == [
        "id00012/21Uxsk56VDQ/00001",
        "id00012/21Uxsk56VDQ/00002",
        "id00015/-0%20x_a/00001",
        "id00015/-0%20x_a/00002",
    ]
    key = "id00015/-0%20x_a/00002"
    assert train.table("wav.scp")[key] == str(vox2 / "dev/aac/id00015/-0 x_a/00002.m4a")
    assert train.table("face.scp")[key] == str(vox2 / "dev/mp4/id00015/-0 x_a/00002.mp4")
    assert train.table("utt2session")[key] == "id00015/-0%20x_a"
    assert train.table("spk2gender") == {"id00012": "m", "id00015": "f"}
    assert float(train.table("utt2dur")[key]) == pytest.approx(0.4, abs=0.08)
    assert validate(train.path) == []


def test_vox2_without_videos_meta_or_test_part(vox2, tmp_path, work):
    import shutil

    shutil.rmtree(vox2 / "dev/mp4")
    shutil.rmtree(vox2 / "test")
    (vox2 / "vox2_meta.csv").unlink()
    (built,) = prepare_vox2(tmp_path / "data", vox2, work)
    assert (built.utterances, built.faces) == (4, 0)
    assert not DataDir(built.path).has("face.scp")
    assert not DataDir(built.path).has("spk2gender")
    assert validate(built.path) == []


def test_faces_as_pictures_or_folders_of_pictures(vox2, media, tmp_path, work):
    (vox2 / "test/mp4/id00012/21Uxsk56VDQ/00001.mp4").unlink()
    (vox2 / "test/mp4/id00012/21Uxsk56VDQ/00002.mp4").unlink()
    media.image("vox2/test/mp4/id00012/21Uxsk56VDQ/00001.jpg")
    for number in range(3):
        media.image(f"vox2/test/mp4/id00012/21Uxsk56VDQ/00002/000{number}.jpg")
    test = DataDir(prepare_vox2(tmp_path / "data", vox2, work)[1].path)
    shown = [value.split("21Uxsk56VDQ/")[1] for value in test.table("face.scp").values()]
    assert shown == ["00001.jpg", "00002/0001.jpg"]  # of a folder, the one in the middle


def test_broken_media_are_listed_with_reasons(vox2, media, truncate, tmp_path):
    truncate(vox2 / "dev/aac/id00012/21Uxsk56VDQ/00001.m4a")
    media.text("vox2/dev/aac/id00012/21Uxsk56VDQ/00003.m4a", b"")
    media.text("vox2/dev/aac/id00012/stray.m4a", b"x")
    truncate(vox2 / "dev/mp4/id00015/-0 x_a/00001.mp4")
    media.text("vox2/dev/aac/id00015/-0\u00a0x_a/00002.m4a", b"x")
    media.text("vox2/dev/aac/id00015/-0%20x_a/00002.m4a", b"x")  # spelt as the key of another
    with pytest.raises(InputError, match=r"6 of 9 refused.*max-rejected"):
        prepare_vox2(tmp_path / "data", vox2, Work(jobs=1))
    assert not (tmp_path / "data/train").exists()
    listed = (tmp_path / "data/train.rejected").read_text().splitlines()
    reasons = {line.split("\t")[0]: line.split("\t")[1] for line in listed}
    assert "truncated" in reasons["id00012/21Uxsk56VDQ/00001"]
    assert "empty file" in reasons["id00012/21Uxsk56VDQ/00003"]
    assert "id/video/utterance" in reasons["id00012/stray"]
    assert reasons["id00015/-0%20x_a/00001"].startswith("the face: truncated")
    assert "duplicate key" in reasons["id00015/-0%20x_a/00002"]

    train = DataDir(prepare_vox2(tmp_path / "data", vox2, Work(jobs=1, max_rejected=0.7))[0].path)
    assert train.keys == ["id00012/21Uxsk56VDQ/00002", "id00015/-0%20x_a/00001", "id00015/-0%20x_a/00002"]
    assert train.paired == ["id00012/21Uxsk56VDQ/00002", "id00015/-0%20x_a/00002"]  # the sound is kept, unpaired
    assert validate(train.path) == []


def test_a_wav_made_beside_its_m4a_is_taken(vox2, media, tmp_path, work):
    path = media.sound("vox2/dev/aac/id00012/21Uxsk56VDQ/00001.wav", 0.4)
    train = DataDir(prepare_vox2(tmp_path / "data", vox2, work)[0].path)
    assert len(train.keys) == 4
    assert train.table("wav.scp")["id00012/21Uxsk56VDQ/00001"] == str(path)


def test_a_second_run_changes_nothing_and_a_new_file_is_seen(vox2, media, tmp_path, work):
    prepare_vox2(tmp_path / "data", vox2, work)
    table = tmp_path / "data/train/wav.scp"
    before = table.stat().st_mtime_ns
    (tmp_path / "data/train/feats.scp").write_text("id00012/21Uxsk56VDQ/00001 x.ark:5\n")
    assert prepare_vox2(tmp_path / "data", vox2, work)[0].account == "up to date"
    assert table.stat().st_mtime_ns == before
    media.sound("vox2/dev/aac/id00012/21Uxsk56VDQ/00009.m4a", 0.4)
    assert prepare_vox2(tmp_path / "data", vox2, work)[0].utterances == 5
    assert (tmp_path / "data/train/feats.scp").is_file()  # what later verbs added stays
    assert not (tmp_path / "data/train/.new").exists()


def test_several_processes_write_the_same_tables(vox2, tmp_path, work, monkeypatch):
    monkeypatch.setattr("speakerkd.corpora.build.CHUNK", 1)
    prepare_vox2(tmp_path / "one", vox2, work)
    prepare_vox2(tmp_path / "two", vox2, Work(jobs=2))
    for name in ("wav.scp", "face.scp", "utt2dur", "spk2utt"):
        assert (tmp_path / "one/train" / name).read_bytes() == (tmp_path / "two/train" / name).read_bytes()


def test_another_layout_is_named(media, tmp_path, work):
    media.sound("vox2/speech/a.wav")
    with pytest.raises(InputError, match=r"dev/aac/<id>"):
        prepare_vox2(tmp_path / "data", media.root / "vox2", work)
    with pytest.raises(InputError, match="no VoxCeleb2"):
        prepare_vox2(tmp_path / "data", media.root / "none", work)
    media.path("vox2/dev/aac/id1/x").mkdir(parents=True)
    with pytest.raises(InputError, match="no recordings"):
        prepare_vox2(tmp_path / "data", media.root / "vox2", work)


@pytest.mark.parametrize(
    ("content", "line"),
    [("a,b\nid1,m\n", 1), ("id ,Gender \nid1 ,m\nid2 ,x\n", 3), ("id ,Gender \nid1\n", 2)],
)
def test_a_broken_meta_table_is_named_with_its_line(vox2, media, tmp_path, work, content, line):
    media.text("vox2/vox2_meta.csv", content)
    with pytest.raises(InputError, match=rf"vox2_meta\.csv:{line}"):
        prepare_vox2(tmp_path / "data", vox2, work)


def test_vox1_holds_what_its_lists_name(vox1, media, tmp_path, work):
    media.text("vox1/list_test_hard.txt", "0 id10271/5r0dWxy17C8/00002.wav id10270/5r0dWxy17C8/00002.wav\r\n")
    built = prepare_vox1(tmp_path / "data", vox1, work)
    test = DataDir(built.path)
    assert (built.utterances, built.speakers, built.faces) == (4, 2, 0)
    assert "id10309/0b1inHMAr6o/00001" not in test.keys
    assert test.table("spk2gender") == {"id10270": "f", "id10271": "m"}
    assert list(test.trial_lists) == ["hard", "original"]
    assert test.trial_lists["original"].read_text() == (vox1 / "veri_test.txt").read_text()
    assert validate(test.path) == []


def test_vox1_in_two_parts_and_lists_elsewhere(vox1, tmp_path, work):
    (vox1 / "dev/wav").mkdir(parents=True)
    (vox1 / "test").mkdir()
    (vox1 / "wav/id10270").rename(vox1 / "dev/wav/id10270")
    (vox1 / "wav").rename(vox1 / "test/wav")
    (tmp_path / "lists").mkdir()
    (vox1 / "veri_test.txt").rename(tmp_path / "lists/veri_test2.txt")
    test = DataDir(prepare_vox1(tmp_path / "data", vox1, work, tmp_path / "lists").path)
    assert len(test.keys) == 4
    assert list(test.trial_lists) == ["cleaned"]


def test_a_list_that_names_an_unknown_recording(vox1, tmp_path, work):
    (vox1 / "wav/id10271/5r0dWxy17C8/00001.wav").unlink()
    (vox1 / "wav/id10271/5r0dWxy17C8/00002.wav").unlink()
    with pytest.raises(
        InputError, match=r"'id10271/5r0dWxy17C8/00001.wav' is not there \(and 1 more\), .*veri_test\.txt:2"
    ):
        prepare_vox1(tmp_path / "data", vox1, work)
    assert not (tmp_path / "data/vox1").exists()


@pytest.mark.parametrize(("content", "match"), [("1 a\nb\n", r":2"), ("", "empty list"), (b"\xff\xfe1 a b", "UTF-8")])
def test_broken_lists(vox1, media, tmp_path, work, content, match):
    media.text("vox1/veri_test.txt", content)
    with pytest.raises(InputError, match=match):
        prepare_vox1(tmp_path / "data", vox1, work)


def test_no_list_at_all(vox1, tmp_path, work):
    (vox1 / "veri_test.txt").unlink()
    with pytest.raises(InputError, match="no trial list"):
        prepare_vox1(tmp_path / "data", vox1, work)
