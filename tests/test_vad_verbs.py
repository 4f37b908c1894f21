"""--vad means one thing in every verb: what is heard is the speech alone, with torch and without."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import speakerkd
from speakerkd.cli.main import run
from speakerkd.corpora.build import Work
from speakerkd.corpora.folder import prepare_folder
from speakerkd.corpora.folder_settings import FolderSettings
from speakerkd.data.datadir import DataDir, write_datadir
from speakerkd.frontend.audio import read_audio

pytest.importorskip("silero_vad")
pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A folder: speech (a.wav), the same speech with 2 s of faint hum before and after (b.wav), hum alone (c.wav)."""
    from speakerkd.corpora.mini import voices

    folder = tmp_path_factory.mktemp("spoken") / "rec/ann/day"
    folder.mkdir(parents=True)
    speech = voices.speak(
        "A tall sailor sold several copper kettles, and then went home", voices.from_face(np.zeros(6))
    )
    hum = 0.002 * np.sin(np.arange(32000) / 9).astype(np.float32)
    for name, samples in (("a", speech), ("b", np.concatenate([hum, speech, hum])), ("c", hum)):
        soundfile.write(folder / f"{name}.wav", samples, 16000)
    return folder


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        run([str(a) for a in arguments])
    shown = capsys.readouterr()
    return end.value.code or 0, shown.out, shown.err


def test_what_is_heard_is_the_speech(spoken):
    alone, among = (len(read_audio(spoken / f"{name}.wav", vad=True)) / 16000 for name in "ab")
    assert among == pytest.approx(alone, abs=0.2) and len(read_audio(spoken / "b.wav")) / 16000 > alone + 3.8


def test_embed_leaves_it_out_with_torch_and_without(spoken, tiny, tmp_path, capsys):
    from speakerkd.export import export_model

    pytest.importorskip("onnx")
    data = tmp_path / "data"
    write_datadir(
        data, {"wav.scp": {"a": str(spoken / "a.wav"), "b": str(spoken / "b.wav")}, "utt2spk": {"a": "s", "b": "s"}}
    )
    model = speakerkd.load(tiny, "cpu", vad=True)
    expected = model.embed([spoken / "a.wav", spoken / "b.wav"])
    embed = ("embed", data, "--protocol", "whole", "--max-rejected", "0")
    for name, options in (("plain", ()), ("vad", ("--vad",))):
        status, _, err = call(capsys, *embed, "--model", tiny, "--out", tmp_path / f"{name}.npz", *options)
        assert status == 0, err
    plain, heard = (np.load(tmp_path / f"{name}.npz")["embedding"] for name in ("plain", "vad"))
    heard = heard / np.linalg.norm(heard, axis=1, keepdims=True)
    np.testing.assert_allclose(heard, expected, atol=1e-3)
    assert np.abs(plain[1] / np.linalg.norm(plain[1]) - expected[1]).max() > 0.02
    export_model(tiny, tmp_path / "onnx")
    gallery, files = tmp_path / "team.db", [spoken / f"{name}.wav" for name in "abc"]
    commands = [
        [*embed, "--out", tmp_path / "o.npz"],
        ["enroll", gallery, "--name", "Ann", "--audios", files[0]],
        ["identify", gallery, "--audio", files[1], "--threshold", "0.5"],
        ["verify", files[0], files[2]],
    ]
    common = ["--runtime", "onnx", "--model", tmp_path / "onnx", "--vad"]
    code = (
        "import json, sys; sys.modules['torch'] = None\n"
        "from speakerkd.cli.main import run\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    try: run(arguments)\n"
        "    except SystemExit as end: print('status', end.code or 0, flush=True)\n"
    )
    typed = json.dumps([[str(word) for word in (*command, *common)] for command in commands])
    done = subprocess.run([sys.executable, "-c", code, typed], capture_output=True, text=True)
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status")]
    assert statuses == ["status 0", "status 0", "status 0", "status 1"], done.stderr
    assert (np.load(tmp_path / "o.npz")["embedding"] * expected).sum(1).min() > 0.995
    assert f"nobody speaks in it, {files[2]}" in done.stderr and "identified: Ann" in done.stdout
    # the same model's gallery: torch goes on with it
    status, out, err = call(capsys, "identify", gallery, "--model", tiny, "--vad", "--audio", spoken / "b.wav")
    assert status == 0 and "nearest: Ann" in out, err


def test_prepare_folder_writes_the_speech_and_counts_what_has_none(spoken, tmp_path, capsys):
    pattern = "(?P<speaker>[^/]+)/(?P<session>[^/]+)/(?P<utterance>[^/]+)$"
    settings = FolderSettings(pattern=pattern, vad=True)
    work = Work(1, None, 0.5)
    root = shutil.copytree(spoken.parents[1], tmp_path / "rec")
    (built,) = prepare_folder(tmp_path / "data", root, None, settings, work)
    data = DataDir(built.path)
    assert data.keys == ["ann/day/a", "ann/day/b"] and built.seconds < 8
    assert "ann/day/c" in (tmp_path / "data/train.rejected").read_text()
    files = [tmp_path / "data/speech/train" / file for file in data.table("wav.scp").values()]
    times = [file.stat().st_mtime_ns for file in files]
    for file in files:
        assert file.suffix == ".flac" and soundfile.info(file).samplerate == 16000
    (again,) = prepare_folder(tmp_path / "data", root, None, settings, work)
    assert "up to date" in again.account and [file.stat().st_mtime_ns for file in files] == times
    soundfile.write(root / "ann/day/a.wav", soundfile.read(spoken / "b.wav")[0], 16000)
    prepare_folder(tmp_path / "data", root, None, settings, work)  # another sound: another copy, and the old one goes
    assert len(list((tmp_path / "data/speech").rglob("*.flac"))) == 2
    (plain,) = prepare_folder(tmp_path / "data", root, None, FolderSettings(pattern=pattern), Work(1, None, 0.5))
    assert plain.utterances == 3
