"""The verbs as a user meets them: what is printed, what is left on disk, and the exit status."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from speakerkd.cli.main import run


def call(*arguments):
    """The exit status of the command in this process."""
    with pytest.raises(SystemExit) as end:
        run([str(a) for a in arguments])
    return end.value.code or 0


@pytest.fixture
def rec(tmp_path):
    for speaker in ("Zo\u00eb K", "Li", "M", "N"):
        for session in "12":
            path = tmp_path / "rec" / speaker / session
            path.mkdir(parents=True)
            for utterance in "ab":
                soundfile.write(path / f"{utterance}.wav", np.sin(np.arange(4000)), 16000)
    return tmp_path / "rec"


PATTERN = r"(?P<speaker>[^/]+)/(?P<session>[^/]+)/(?P<utterance>[^/]+)$"


def test_folder_then_validate_then_trials(rec, tmp_path, capsys):
    out = tmp_path / "data"
    assert call("prepare", "folder", out, "--audio-root", rec, "--pattern", PATTERN, "--test-fraction", "0.5") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{out}/train: 8 utterances, 2 speakers, 0 with a face")
    assert lines[1].endswith("8 in, 8 out")
    assert call("validate", out / "test") == 0
    assert capsys.readouterr().out == f"{out}/test: valid\n"
    assert call("prepare", "trials", out / "test", "--count", "10", "--seed", "3") == 0
    assert len((out / "test/trials_original").read_text().splitlines()) == 10
    (out / "test/utt2dur").write_text("x 1\n")
    capsys.readouterr()
    assert call("validate", out / "test") == 1
    assert f"{out}/test/utt2dur:1: utterances are those of utt2spk: 'x' is not there" in capsys.readouterr().out


def test_bad_input_is_one_line_and_status_one(rec, tmp_path, capsys):
    (rec / "Li/1/a.wav").write_bytes(b"")
    out = tmp_path / "data"
    assert call("prepare", "folder", out, "--audio-root", rec, "--pattern", PATTERN) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("speakerkd: error: 1 of 16 refused, the first because of: empty file")
    assert "empty file" in (out / "train.rejected").read_text()
    assert [p.name for p in out.iterdir()] == ["train.rejected"]
    assert call("prepare", "folder", out, "--audio-root", rec, "--pattern", PATTERN, "--max-rejected", "0.1") == 0
    assert "15 out, 1 refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("prepare", "voxceleb", "OUT"),
        ("prepare", "voxceleb", "OUT", "--vox2", "NONE"),
        ("prepare", "cnceleb", "OUT", "--cn1", "NONE"),
        ("prepare", "musan", "OUT", "--root", "NONE"),
        ("prepare", "folder", "OUT", "--audio-root", "NONE", "--pattern", PATTERN),
        ("prepare", "folder", "OUT", "--audio-root", ".", "--pattern", "("),
        ("prepare", "folder", "OUT", "--audio-root", ".", "--pattern", PATTERN, "--max-rejected", "7"),
        ("prepare", "mini", "OUT", "--identities", "3"),
        ("prepare", "trials", "NONE"),
        ("prepare", "trials", ".", "--count", "many"),
        ("validate", "NONE"),
    ],
)
def test_faults_of_the_user(arguments, tmp_path, capsys):
    command = [{"OUT": tmp_path / "out", "NONE": tmp_path / "none", ".": tmp_path}.get(a, a) for a in arguments]
    assert call(*command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("speakerkd: error: ")
    assert not (tmp_path / "out").exists()


def test_bad_usage_is_status_two():
    assert call("prepare", "folder", "out") == 2
    assert call("prepare", "mini", "out", "--identities", "many") == 2


def test_help_has_an_example_and_does_not_load_heavy_packages():
    code = (
        "import sys\nfrom speakerkd.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'torch', 'av', 'soundfile', 'joblib', 'scipy'} & set(sys.modules)))"
    )
    for verb in (["prepare", v] for v in ("mini", "voxceleb", "cnceleb", "musan", "folder", "trials")):
        done = subprocess.run([sys.executable, "-c", code, *verb, "--help"], capture_output=True, text=True, check=True)
        assert "Example: speakerkd prepare" in done.stdout
        assert done.stdout.splitlines()[-1] == "[]"
