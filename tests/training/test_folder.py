"""The experiment directory: one run at a time, and no damaged file of it is in the way for ever."""

import contextlib
import subprocess
import sys

import pytest
import yaml

from speakerkd.errors import InputError
from speakerkd.training.checkpoint import State, newest_step
from speakerkd.training.experiment import check_experiment
from speakerkd.training.folder import begin_folder, checkpoints, enter_folder, finish, summary_of
from speakerkd.training.log import Log
from speakerkd.work.files import write_json

HOLD = """
import sys, time
from speakerkd.work.lock import working_in
with working_in(sys.argv[1], "speakerkd train"):
    print("held", flush=True)
    time.sleep(60)
"""
SUMMARY = {"step": 4, "seconds": 1.0, "figures": {}, "peak_gigabytes": 0.1}


@pytest.fixture
def run():
    return check_experiment({"task": "speaker", "data": {"train": "data/train"}}, "test")


@pytest.fixture
def begun(run, tmp_path):
    """The folder of a run that stopped at step 4."""
    folder = tmp_path / "exp"
    with contextlib.ExitStack() as held:
        begin_folder(folder, run, held)
    state = State(step=4, version="0", files={})
    write_json(checkpoints(folder) / "step-4/state.json", state.model_dump())
    return folder


def test_a_second_training_in_the_folder_is_refused_by_the_process_of_the_first(run, begun):
    first = subprocess.Popen([sys.executable, "-c", HOLD, begun], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"held\n"
    with contextlib.ExitStack() as held, pytest.raises(InputError, match=f"speakerkd train, process {first.pid}"):
        enter_folder(begun, run, True, held)
    first.kill()
    first.wait()
    with contextlib.ExitStack() as held:
        assert enter_folder(begun, run, True, held) == "resumed"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"step": 4}', "[" * 9000, "\xff"])
def test_a_damaged_finished_json_lets_the_run_end_once_more(run, begun, damage):
    finish(begun, SUMMARY, latest=False)
    with contextlib.ExitStack() as held:
        assert enter_folder(begun, run, False, held) == "finished"
    (begun / "finished.json").write_text(damage, "latin-1")
    assert summary_of(begun) is None
    with contextlib.ExitStack() as held:
        assert enter_folder(begun, run, True, held) == "resumed"


def test_resuming_drops_later_and_damaged_rows_of_the_log(tmp_path):
    rows = ['{"step": 1}\n', '{"step": 2, "terms": {}}\n', "\xff\n", '{"step": 9}\n', '{"step": 2, "te']
    (tmp_path / "log.jsonl").write_text("".join(rows), "latin-1")
    log = Log(tmp_path, 2)
    log.write({"step": 3})
    log.close()
    assert (tmp_path / "log.jsonl").read_text() == "".join(rows[:2]) + '{"step": 3}\n'


def test_a_config_that_is_no_config_names_the_file(run, begun):
    (begun / "config.yaml").write_text(yaml.safe_dump(["a"]))
    with contextlib.ExitStack() as held, pytest.raises(InputError, match="config.yaml"):
        enter_folder(begun, run, True, held)
    assert newest_step(checkpoints(begun)) == 4


def test_a_run_from_before_a_setting_was_added_is_resumed_with_its_default_and_no_other(run, begun):
    config = yaml.safe_load((begun / "config.yaml").read_text())
    assert config["train"].pop("clip_norm", "absent") != "absent"
    (begun / "config.yaml").write_text(yaml.safe_dump(config))
    with contextlib.ExitStack() as held:
        assert enter_folder(begun, run, True, held) == "resumed"
    values = {"task": "speaker", "data": {"train": "data/train"}, "train": {"clip_norm": 3.0}}
    with contextlib.ExitStack() as held, pytest.raises(InputError, match=r"other settings: train\.clip_norm"):
        enter_folder(begun, check_experiment(values, "test"), True, held)
