"""CN-Celeb's own layout: which recordings enrol a model decides its published figures."""

import pytest

from speakerkd.corpora.cnceleb import prepare_cnceleb
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from speakerkd.errors import InputError


@pytest.fixture
def cn1(media):
    for name in ("id00000/singing-01-001", "id00000/singing-01-002", "id00001/vlog-02-001"):
        media.sound(f"cn1/data/{name}.flac", 0.3)
    for name in ("id00800/interview-01-001", "id00800/interview-01-002", "id00800/drama-03-001"):
        media.sound(f"cn1/data/{name}.flac", 0.3)
    media.text("cn1/dev/dev.lst", "id00000\nid00001\n")
    media.sound("cn1/eval/enroll/id00800-enroll.flac", 0.6)
    media.sound("cn1/eval/test/id00800-singing-01-001.flac", 0.3)
    media.sound("cn1/eval/test/id00801-singing-01-001.flac", 0.3)
    media.text("cn1/eval/lists/enroll.lst", "id00800-enroll enroll/id00800-enroll.wav\n")
    media.text(
        "cn1/eval/lists/enroll.map", "id00800-enroll id00800/interview-01-001.wav id00800/interview-01-002.wav\n"
    )
    media.text(
        "cn1/eval/lists/trials.lst",
        "id00800-enroll test/id00800-singing-01-001.wav 1\nid00800-enroll test/id00801-singing-01-001.wav 0\n",
    )
    return media.root / "cn1"


def test_both_corpora(cn1, media, tmp_path, work):
    media.sound("cn2/data/id10001/live_broadcast-01-001.flac", 0.3)
    media.sound("cn2/data/id10002/live_broadcast-01-001.flac", 0.3)  # not listed
    media.text("cn2/spk.lst", "id10001\n")
    train, test = prepare_cnceleb(tmp_path / "data", work, cn1=cn1, cn2=media.root / "cn2", join=0)
    assert (train.utterances, train.speakers) == (4, 3)
    data = DataDir(train.path)
    assert data.table("utt2session")["id00000/singing-01-002"] == "id00000/singing-01"
    data = DataDir(test.path)
    assert data.keys == [
        "enroll/id00800-enroll",
        "id00800/interview-01-001",
        "id00800/interview-01-002",
        "test/id00800-singing-01-001",
        "test/id00801-singing-01-001",
    ]
    assert set(data.speakers) == {"id00800", "id00801"}
    assert data.table("utt2session")["test/id00801-singing-01-001"] == "id00801/singing-01"
    assert data.table("enroll.map") == {"id00800-enroll": "id00800/interview-01-001 id00800/interview-01-002"}
    assert data.trial_lists["eval"].read_text() == (cn1 / "eval/lists/trials.lst").read_text()
    assert data.trial_lists["concat"].read_text().splitlines()[0] == (
        "enroll/id00800-enroll test/id00800-singing-01-001.wav 1"
    )
    assert validate(train.path) == validate(test.path) == []


def test_without_a_map_the_joined_recordings_enrol(cn1, tmp_path, work):
    (cn1 / "eval/lists/enroll.map").unlink()
    _, test = prepare_cnceleb(tmp_path / "data", work, cn1=cn1)
    assert DataDir(test.path).table("enroll.map") == {"id00800-enroll": "enroll/id00800-enroll"}
    assert validate(test.path) == []


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("dev/dev.lst", "id00000\nid99999\n", r"speaker 'id99999' is not there, .*dev\.lst:2"),
        ("eval/lists/enroll.map", "id00800-enroll id00800/none-01-001.wav\n", r"none-01-001' is not there, .*map:1"),
        ("eval/lists/enroll.map", "id00800-enroll\n", r"enroll\.map:1"),
        ("eval/lists/enroll.lst", "id00800-enroll enroll/none.wav\n", r"enroll\.lst:1"),
        ("eval/lists/trials.lst", "id00800-enroll test/none.wav 1\n", r"'test/none.wav' is not there, .*trials\.lst:1"),
        ("eval/lists/trials.lst", "id00899-enroll test/id00800-singing-01-001.wav 1\n", r"id00899-enroll.*lst:1"),
        ("eval/lists/trials.lst", "one\n", r"broken line.*trials\.lst:1"),
    ],
)
def test_lists_that_name_what_is_not_there(cn1, media, tmp_path, work, name, content, match):
    media.text(f"cn1/{name}", content)
    with pytest.raises(InputError, match=match):
        prepare_cnceleb(tmp_path / "data", work, cn1=cn1)


def test_missing_parts(cn1, media, tmp_path, work):
    with pytest.raises(InputError, match="--cn1 DIR"):
        prepare_cnceleb(tmp_path / "data", work)
    (cn1 / "dev/dev.lst").unlink()
    with pytest.raises(InputError, match=r"no such list, .*dev\.lst"):
        prepare_cnceleb(tmp_path / "data", work, cn1=cn1)
    with pytest.raises(InputError, match="CN-Celeb2"):
        prepare_cnceleb(tmp_path / "data", work, cn2=media.root / "none")


def test_the_test_set_alone_with_the_genre_of_each_recording(cn1, tmp_path, work):
    (test,) = prepare_cnceleb(tmp_path / "data", work, cn1=cn1, train=False)
    assert test.path.name == "eval" and not (tmp_path / "data/train").exists()
    genres = DataDir(test.path).table("utt2genre")
    assert genres["test/id00800-singing-01-001"] == "singing" and genres["id00800/interview-01-002"] == "interview"
    assert "enroll/id00800-enroll" not in genres
