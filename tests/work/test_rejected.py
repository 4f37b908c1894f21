"""The list of what was refused: without it users lose recordings silently."""

import pytest

from speakerkd.errors import InputError
from speakerkd.work.rejected import Rejected


def test_within_the_limit_the_list_is_written_with_reasons(tmp_path):
    rejected = Rejected(tmp_path / "train", limit=0.01)
    rejected.take(99)
    rejected.refuse("id1/a b", InputError("empty\nfile", "/x/y.wav", "mend it"))
    rejected.close()  # one in a hundred is not more than 1 %
    assert (tmp_path / "train.rejected").read_text() == "id1/a b\tempty file, /x/y.wav, mend it\n"
    assert str(rejected).startswith("100 in, 99 out, 1 refused")


def test_above_the_limit_fails_and_keeps_the_list(tmp_path):
    rejected = Rejected(tmp_path / "train", limit=0.01)
    rejected.take(98)
    rejected.refuse("a", "empty")
    with pytest.raises(InputError, match=r"1 of 99 refused.*empty.*train\.rejected"):
        rejected.close()
    assert (tmp_path / "train.rejected").is_file()


def test_nothing_left_fails_whatever_the_limit(tmp_path):
    rejected = Rejected(tmp_path / "train", limit=1)
    rejected.refuse("a", "empty")
    with pytest.raises(InputError):
        rejected.close()


def test_a_clean_run_removes_the_list_of_an_earlier_one(tmp_path):
    (tmp_path / "train.rejected").write_text("old\treason\n")
    rejected = Rejected(tmp_path / "train")
    rejected.take()
    rejected.close()
    assert not (tmp_path / "train.rejected").exists()


def test_limit_out_of_range():
    with pytest.raises(InputError, match="max-rejected"):
        Rejected("x", limit=2)
