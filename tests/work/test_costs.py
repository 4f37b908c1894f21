"""What a stage took is summed over its runs, and never stands in the way of the work."""

import json
from types import SimpleNamespace

import pytest

from speakerkd.work import costs
from speakerkd.work.costs import Cost, read_costs, spending


def test_runs_are_summed_and_counted(tmp_path, monkeypatch):
    """By hand: 2.5 seconds and 4."""
    seconds = iter([10.0, 12.5, 100.0, 104.0])
    monkeypatch.setattr(costs, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    for _ in range(2):
        with spending(tmp_path, "fbank"):
            pass
    assert read_costs(tmp_path) == {"fbank": Cost(seconds=6.5, runs=2)}


def test_a_run_that_failed_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), spending(tmp_path, "faces"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["", "[]", '{"fbank": {"seconds": -1}}', '{"fbank": 3}'])
def test_a_damaged_record_starts_anew(tmp_path, damage):
    (tmp_path / "costs.json").write_text(damage)
    assert read_costs(tmp_path) == {}
    with spending(tmp_path, "fbank"):
        pass
    assert json.loads((tmp_path / "costs.json").read_text())["fbank"]["runs"] == 1


def test_no_folder_no_record(tmp_path):
    with spending(tmp_path / "none", "fbank"), spending(None, "fbank"):
        pass
    assert list(tmp_path.iterdir()) == []
