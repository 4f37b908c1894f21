"""What a user loses if these fail: a day of extraction after a kill, or training on features of other recordings."""

import json

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from speakerkd.cli.main import run
from speakerkd.data.archive import FeatureArchive
from speakerkd.data.datadir import read_table, write_table
from speakerkd.errors import InputError
from speakerkd.frontend import extract
from speakerkd.frontend.extract import extract_fbank
from speakerkd.frontend.fbank import FbankSettings


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    table = {}
    for number, seconds in enumerate([0.3, 0.5, 1.0, 0.03, 0.7]):
        path = tmp_path / "wav" / f"été {number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, int(seconds * 16000)), 16000)
        table[f"id{number % 2}/v%20{number}/00001"] = str(path)
    directory = tmp_path / "data"
    write_table(directory / "wav.scp", table)
    return directory


@pytest.fixture
def reads(monkeypatch):
    """The recordings that were read, in order; batches of two."""
    monkeypatch.setattr(extract, "LEAST_BATCH", 2)
    calls = []
    read = extract.record_sound

    def counted(sound, rate, truncated):
        calls.append(sound.path)
        return read(sound, rate, truncated)

    monkeypatch.setattr(extract, "record_sound", counted)
    return calls


def snapshot(directory):
    return {p.relative_to(directory): (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.rglob("*.ark")}


def test_features_are_those_of_torchaudio_up_to_two_bytes(data):
    rejected = extract_fbank(data)
    assert (rejected.taken, len(rejected)) == (5, 0)
    wavs = read_table(data / "wav.scp")
    for key, matrix in kaldiio.load_scp(str(data / "feats.scp")).items():
        wave, _ = torchaudio_load(wavs[key])
        expected = torchaudio.compliance.kaldi.fbank(
            wave * 32768, num_mel_bins=40, dither=0, window_type="hamming", frame_length=25, frame_shift=10
        ).numpy()
        assert np.abs(matrix - expected).max() <= 0.51 * np.ptp(expected) / 65535 + 1e-4
    assert read_table(data / "utt2num_frames")["id0/v%200/00001"] == "28"
    assert read_table(data / "utt2dur")["id0/v%200/00001"] == "0.300"
    assert FeatureArchive(data / "feats.scp").keys == sorted(wavs)
    assert json.loads((data / "feats.json").read_text()) == FbankSettings().model_dump()
    assert not (data / "fbank.rejected").exists()


def torchaudio_load(path):
    samples, rate = soundfile.read(path, dtype="float32")
    return torch.from_numpy(samples)[None], rate


def test_a_second_run_reads_nothing(data, reads):
    extract_fbank(data)
    before, listed = snapshot(data), (data / "feats.scp").stat().st_mtime_ns
    reads.clear()
    assert extract_fbank(data).taken == 5
    assert reads == [] and snapshot(data) == before and (data / "feats.scp").stat().st_mtime_ns == listed


def test_only_what_is_new_or_changed_is_read(data, reads, tmp_path):
    extract_fbank(data)
    table = read_table(data / "wav.scp")
    changed, gone = table["id1/v%201/00001"], "id0/v%200/00001"
    soundfile.write(changed, np.random.default_rng(9).normal(0, 0.1, 8800), 16000)
    soundfile.write(tmp_path / "new.wav", np.random.default_rng(8).normal(0, 0.1, 4000), 16000)
    del table[gone]
    write_table(data / "wav.scp", table | {"new": str(tmp_path / "new.wav")})
    reads.clear()
    extract_fbank(data)
    assert sorted(reads) == sorted([changed, str(tmp_path / "new.wav")])
    features = FeatureArchive(data / "feats.scp")
    assert gone not in features.index and features.frames[features.index["id1/v%201/00001"]] == 53
    assert features.frames[features.index["new"]] == 23
    extract_fbank(data, FbankSettings(mels=64))
    assert len(reads) == 2 + 5 and FeatureArchive(data / "feats.scp").dim == 64
    assert len(list((data / "fbank").glob("*.ark"))) == 3  # those of 40 bands are gone


def test_a_killed_run_goes_on_where_it_stopped(data, reads, monkeypatch):
    read = extract.record_sound

    def stop_at_the_fourth(sound, rate, truncated):
        if len(reads) == 3:
            raise KeyboardInterrupt
        return read(sound, rate, truncated)

    with monkeypatch.context() as patch:
        patch.setattr(extract, "record_sound", stop_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            extract_fbank(data)
    assert not (data / "feats.scp").exists() and len(list((data / "fbank").glob("*"))) == 2
    (data / "fbank" / ".000001.ark.xyz.part").touch()  # what SIGKILL leaves
    reads.clear()
    extract_fbank(data)
    assert len(reads) == 3 and len(read_table(data / "feats.scp")) == 5
    assert not list((data / "fbank").glob(".*"))


def test_a_lost_ark_is_made_again(data, reads):
    extract_fbank(data)
    (data / "fbank" / "000001.ark").unlink()
    reads.clear()
    extract_fbank(data)
    assert len(reads) == 2 and len(FeatureArchive(data / "feats.scp")) == 5


def test_what_is_refused_is_listed_with_the_reason_and_not_tried_again(data, reads, tmp_path):
    (tmp_path / "cut.wav").write_bytes((tmp_path / "wav" / "été 2.wav").read_bytes()[:900])
    soundfile.write(tmp_path / "short.wav", np.random.default_rng(0).normal(size=399) * 0.1, 16000)
    table = read_table(data / "wav.scp") | {
        "cut": str(tmp_path / "cut.wav"),
        "short": str(tmp_path / "short.wav"),
        "gone": "/nowhere/a b.wav",
        "pipe": "sox a.wav -t wav - |",
    }
    write_table(data / "wav.scp", table)
    with pytest.raises(InputError, match="4 of 9 refused"):
        extract_fbank(data)
    assert not (data / "feats.scp").exists()
    reads.clear()
    rejected = extract_fbank(data, max_rejected=0.5)
    assert reads == [] and (rejected.taken, len(rejected)) == (5, 4)
    reasons = dict(line.split("\t") for line in (data / "fbank.rejected").read_text().splitlines())
    assert {key: reason.split(",")[0].split(":")[0] for key, reason in reasons.items()} == {
        "cut": "truncated",
        "short": "0.025 s",
        "gone": "no such recording",
        "pipe": "a command line",
    }
    soundfile.write(tmp_path / "cut.wav", np.random.default_rng(0).normal(size=4000) * 0.1, 16000)
    assert extract_fbank(data, max_rejected=0.5).taken == 6


@pytest.mark.slow
def test_processes_give_the_same_numbers(data, monkeypatch):
    extract_fbank(data)
    one = {key: matrix.copy() for key, matrix in kaldiio.load_scp(str(data / "feats.scp")).items()}
    monkeypatch.setattr(extract, "LEAST_BATCH", 2)
    for path in (data / "fbank").glob("*"):
        path.unlink()
    extract_fbank(data, jobs=2)
    for key, matrix in kaldiio.load_scp(str(data / "feats.scp")).items():
        np.testing.assert_array_equal(matrix, one[key])


def test_the_verb(data, capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        run(["fbank", str(data), "--mels", "64", "--set", "low=60"])
    assert caught.value.code == 0 and "5 in, 5 out" in capsys.readouterr().out
    assert json.loads((data / "feats.json").read_text())["low"] == 60
    for arguments, code, message in (
        (["fbank", str(tmp_path / "none")], 1, "no such table"),
        (["fbank", str(data), "--set", "mel=3"], 1, "did you mean 'mels'"),
        (["fbank", str(data), "--bands", "3"], 2, "no such option"),
    ):
        with pytest.raises(SystemExit) as caught:
            run(arguments)
        assert caught.value.code == code and message in capsys.readouterr().err


def test_segments_are_cut_from_their_recordings(tmp_path):
    """Kaldi's `segments`: an utterance is a part of a recording; features are those of the part alone."""
    rng = np.random.default_rng(3)
    talk = (0.1 * rng.standard_normal(4 * 16000)).astype(np.float32)
    soundfile.write(tmp_path / "talk.wav", talk, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "part.wav", talk[16000:40000], 16000, subtype="FLOAT")
    for name in ("cut", "whole"):
        (tmp_path / name).mkdir()
    write_table(tmp_path / "whole/wav.scp", {"a-1": str(tmp_path / "part.wav")})
    write_table(tmp_path / "cut/wav.scp", {"talk": str(tmp_path / "talk.wav")})
    write_table(tmp_path / "cut/segments", {"a-1": "talk 1 2.5", "a-2": "talk 2.5 -1", "a-3": "talk 3 9"})
    extract_fbank(tmp_path / "whole")
    rejected = extract_fbank(tmp_path / "cut", max_rejected=0.5)
    assert [key for key, _ in rejected.records] == ["a-3"] and "beyond the recording's end" in rejected.records[0][1]
    cut, whole = (FeatureArchive(tmp_path / name / "feats.scp") for name in ("cut", "whole"))
    assert cut.keys == ["a-1", "a-2"]
    np.testing.assert_array_equal(cut.whole(0), whole.whole(0))
    assert read_table(tmp_path / "cut/utt2dur") == {"a-1": "1.500", "a-2": "1.500"}
    write_table(tmp_path / "cut/segments", {"a-1": "talk 1 2", "a-2": "talk 2.5 -1"})
    extract_fbank(tmp_path / "cut")  # a moved border is another utterance
    assert read_table(tmp_path / "cut/utt2dur") == {"a-1": "1.000", "a-2": "1.500"}
