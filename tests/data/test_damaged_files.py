"""Thousands of damaged tables, lists, archives and score files: each is read, or refused in one line.

No traceback, no hang, no memory beyond what the file can mean; nothing is executed, nothing outside the folder written.
"""

import os
import struct
import sys
import time

import kaldiio
import numpy as np
import pytest

from speakerkd.corpora.lists import names_of_list, names_of_trials, read_gender
from speakerkd.data.archive import FeatureArchive, write_features, write_vectors
from speakerkd.data.datadir import DataDir
from speakerkd.data.kaldi import read_records
from speakerkd.data.sounds import read_sounds
from speakerkd.data.tables import read_durations, read_table
from speakerkd.data.trials import read_models, read_trials
from speakerkd.data.validate import validate
from speakerkd.data.vectors import read_vectors
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings, read_embeddings, write_embeddings
from speakerkd.evaluation.match import read_match_list, read_pairs
from speakerkd.evaluation.scorefile import read_header, read_scores

EACH = 150  # damaged versions of each file
SECONDS = 10.0  # that none may take
RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pickle.find_class"}
WORDS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b" ", b"\t", b"|", b" touch ran |", b":", b"[", b"]", b"[0:1]",
    b"%00", b"%2e%2e/", b"../../", b"/dev/zero", b"\xc2\xb2", b"9" * 30, b"9" * 6001, b"-1", b"nan", b"inf", b"1e999",
    b"1_0", b"PKL", b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.", b"e\xcc\x81", b"x" * 70_000,
    struct.pack("<i", 2**31 - 1), struct.pack("<i", -1),
)  # fmt: skip


def damaged(content, rng):
    """One version of a file's bytes: cut, flipped, repeated, or with something put in."""
    content = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        start, length = int(rng.integers(0, len(content) + 1)), int(rng.integers(1, 12))
        kind = int(rng.integers(0, 6))
        if kind == 0:
            del content[start:]
        elif kind == 1:
            del content[start : start + length]
        elif kind == 2 and start < len(content):
            content[start] ^= 1 << int(rng.integers(0, 8))
        elif kind == 3:
            content[start:start] = content[start : start + 40 * length]
        else:
            word = WORDS[int(rng.integers(len(WORDS)))]
            content[start : start + (len(word) if kind == 4 else 0)] = word
    return bytes(content)


def _files(folder):
    """{name: (a sound file's bytes, its readers)}."""
    keys = ["a/1", "b/2", "\u00e9/3"]
    rng = np.random.default_rng(1)
    write_features(folder, "feats", [(key, rng.normal(size=(4, 3)).astype("f4")) for key in keys])
    write_vectors(folder, "teacher", keys, rng.normal(size=(3, 5)))
    write_embeddings(folder / "e.npz", Embeddings(keys, rng.normal(size=(3, 2, 5)).astype("f4"), {}, np.ones(3)))
    for name, options in (("v.ark", {}), ("t.ark", {"text": True}), ("c.ark", {"compression_method": 2})):
        shape = (7, 5) if name == "c.ark" else (5,)
        kaldiio.save_ark(str(folder / name), {key: rng.normal(size=shape).astype("f4") for key in keys}, **options)
    (folder / "trials_x").write_text("1 a/1 b/2\n0 b/2 \u00e9/3\n1 a/1.wav \u00e9/3\n")
    trials = read_trials(folder / "trials_x")
    texts = {
        "utt2spk": ("a/1 a\nb/2 b\n\u00e9/3 \u00e9\n", [read_table]),
        "utt2dur": ("a/1 1.5\nb/2 2.25\n\u00e9/3 10\n", [read_durations]),
        "wav.scp": ("a/1 /x/1 a.wav\nb/2 /x/2.wav\n", [lambda path: read_sounds(path.parent)]),
        "segments": ("a/1 r 0 1.5\nb/2 r 1.5 -1\n", [read_table]),
        "enroll.map": ("m a/1 b/2\nn \u00e9/3\n", [read_models]),
        "list": ("a\nb\n\u00e9\n", [lambda path: names_of_list(path, lambda line: (line,))]),
        "meta.csv": ("id\tGender\na\tm\nb\tf\n", [read_gender]),
        "match": ("a/1 b/2 c\nb/2 a/1 c\n", [read_match_list]),
        "pairs": ("label,voice-path,face-path\n1,a,b\n0,a,c\n", [read_pairs]),
        "trials_x": ("", [read_trials, names_of_trials, read_pairs]),
        "scores": (
            "# kind: cosine\na/1 b/2 0.5 target\nb/2 \u00e9/3 -1e-3 nontarget\na/1.wav \u00e9/3 1 target\n",
            [lambda path: read_scores(path, trials), read_header],
        ),
    }
    files = {name: (text.encode(), readers) for name, (text, readers) in texts.items()}
    files["trials_x"] = ((folder / "trials_x").read_bytes(), files["trials_x"][1])
    ark = {"feats.0.ark": "feats.scp", "teacher.ark": "teacher.scp"}
    for name in ("feats.scp", "teacher.scp", *ark):
        read = {"feats.scp": FeatureArchive, "teacher.scp": read_vectors}[ark.get(name, name)]
        files[name] = ((folder / name).read_bytes(), [lambda path, r=read, n=ark.get(name, name): r(path.with_name(n))])
    for name in ("e.npz", "v.ark", "t.ark", "c.ark"):
        readers = [read_embeddings] if name == "e.npz" else [read_embeddings, lambda path: list(read_records(path))]
        files[name] = ((folder / name).read_bytes(), readers)
    return files


NAMES = (
    "utt2spk", "utt2dur", "wav.scp", "segments", "enroll.map", "list", "meta.csv", "match", "pairs", "trials_x",
    "scores", "feats.scp", "teacher.scp", "feats.0.ark", "teacher.ark", "e.npz", "v.ark", "t.ark", "c.ark",
)  # fmt: skip
WATCH = {"run": [], "write": [], "on": False}


def _watch(event, args):
    if not WATCH["on"]:
        return
    if event in RUNS:
        WATCH["run"].append((event, args))
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        WATCH["write"].append(os.fspath(args[0]) if not isinstance(args[0], int) else "")


@pytest.fixture(scope="module", autouse=True)
def watched():
    sys.addaudithook(_watch)  # it cannot be taken away, so it is switched


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # thousands of small files
    monkeypatch.chdir(tmp_path)
    WATCH.update(run=[], write=[], on=True)
    yield tmp_path
    WATCH["on"] = False


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_read_or_refused_in_one_line(folder, name):
    content, readers = _files(folder)[name]
    rng = np.random.default_rng([NAMES.index(name), 20])
    refused = 0
    for _ in range(EACH):
        (folder / name).write_bytes(damaged(content, rng))
        for reader in readers:
            started = time.monotonic()
            try:
                reader(folder / name)
            except InputError as error:
                refused += 1
                text = str(error)
                assert len(text) < 1300 and text.isprintable(), text
            assert time.monotonic() - started < SECONDS
    assert refused > EACH // 10
    assert not WATCH["run"] and not (folder / "ran").exists()
    assert all(str(path).startswith((str(folder), "feats", "teacher")) or not path for path in WATCH["write"])


def test_validate_names_what_is_wrong_with_any_damaged_directory(folder):
    files = _files(folder)
    keys = ["a/1", "b/2", "\u00e9/3"]
    for number in range(len(keys)):
        (folder / f"{number}.wav").write_bytes(b"x")
    files["wav.scp"] = ("".join(f"{key} {folder}/{n}.wav\n" for n, key in enumerate(keys)).encode(), [])
    # of three speakers with one recording each, so no trial is a target
    files["trials_x"] = ("0 a/1 b/2\n0 b/2 \u00e9/3\n0 a/1.wav \u00e9/3\n".encode(), [])
    files["spk2utt"] = ("a a/1\nb b/2\n\u00e9 \u00e9/3\n".encode(), [])
    names = [
        "utt2spk",
        "spk2utt",
        "utt2dur",
        "wav.scp",
        "enroll.map",
        "trials_x",
        "feats.scp",
        "feats.0.ark",
        "teacher.scp",
    ]
    for name in names:
        (folder / name).write_bytes(files[name][0])
    assert validate(folder) == []
    rng = np.random.default_rng(5)
    faulty = 0
    for turn in range(240):
        name = names[turn % len(names)]
        (folder / name).write_bytes(damaged(files[name][0], rng))
        problems = validate(folder)
        faulty += bool(problems)
        assert all(str(problem).isprintable() and len(str(problem)) < 1300 for problem in problems)
        if not problems:  # then every reader reads it
            DataDir(folder).speakers, FeatureArchive(folder / "feats.scp"), read_trials(folder / "trials_x")
            read_sounds(folder), read_vectors(folder / "teacher.scp"), read_durations(folder / "utt2dur")
        (folder / name).write_bytes(files[name][0])
    assert faulty > 180 and not WATCH["run"] and not (folder / "ran").exists()
