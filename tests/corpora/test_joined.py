"""CN-Celeb's short recordings are joined within a speaker and genre; a wrong joint would mix people or lose speech."""

import numpy as np
import pytest
import soundfile

from speakerkd.corpora.build import Recording
from speakerkd.corpora.cnceleb import prepare_cnceleb
from speakerkd.corpora.joined import join_short
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate


@pytest.fixture
def recordings(tmp_path):
    sounds = []
    for name, seconds in (
        ("id1/singing-01-001", 2.0),
        ("id1/singing-01-002", 2.5),
        ("id1/singing-02-001", 1.0),  # 5.5 s: the first piece is whole
        ("id1/singing-02-002", 4.0),  # left over: joins the piece before
        ("id1/singing-03-001", 6.0),  # long enough
        ("id1/drama-01-001", 3.0),  # alone in its genre
        ("id2/singing-01-001", 2.0),
        ("id2/singing-01-002", 3.0),
    ):
        path = tmp_path / "cn" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        level = (len(sounds) + 1) / 10
        soundfile.write(path, np.tile([level, -level], int(8000 * seconds)), 16000)
        sounds.append(Recording(name, str(path), name.split("/")[0], name.rpartition("-")[0]))
    return sounds


def test_pieces_by_hand(recordings, tmp_path, work):
    pieces = {one.key: one for one in join_short(recordings, tmp_path / "joined", 5.0, work)}
    assert set(pieces) == {
        "id1/singing-01-001-and-3", "id1/singing-03-001", "id1/drama-01-001", "id2/singing-01-001-and-1",
    }  # fmt: skip
    piece = pieces["id1/singing-01-001-and-3"]
    assert (piece.speaker, piece.session) == ("id1", "id1/singing")
    samples, rate = soundfile.read(piece.audio)
    assert rate == 16000 and len(samples) == 9.5 * 16000
    np.testing.assert_allclose(samples[[0, 32000, 72000, 88000]], [0.1, 0.2, 0.3, 0.4], atol=1e-4)


def test_a_second_run_makes_nothing_and_an_old_piece_goes(recordings, tmp_path, work):
    first = join_short(recordings, tmp_path / "joined", 5.0, work)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "joined").rglob("*.flac")}
    assert len(before) == 2
    assert join_short(recordings, tmp_path / "joined", 5.0, work) == first
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "joined").rglob("*.flac")}
    join_short(recordings[2:], tmp_path / "joined", 5.0, work)
    assert len(list((tmp_path / "joined").rglob("*.flac"))) == 2


def test_a_damaged_recording_is_refused_by_its_own_name(media, tmp_path, work):
    for number in (1, 2, 3):
        media.sound(f"cn2/data/id1/vlog-01-00{number}.flac", 2.0)
    media.text("cn2/data/id1/vlog-01-004.flac", "no sound")
    media.sound("cn2/data/id2/vlog-01-001.flac", 7.0)
    media.text("cn2/spk.lst", "id1\nid2\n")
    work = type(work)(jobs=1, max_rejected=0.5)
    (built,) = prepare_cnceleb(tmp_path / "data", work, cn2=media.root / "cn2")
    assert DataDir(built.path).keys == ["id1/vlog-01-001-and-2", "id2/vlog-01-001"]
    assert "id1/vlog-01-004" in (tmp_path / "data/train.rejected").read_text()
    assert validate(built.path) == []
    assert built.seconds == pytest.approx(13, abs=0.05)
