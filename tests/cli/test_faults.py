"""If these fail, a user meets a traceback, a page of text, or loses the answer of a finished job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from speakerkd.cli import main, validate
from speakerkd.cli.main import run

COMMAND = [sys.executable, "-m", "speakerkd.cli.main"]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Exit status and the lines of standard error of a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as end:
            run(list(words))
        return int(end.value.code or 0), capsys.readouterr().err.splitlines()

    return command


@pytest.mark.parametrize(
    "words",
    [
        "match-test data --options 0",
        "match-test data --options 2 0",
        "match-test data --protocol crops",
        "score --trials t --protocol zzz --embeddings e.npz",
        "score --trials t --embeddings e.npz --device zzz",
        "score --trials t --embeddings e.npz --false-accept nan",
        "score --trials t --embeddings e.npz --false-accept 0",
        "score --trials t --embeddings e.npz --prior inf",
        "score --trials t --embeddings e.npz --seed -1",
        "score --trials t --embeddings e.npz --top 1",
        "score --trials t --noise musan --db loud --model m",
        "embed data --out x.npz --protocol zzz",
        "embed data --out x.npz --max-rejected nan",
        "embed-teacher data --teacher ir50 --device cuda:x",
        "embed-teacher data --teacher ir50 --precision half",
        "verify a.wav b.wav --threshold nan --model m",
        "prepare folder out --audio-root . --pattern (",
        "prepare folder out --audio-root . --pattern x",
        "prepare trials . --count 0",
        "prepare mini out --identities 999999999999999999999",
        "fbank data --set high",
        "fbank data --set high=[",
        "fbank data --jobs -3",
        "train config.yaml --set seed.x=1",
        "train config.yaml --set loss.name=[a]",
        "train config.yaml --set loss=softmax",
        "train config.yaml --set data.train=[]",
        "train config.yaml --set data.train=2024-13-45",
        "train config.yaml --set distill=margin",
        "train config.yaml --set distill.0=3",
        "train config.yaml --set optim.lr=.nan",
        "train config.yaml --set train.device=tpu",
        "train config.yaml --set name=!!python/name:os.system",
        "train config.yaml --set student.name=[1,2]",
        "train config.yaml --set =3",
        "train absent.yaml",
        "completion tcsh",
        "nothing-of-the-kind",
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(words, call, tmp_path):
    (tmp_path / "config.yaml").write_text("data: {train: data}\n")
    status, lines = call(*words.split())
    assert status in (1, 2)
    (line,) = lines
    assert line.startswith("speakerkd: error: ") and len(line) < 700 and "this is a bug" not in line


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: " + "[" * 3000 + "]" * 3000,
        "a: &a [*a]\n",
        "data: !!python/object/apply:os.system [ls]\n",
        "data: !unknown {train: x}\n",
        "seed: !!int many\n",
        "seed: " + "9" * 6001 + "\n",
        "data: {train: 2024-01-01}\n",
        "name: 2024-13-45\ndata: {train: x}\n",
        "[1, 2]: 3\n",
        "- a\n- b\n",
        "inherit: 3\n",
        "inherit: config.yaml\n",
        "\0",
        "a: 'open\n",
        "data: {train: x}\nstudent: 7\n",
    ],
)
def test_a_config_that_cannot_be_read_is_refused_in_one_line(text, call, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    began = time.monotonic()
    status, lines = call("train", "config.yaml", "--check")
    assert status == 1 and len(lines) == 1 and len(lines[0]) < 700 and "this is a bug" not in lines[0]
    assert time.monotonic() - began < 10


def test_a_pipe_is_no_config(call, tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    assert call("train", "config.yaml") == (
        1,
        [
            "speakerkd: error: not a file, config.yaml, give the path of a YAML file, such as "
            "recipes/voxceleb/conf/base.yaml"
        ],
    )


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (ZeroDivisionError("oh"), 1, ["this is a bug in speakerkd", "ZeroDivisionError: oh", "SPEAKERKD_DEBUG=1"]),
        (EOFError(), 1, ["this is a bug", "EOFError"]),
        (RecursionError("deep"), 1, ["this is a bug"]),
        (MemoryError(), 1, ["out of memory"]),
        (OSError(28, "No space left on device", "x"), 1, ["no space left on device, x"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (main.Terminated(), 143, ["terminated"]),
    ],
)
def test_whatever_happens_ends_in_one_line(fault, status, words, call, monkeypatch):
    def fail(settings):
        raise fault

    monkeypatch.setattr(validate.validate, "function", fail)
    code, (line,) = call("validate", "data")
    assert code == status
    assert all(word in line for word in words)


def test_a_bug_shows_where_it_is_when_asked(call, monkeypatch):
    monkeypatch.setattr(validate.validate, "function", lambda settings: 1 / 0)
    monkeypatch.setenv("SPEAKERKD_DEBUG", "1")
    status, lines = call("validate", "data")
    assert status == 1
    assert lines[0].startswith("Traceback") and lines[-1].startswith("speakerkd: error: this is a bug")


@pytest.fixture
def valid(tmp_path) -> Path:
    """A data directory that is valid, with a name that ASCII lacks."""
    folder = tmp_path / "donn\u00e9es"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"RIFF")
    (folder / "wav.scp").write_text(f"a-1 {folder}/a.wav\n", "utf-8")
    (folder / "utt2spk").write_text("a-1 a\n")
    (folder / "spk2utt").write_text("a a-1\n")
    return folder


def test_no_encoding_of_the_output_loses_the_answer(valid):
    plain = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, "validate", valid], env=plain, capture_output=True)
    assert done.stderr == b"" and done.returncode == 0
    assert b"donn\\xe9es: valid" in done.stdout


def test_a_reader_that_has_gone_does_not_fail_a_finished_job(valid):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "validate", valid], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
@pytest.mark.parametrize("caught", [False, True])  # as the import of a library may
def test_a_signal_ends_with_its_line_and_status(number, status, word, caught):
    waiting = "try: time.sleep(60)\n    except BaseException: raise AttributeError" if caught else "time.sleep(60)"
    code = (
        "import signal, sys, time; from speakerkd.cli import main, validate\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as a terminal starts it, whoever runs the tests
        f"def wait(settings):\n    print('here', flush=True)\n    {waiting}\n"
        "validate.validate.function = wait; sys.argv = ['speakerkd', 'validate', 'x']; main.run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    _, message = process.communicate(timeout=30)
    assert (process.returncode, message) == (status, f"speakerkd: {word}\n")


def test_a_full_disk_below_standard_output_is_named():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("speakerkd: error: no space left on device, standard output, ")


def test_a_working_directory_that_is_gone_is_said(tmp_path):
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from speakerkd.cli.main import run; run(['networks'])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path / "gone", stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("speakerkd: error: the working directory is gone, ")
