"""A score file says how it came about and keeps every digit."""

import numpy as np
import pytest

from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation.scorefile import read_header, read_scores, write_scores


@pytest.fixture
def trials(tmp_path):
    path = tmp_path / "list"
    path.write_text("1 a b\n0 a c\n0 b c\n")
    return read_trials(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path, trials, dtype):
    scores = np.array([1 / 3, -1e-30, np.pi * 1e7], dtype)
    path = tmp_path / "s.txt"
    write_scores(path, trials, scores, {"protocol": "whole", "model": "exp/x\nabc"})
    np.testing.assert_array_equal(read_scores(path, trials).astype(dtype), scores)
    assert read_header(path) == {"protocol": "whole", "model": "exp/x abc"}
    assert path.read_text().splitlines()[2].split()[::3] == ["a", "target"]


def test_without_labels_there_is_no_fourth_column(tmp_path):
    (tmp_path / "list").write_text("a b\n")
    write_scores(tmp_path / "s", read_trials(tmp_path / "list"), np.array([0.5]), {})
    assert (tmp_path / "s").read_text() == "a b 0.5\n"


def test_scores_in_another_order_find_their_trials(tmp_path, trials):
    (tmp_path / "s").write_text("# kind: cosine\nb c 3 nontarget\nx y 9\na c 2\na b 1\n")
    assert read_scores(tmp_path / "s", trials).tolist() == [1, 2, 3]


def test_faults_are_named_with_their_line(tmp_path, trials):
    (tmp_path / "s").write_text("a b 1\na c two\n")
    with pytest.raises(InputError) as error:
        read_scores(tmp_path / "s", trials)
    assert error.value.where == f"{tmp_path / 's'}:2"
    (tmp_path / "s").write_text("a b 1\nb c 2\n")
    with pytest.raises(InputError, match="no score of 'a c'") as error:
        read_scores(tmp_path / "s", trials)
    assert error.value.where == f"{trials.path}:2"
