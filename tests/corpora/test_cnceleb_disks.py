"""CN-Celeb as it lies on people's disks, damaged, doubled or missing: what is lost is said, or named."""

import shutil

import pytest

from speakerkd.cli.main import run
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from tests.corpora.conftest import Media, cut

LISTS = "cn1/eval/lists/"
ENROL = "id00800-enroll id00800/vlog-01-001.wav id00800/vlog-01-002.wav\n"
TRIALS = "id00800-enroll test/id00800-drama-01-001.wav 1\nid00800-enroll test/id00801-drama-01-001.wav 0\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    media = Media(tmp_path_factory.mktemp("whole"))
    for person in ("id00000", "id00001"):
        for take in (1, 2):
            media.sound(f"cn1/data/{person}/singing-01-00{take}.flac", 2.6)
    for take in (1, 2):
        media.sound(f"cn1/data/id00800/vlog-01-00{take}.flac", 0.4)
        media.sound(f"cn2/data/id10000/speech-01-00{take}.flac", 2.6)
    for person in ("id00800", "id00801"):
        media.sound(f"cn1/eval/test/{person}-drama-01-001.flac", 0.4)
    media.sound("cn1/eval/enroll/id00800-enroll.flac", 0.8)
    media.text("cn1/dev/dev.lst", "id00000\nid00001\n")
    media.text("cn2/spk.lst", "id10000\n")
    media.text(LISTS + "trials.lst", TRIALS)
    media.text(LISTS + "enroll.map", ENROL)
    media.text(LISTS + "enroll.lst", "id00800-enroll enroll/id00800-enroll.wav\n")
    return media.root


@pytest.fixture
def disk(whole, tmp_path):
    return Media(shutil.copytree(whole, tmp_path / "disk"))


def prepare(capsys, disk, *more):
    """(exit status, standard output, the last line of standard error)."""
    words = ["prepare", "cnceleb", disk.root / "data", "--cn1", disk.root / "cn1", "--cn2", disk.root / "cn2"]
    try:
        run([str(word) for word in [*words, "--jobs", 1, *more]])
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err.strip().splitlines()[-1] if shown.err.strip() else ""


def gone(name):
    def remove(disk):
        path = disk.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def text(name, content):
    return lambda disk: disk.text(name, content)


def packed(disk):
    gone("cn1/data")(disk)
    disk.text("cn1/cn-celeb_v2.tar.gz", "x")


REFUSED = {  # what is done to the disk: words of the one line that says what is wrong, and where
    "a truncated recording": (lambda d: cut(d.root / "cn1/data/id00000/singing-01-001.flac"), "singing-01-001"),
    "an empty recording": (text("cn1/data/id00000/singing-01-001.flac", ""), "empty"),
    "text in place of a test recording": (text("cn1/eval/test/id00800-drama-01-001.flac", "no sound"), "eval.rejected"),
    "an empty joined recording": (text("cn1/eval/enroll/id00800-enroll.flac", ""), "id00800-enroll"),
    "no eval": (gone("cn1/eval"), "test set of CN-Celeb1"),
    "no eval/test": (gone("cn1/eval/test"), "eval/test of CN-Celeb1"),
    "no eval/enroll": (gone("cn1/eval/enroll"), "eval/enroll of CN-Celeb1"),
    "no trials.lst": (gone(LISTS + "trials.lst"), "trials.lst"),
    "no enroll.lst": (gone(LISTS + "enroll.lst"), "enroll.lst"),
    "no dev.lst": (gone("cn1/dev/dev.lst"), "dev.lst"),
    "no spk.lst": (gone("cn2/spk.lst"), "spk.lst"),
    "packed": (packed, "unpack cn-celeb_v2.tar.gz"),
    "a speaker of dev.lst is gone": (gone("cn1/data/id00001"), "dev.lst:2"),
    "a speaker of spk.lst is gone": (gone("cn2/data/id10000"), "spk.lst:1"),
    "an enrolment recording is gone": (gone("cn1/data/id00800/vlog-01-002.flac"), "enroll.map:1"),
    "a test recording is gone": (gone("cn1/eval/test/id00801-drama-01-001.flac"), "trials.lst:2"),
    "an empty trial list": (text(LISTS + "trials.lst", ""), "trials.lst"),
    "an empty enroll.map": (text(LISTS + "enroll.map", ""), "enroll.map"),
    "a broken trial": (text(LISTS + "trials.lst", TRIALS + "id00800-enroll\n"), "trials.lst:3"),
    "a label that is none": (text(LISTS + "trials.lst", TRIALS.replace(" 0", " 7")), "trials.lst:2"),
    "a list that is not text": (text(LISTS + "trials.lst", b"\xff\xfe1 a"), "UTF-8"),
    "a model of the trials that nothing enrols": (
        text(LISTS + "trials.lst", TRIALS.replace("id00800-enroll", "id00802-enroll", 1)), "id00802-enroll"),
    "a model listed twice": (text(LISTS + "enroll.map", ENROL + ENROL.replace("002", "001")), "enroll.map:2"),
    "a model joined twice": (
        text(LISTS + "enroll.lst", 2 * "id00800-enroll enroll/id00800-enroll.wav\n"), "enroll.lst:2"),
}  # fmt: skip


@pytest.mark.parametrize("damage", REFUSED)
def test_damage_is_named_with_its_file_and_nothing_is_half_written(disk, capsys, damage):
    spoil, words = REFUSED[damage]
    spoil(disk)
    status, _, err = prepare(capsys, disk)
    assert status == 1 and err.startswith("speakerkd: error: ") and words in err
    for name in ("train", "eval"):  # a directory is whole, or not there
        assert not (disk.root / "data" / name / "wav.scp").exists() or validate(disk.root / "data" / name) == []


TAKEN = {  # what is done to the disk: words that say what it costs, speakers and recordings to train on
    "nothing": (lambda d: None, "", 3, 3),
    "no enroll.map": (gone(LISTS + "enroll.map"), "enroll.map", 3, 3),
    "a recording twice, as wav too": (
        lambda d: d.sound("cn1/data/id00000/singing-01-001.wav", 2.6), "", 3, 3),
    "a speaker listed twice": (text("cn1/dev/dev.lst", "id00000\nid00001\nid00000\n"), "", 3, 3),
    "a speaker who is not listed": (lambda d: d.sound("cn1/data/id00002/singing-01-001.flac", 2.6), "", 3, 3),
}  # fmt: skip


@pytest.mark.parametrize("change", TAKEN)
def test_what_can_be_done_without_is_said(disk, capsys, change):
    spoil, words, speakers, recordings = TAKEN[change]
    spoil(disk)
    status, out, err = prepare(capsys, disk)
    assert status == 0, err
    data = DataDir(disk.root / "data/train")
    assert (len(set(data.speakers)), len(data.keys)) == (speakers, recordings)  # two of 2.6 s are joined
    assert words in out
    assert validate(disk.root / "data/train") == validate(disk.root / "data/eval") == []
