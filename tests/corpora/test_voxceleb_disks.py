"""VoxCeleb as it lies on people's disks: parts missing, packed, doubled, damaged. What is lost is said, or named."""

import shutil

import pytest

from speakerkd.cli.corpus_parts import _busy
from speakerkd.cli.main import run
from speakerkd.corpora.voxceleb_parts import vox1_parts
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from tests.corpora.conftest import Media, cut

META2 = (
    "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n12 ,m ,dev \nid00015 ,n15 ,f ,dev \nid00017 ,n17 ,m ,test \n"
)
A, B, C = "id10270/5r0dWxy17C8", "id10271/1gtz-CUIygI", "id10001/1zcIwhmdeo4"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    media = Media(tmp_path_factory.mktemp("whole"))
    for part, person, video in (("dev", "id00012", "21Uxsk56VDQ"), ("dev", "id00015", "0fijmz4vTVU"),
                                ("test", "id00017", "01dfn2spqyE")):  # fmt: skip
        for utterance in ("00001", "00002"):
            media.sound(f"vox2/{part}/aac/{person}/{video}/{utterance}.m4a", 0.4)
            media.video(f"vox2/{part}/mp4/{person}/{video}/{utterance}.mp4")
    media.text("vox2/vox2_meta.csv", META2)
    for folder, video in (("test", A), ("test", B), ("dev", C)):
        for utterance in ("00001", "00002"):
            media.sound(f"vox1/{folder}/wav/{video}/{utterance}.wav", 0.3)
    pair = f"1 {A}/00001.wav {A}/00002.wav\n0 {A}/00001.wav {B}/00001.wav\n1 {B}/00001.wav {B}/00002.wav\n"
    media.text("vox1/veri_test.txt", pair)
    media.text("vox1/veri_test2.txt", pair)
    media.text("vox1/list_test_hard.txt", f"1 {C}/00001.wav {C}/00002.wav\n0 {C}/00001.wav {A}/00001.wav\n")
    media.text("vox1/vox1_meta.csv", "ID\tName\tGender\nid10270\tx\tf\nid10271\ty\tm\nid10001\tz\tm\n")
    for category in ("noise", "music", "speech"):
        media.sound(f"musan/{category}/free/{category}-0001.wav", 0.5)
    return media.root


@pytest.fixture
def disk(whole, tmp_path):
    return Media(shutil.copytree(whole, tmp_path / "disk"))


def speakerkd(capsys, *arguments):
    """(exit status, standard output, the last line of standard error)."""
    try:
        run([str(argument) for argument in arguments])
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err.strip().splitlines()[-1] if shown.err.strip() else ""


def prepare(capsys, disk, *more):
    roots = ("--vox1", disk.root / "vox1", "--vox2", disk.root / "vox2", "--jobs", 1)
    return speakerkd(capsys, "prepare", "voxceleb", disk.root / "data", *roots, *more)


def everything(root):
    return sorted((str(p.relative_to(root)), p.stat().st_mtime_ns) for p in root.rglob("*"))


def test_a_whole_corpus_leaves_nothing_out_and_is_not_written_to(disk, capsys):
    before = everything(disk.root)
    status, out, _ = prepare(capsys, disk)
    assert status == 0
    lost = [line for line in out.splitlines() if line.startswith("left out")]
    assert len(lost) == 1 and lost[0].startswith("left out: no other trial lists, and so without VoxCeleb1-E,")
    assert "list_test_all.txt, list_test_all2.txt, list_test_hard2.txt in the root" in lost[0]
    assert set(before) <= set(everything(disk.root)) and {p.name for p in disk.root.iterdir()} == {
        "data", "musan", "vox1", "vox2",
    }  # fmt: skip
    assert sorted(DataDir(disk.root / "data/vox1").trial_lists) == ["cleaned", "hard", "original"]
    for name in ("train", "test", "vox1"):
        assert validate(disk.root / "data" / name) == []


LOST = {  # what is taken away: what the user is told, and which data directories are there
    "vox2/test": ("no VoxCeleb2 test, sound, and so without matching", {"train", "vox1"}),
    "vox2/test/mp4": ("no VoxCeleb2 test, faces", {"train", "test", "vox1"}),
    "vox2/dev/mp4": ("without teaching, that is every system but `baseline`", {"train", "test", "vox1"}),
    "vox2/vox2_meta.csv": ("without same-gender matching", {"train", "test", "vox1"}),
    "vox1/veri_test.txt": ("without EER (O)", {"train", "test", "vox1"}),
    "vox1/list_test_hard.txt": ("without EER (H): Table 1", {"train", "test", "vox1"}),
    "vox1/vox1_meta.csv": ("no vox1_meta.csv", {"train", "test", "vox1"}),
    "vox1/dev": ("no scores of list_test_hard.txt: 1 of its 2 speakers are not on the disk", {"train", "test", "vox1"}),
}


@pytest.mark.parametrize("gone", LOST)
def test_an_optional_part_that_is_missing_is_said_with_what_it_costs(disk, capsys, gone):
    path = disk.root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    status, out, err = prepare(capsys, disk)
    words, directories = LOST[gone]
    assert status == 0, err
    assert any(line.startswith("left out: ") and words in line for line in out.splitlines()), out
    assert words in (disk.root / "data/left_out.tsv").read_text()
    assert {p.name for p in (disk.root / "data").iterdir() if p.is_dir()} == directories


def move(disk, old, new):
    (disk.root / new).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(disk.root / old, disk.root / new)


LAYOUTS = {
    "vox1_dev_wav/wav": [("vox1/test", "vox1/vox1_test_wav"), ("vox1/dev", "vox1/vox1_dev_wav")],
    "one wav folder": [("vox1/test/wav", "vox1/wav"), ("vox1/dev/wav/id10001", "vox1/wav/id10001")],
    "lists and metadata elsewhere": [
        ("vox1/veri_test.txt", "lists/veri_test.txt"),
        ("vox1/vox1_meta.csv", "lists/vox1_meta.csv"),
        ("vox2/vox2_meta.csv", "lists/vox2_meta.csv"),
    ],
    "aac and mp4 unpacked into folders of their own": [
        ("vox2/dev/aac", "vox2/vox2_dev_aac/dev/aac"),
        ("vox2/dev/mp4", "vox2/vox2_dev_mp4/dev/mp4"),
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_corpus_in_another_layout_gives_the_same_directories(disk, capsys, layout):
    assert prepare(capsys, disk)[0] == 0
    tables = {}
    for part in ("train", "test", "vox1"):
        for table in ("utt2spk", "spk2gender", "utt2session"):
            tables[part, table] = (disk.root / "data" / part / table).read_bytes()
    shutil.rmtree(disk.root / "data")
    (disk.root / "lists").mkdir()
    for old, new in LAYOUTS[layout]:
        move(disk, old, new)
    status, _, err = prepare(capsys, disk, "--lists", disk.root / "lists")
    assert status == 0, err
    assert tables == {key: (disk.root / "data" / key[0] / key[1]).read_bytes() for key in tables}
    assert len(DataDir(disk.root / "data/train").paired) == 4


def test_wav_beside_and_in_place_of_aac(disk, capsys):
    disk.sound("vox2/dev/wav/id00012/21Uxsk56VDQ/00001.wav", 0.4)
    disk.sound("vox2/dev/wav/id00012/21Uxsk56VDQ/00009.wav", 0.4)  # there is no m4a of this one
    assert prepare(capsys, disk)[0] == 0
    sounds = DataDir(disk.root / "data/train").table("wav.scp")
    assert len(sounds) == 5
    assert sounds["id00012/21Uxsk56VDQ/00001"].endswith("dev/wav/id00012/21Uxsk56VDQ/00001.wav")
    assert sounds["id00012/21Uxsk56VDQ/00002"].endswith("dev/aac/id00012/21Uxsk56VDQ/00002.m4a")
    shutil.rmtree(disk.root / "vox2/dev/aac")
    assert prepare(capsys, disk)[0] == 0
    assert len(DataDir(disk.root / "data/train").keys) == 2


def test_parts_that_are_not_unpacked_are_named(disk, capsys):
    shutil.rmtree(disk.root / "vox2/dev/mp4")
    for letter in "abc":
        disk.text(f"vox2/vox2_dev_mp4_parta{letter}", "x")
    status, out, _ = prepare(capsys, disk)
    assert status == 0 and "vox2_dev_mp4_partaa and 2 more" in out
    shutil.rmtree(disk.root / "vox2/dev")
    shutil.rmtree(disk.root / "vox2/test")
    disk.text("vox2/vox2_aac.zip", "x")
    status, _, err = prepare(capsys, disk)
    assert status == 1 and "neither dev nor test" in err and "unpack vox2_aac.zip and 3 more" in err
    shutil.rmtree(disk.root / "vox1/test")
    shutil.rmtree(disk.root / "vox1/dev")
    disk.text("vox1/vox1_test_wav.zip", "x")
    roots = ("--vox1", disk.root / "vox1")
    status, _, err = speakerkd(capsys, "prepare", "voxceleb", disk.root / "data2", *roots)
    assert status == 1 and "unpack vox1_test_wav.zip" in err


def break_list(text):
    return lambda disk: disk.text("vox1/veri_test.txt", text)


DAMAGED = {  # what is wrong, and the words and the file that name it
    "a truncated m4a": (lambda d: cut(d.root / "vox2/dev/aac/id00012/21Uxsk56VDQ/00001.m4a"), "train.rejected"),
    "an empty m4a": (lambda d: d.text("vox2/dev/aac/id00012/21Uxsk56VDQ/00001.m4a", ""), "empty file"),
    "a truncated mp4": (lambda d: cut(d.root / "vox2/dev/mp4/id00012/21Uxsk56VDQ/00001.mp4"), "truncated"),
    "a recording one folder too high": (lambda d: d.sound("vox2/dev/aac/id00012/00001.m4a", 0.4), "id/video/utterance"),
    "text in place of sound": (lambda d: d.text("vox1/test/wav/" + A + "/00001.wav", "no sound"), "vox1.rejected"),
    "a recording that a list names is gone": (lambda d: (d.root / f"vox1/test/wav/{A}/00002.wav").unlink(), "txt:1"),
    "a broken line": (break_list(f"1 {A}/00001.wav {A}/00002.wav\n1 {A}\n"), "veri_test.txt:2"),
    "an empty list": (break_list(""), "an empty list"),
    "a list that is not text": (break_list(b"\xff\xfe1 a b"), "UTF-8"),
    "a meta table without genders": (lambda d: d.text("vox2/vox2_meta.csv", "ID,Set\nid00012,dev\n"), "csv:1"),
    "a meta table with another gender": (lambda d: d.text("vox2/vox2_meta.csv", "ID,Gender\nid00012,x\n"), "csv:2"),
    "no recordings in dev/aac": (lambda d: [shutil.rmtree(p) for p in (d.root / "vox2/dev/aac").iterdir()], "left out"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_named_with_its_file_and_nothing_is_half_written(disk, capsys, damage):
    spoil, words = DAMAGED[damage]
    spoil(disk)
    status, out, err = prepare(capsys, disk)
    if words == "left out":
        assert status == 0 and "left out: no VoxCeleb2 dev, sound" in out
        return
    assert status == 1 and words in err and err.startswith("speakerkd: error: ")
    for name in ("train", "test", "vox1"):  # a directory is whole, or not there
        assert not (disk.root / "data" / name).exists() or validate(disk.root / "data" / name) == []
    status, _, err = prepare(capsys, disk, "--max-rejected", "0.9")
    lists_at_fault = "veri_test" in words or words in ("txt:1", "an empty list", "UTF-8", "csv:1", "csv:2")
    assert status == (1 if lists_at_fault else 0), err


def test_a_folder_is_of_the_part_that_its_name_says(media):
    """Or, where it is called wav alone, of the part whose speakers it holds: the test's are id10270 to id10309."""
    for name in ("a/test/wav/idx/v/1.wav", "b/vox1_dev_wav/wav/idx/v/1.wav", "c/wav/id10270/v/1.wav"):
        media.text(name, "x")
    there = {root: [part.name for part in vox1_parts(media.root / root)[:2] if part.paths] for root in ("a", "b", "c")}
    test, dev = "VoxCeleb1 test, sound", "VoxCeleb1 dev, sound"
    assert there == {"a": [test], "b": [dev], "c": [test]}


def test_doctor_shows_each_part_and_stops_where_a_required_one_is_missing(disk, capsys, tmp_path):
    roots = ("--vox1", disk.root / "vox1", "--vox2", disk.root / "vox2", "--musan", disk.root / "musan")
    record = tmp_path / "left_out.tsv"
    common = ("doctor", "--corpus", "voxceleb", *roots, "--measure", 0, "--left-out", record)
    status, out, _ = speakerkd(capsys, *common)
    assert status == 0
    assert "here    VoxCeleb2 dev, sound" in out and "here    MUSAN" in out
    assert "backbone_ir50_ms1m_epoch120.pth" in out and "weights of IR-50\t" in record.read_text()
    shutil.rmtree(disk.root / "vox2/dev/aac")
    disk.text("vox2/vox2_dev_aac_partaa", "x")
    status, out, err = speakerkd(capsys, *common)
    assert status == 1 and "PACKED  VoxCeleb2 dev, sound" in out and "unpack vox2_dev_aac_partaa" in out
    assert "required part is missing" in err
    assert speakerkd(capsys, "doctor", "--corpus", "voxcelebs")[0] == 1


def test_a_measurement_beside_other_work_is_said_to_be_one(monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (11.4, 1.0, 1.0))
    assert "load 11 on 2 cores" in _busy(2) and _busy(16) == ""
