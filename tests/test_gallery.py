"""A gallery of people in one file: who is nearest, whose file it is, and what two writers or a killed one leave."""

import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import time

import numpy as np
import pytest

from speakerkd.cli.main import run
from speakerkd.errors import InputError
from speakerkd.gallery import Gallery, Index, _highest

MODEL = ("digest", "exp/m", 4)


def unit(*values):
    return np.array([values], np.float32) / np.linalg.norm(values)


@pytest.fixture
def gallery(tmp_path):
    team = Gallery(tmp_path / "team.db", MODEL)
    team.add("Ann", np.concatenate([unit(1, 0, 0, 0), unit(1, 1, 0, 0)]), ["a1.wav", "a2.wav"])
    team.add("Böb'); DROP TABLE entry;--", unit(0, 0, 1, 0), ["b.wav"])
    team.add("Ann", unit(0, 0, 0, 1), ["a.jpg"], "face")
    return team


def test_the_nearest_person_is_found_by_the_mean_of_their_recordings(gallery):
    """By hand: Ann's mean is (1 + .7071, .7071) at length 1, whose cosine with (1, 0) is .9239."""
    candidates = gallery.index().search(np.array([2.0, 0, 0, 0]))
    assert [f.name for f in candidates] == ["Ann", "Böb'); DROP TABLE entry;--"]
    assert candidates[0].similarity == pytest.approx(np.cos(np.pi / 8), abs=1e-5) and candidates[1].similarity == 0
    assert gallery.index("face").search(np.array([0, 0, 0, 1.0]))[0].similarity == pytest.approx(1)


def test_people_are_listed_and_removed_and_names_are_text(gallery):
    assert [(p.name, p.voices, p.faces) for p in gallery.people()] == [
        ("Ann", 2, 1),
        ("Böb'); DROP TABLE entry;--", 1, 0),
    ]
    assert gallery.remove("Böb'); DROP TABLE entry;--") == 1
    assert [p.name for p in gallery.people()] == ["Ann"]
    for name in ("Nobody", "' OR '1'='1"):
        with pytest.raises(InputError, match="nobody is called"):
            gallery.remove(name)


def test_a_gallery_of_another_model_or_another_file_is_refused(gallery, tmp_path):
    with pytest.raises(InputError, match="another model, 'exp/m', this one is 'exp/other'"):
        Gallery(gallery.path, ("other", "exp/other", 4))
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(InputError, match="not a gallery"):
        Gallery(tmp_path / "text.db", MODEL)
    sqlite3.connect(tmp_path / "foreign.db").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(InputError, match="something else"):
        Gallery(tmp_path / "foreign.db", MODEL)
    with pytest.raises(InputError, match="no such gallery"):
        Gallery(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()


@pytest.mark.parametrize("vectors", [np.ones((1, 3), np.float32), np.full((1, 4), np.nan, np.float32)])
def test_what_cannot_be_compared_is_not_added(gallery, vectors):
    before = gallery.people()
    with pytest.raises(InputError):
        gallery.add("Eve", vectors, ["e.wav"])
    with pytest.raises(InputError, match="empty name"):
        gallery.add(" ", unit(1, 0, 0, 0), ["e.wav"])
    assert gallery.people() == before


def _enrol(path, who):
    gallery = Gallery(path, MODEL)
    for number in range(40):
        gallery.add(f"{who}-{number}", unit(1, number, 0, 0), ["x.wav"])


def _enrol_forever(path):
    gallery = Gallery(path, MODEL)
    while True:
        gallery.add("K", np.repeat(unit(1, 0, 0, 0), 50, 0), ["x.wav"] * 50)


def test_two_processes_lose_nothing_and_a_killed_one_leaves_whole_additions(tmp_path):
    path, spawn = tmp_path / "both.db", multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_enrol, args=(path, who)) for who in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(Gallery(path).people()) == 80
    victim = spawn.Process(target=_enrol_forever, args=(path,))
    victim.start()
    until = time.monotonic() + 60
    while time.monotonic() < until and len(Gallery(path).people()) == 80:
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    added = next(p.voices for p in Gallery(path).people() if p.name == "K")
    assert added and added % 50 == 0


def test_exact_search_is_numpys(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    candidates = Index([str(n) for n in range(3000)], vectors).search(vectors[7], 10)
    assert [int(f.name) for f in candidates] == np.argsort(-(vectors @ vectors[7]), kind="stable")[:10].tolist()


@pytest.mark.parametrize(("people", "count"), [(1, 1), (1023, 3), (5000, 1), (5000, 4), (5000, 5000)])
def test_the_highest_are_found_wherever_they_lie(people, count):
    values = np.random.default_rng(people).normal(size=people).astype(np.float32)
    for position in (0, people // 2, people - 1):  # the last lies beyond the last whole block
        values[position] = 9
        indices = _highest(values, count)
        assert sorted(values[indices]) == sorted(np.sort(values)[-count:]) and len(set(indices.tolist())) == count


def test_beyond_the_limit_faiss_finds_whom_the_exact_search_finds(monkeypatch):
    pytest.importorskip("faiss", reason="faiss is not installed (extra gallery)")
    rng = np.random.default_rng(0)
    people = rng.normal(size=(4000, 16)).astype(np.float32)
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    names = [f"P {n}" for n in range(4000)]
    exact = Index(names, people)
    monkeypatch.setattr("speakerkd.gallery.EXACT", 3999)
    beyond = Index(names, people)
    assert exact._faiss is None and beyond._faiss is not None
    for one in range(0, 4000, 100):
        probe = people[one] + 0.05 * rng.normal(size=16)
        ours, theirs = exact.search(probe), beyond.search(probe)
        assert theirs[0].name == ours[0].name == names[one]
        assert theirs[0].similarity == pytest.approx(ours[0].similarity, abs=1e-5)
        assert [f.similarity for f in theirs] == sorted((f.similarity for f in theirs), reverse=True)


def test_beyond_the_limit_without_faiss_is_one_line(monkeypatch):
    monkeypatch.setattr("speakerkd.gallery.EXACT", 2)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"3 people, over 2 are searched through faiss.*speakerkd\[gallery\]"):
        Index(["a", "b", "c"], np.eye(3, dtype=np.float32))


def test_enrol_and_identify_as_a_user_types_them(model_dir, corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            run([str(a) for a in arguments])
        shown = capsys.readouterr()
        return end.value.code or 0, shown.out, shown.err

    common = ("team.db", "--model", model_dir)
    for person in range(3):
        files = [corpus.root / f"{key}.wav" for key in corpus.keys[4 * person : 4 * person + 2]]
        status, out, err = call("enroll", *common, "--name", f"P {person}", "--audios", *files)
        assert status == 0, err
    status, out, _ = call("enroll", "team.db", "--list")
    assert status == 0 and out.count("2 voices") == 3
    files = [corpus.root / f"{corpus.keys[20]}.wav"]
    status, out, _ = call("enroll", *common, "--name", "two\nlines \x1b[31m", "--audios", *files)
    assert status == 0 and len(out.splitlines()) == 1 and "\x1b" not in out  # a name moves no cursor
    status, out, _ = call("identify", *common, "--audio", *files, "--threshold", "0.9")
    assert status == 0 and len(out.splitlines()) == 5 and "\x1b" not in out and "identified: two lines" in out
    assert call("enroll", "team.db", "--remove", "two\nlines \x1b[31m")[0] == 0
    probe = corpus.root / f"{corpus.keys[4]}.wav"
    status, out, err = call("identify", *common, "--audio", probe, "--threshold", "-1", "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["identified"] == answer["candidates"][0]["name"] and len(answer["candidates"]) == 3
    assert (
        json.loads(call("identify", *common, "--audio", probe, "--threshold", "1", "--json")[1])["identified"] is None
    )
    status, _, err = call("enroll", *common, "--name", "X", "--audios", tmp_path / "gone.wav")
    assert status == 1 and "gone.wav" in err and len(err.splitlines()) == 1
    assert call("enroll", "team.db", "--remove", "P 0")[0] == 0
    assert call("enroll", "team.db", "--export", "all.npz")[0] == 0
    assert np.load("all.npz")["embedding"].shape == (4, 16)


def test_a_damaged_gallery_is_refused_in_one_line(gallery, tmp_path):
    """Its pages, its vectors, and what stands in its place."""
    gallery.add("Ann", np.eye(4, dtype=np.float32)[:1], ["a.wav"])
    gallery.close()
    content = gallery.path.read_bytes()
    path = tmp_path / "damaged.db"
    for cut in (100, len(content) // 2, len(content) - 4096):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match="gallery"):
            Gallery(path, MODEL).export()
    path.write_bytes(content)
    with sqlite3.connect(path) as base:
        base.execute("UPDATE entry SET vector = x'00'")
    with pytest.raises(InputError, match="the embedding of 'Ann' has not 4 numbers"):
        Gallery(path, MODEL).index()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="a named pipe in place of the gallery"):
        Gallery(path, MODEL)
