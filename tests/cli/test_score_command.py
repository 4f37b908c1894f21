"""`speakerkd score` and `embed` as a user types them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speakerkd.cli.main import run
from speakerkd.evaluation.embeddings import Embeddings, read_embeddings, write_embeddings
from speakerkd.evaluation.scorefile import read_header

VOX1 = "SPEAKERKD_VOX1O"  # a folder with veri_test.txt, veri_test2.txt and ecapa_embeddings.npz


@pytest.fixture
def speakerkd(monkeypatch, tmp_path, capsys):
    """Run a command in a folder of its own: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEAKERKD_MODEL", raising=False)

    def call(*arguments):
        try:
            run([str(a) for a in arguments])
            status = 0
        except SystemExit as end:
            status = end.code or 0
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return status, shown.out, shown.err

    return call


@pytest.fixture
def scored(tmp_path):
    """Eight people with five embeddings each, a list of all pairs, and its labels."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(8, 1, 6))
    values = (centres + 0.8 * generator.normal(size=(8, 5, 6))).reshape(40, 6)
    keys = [f"id{p}/v/{i}.wav" for p in range(8) for i in range(5)]
    np.savez(tmp_path / "e.npz", utterance=keys, embedding=values)
    lines = [f"{int(a.split('/')[0] == b.split('/')[0])} {a} {b}\n" for i, a in enumerate(keys) for b in keys[i + 1 :]]
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def results(folder):
    return json.loads((Path(folder) / "results.json").read_text())["scores"]


class TestFromEmbeddings:
    def test_writes_scores_results_and_a_line(self, speakerkd, scored):
        status, out, _ = speakerkd("score", "--trials", "list.txt", "--embeddings", "e.npz", "--out", "o")
        assert status == 0
        first = out.splitlines()[0]
        assert (
            first.startswith("list.whole  780 trials  EER ") and "minDCF(p=0.01)" in first and "minDCF(p=0.05)" in first
        )
        entry = results("o")["list.whole"]
        assert f"EER {entry['eer_percent']:.4f} %" in first
        low, high = entry["interval"]["eer_percent"]
        assert low < entry["eer_percent"] < high
        header = read_header("o/scores/list.whole.txt")
        assert header["protocol"].startswith("whole") and header["kind"] == "cosine" and header["speakerkd"]
        assert header["list"].startswith("list.txt ") and header["data"].startswith("e.npz ")
        assert len(Path("o/scores/list.whole.det").read_text().splitlines()) > 10

    def test_the_scores_are_cosines(self, speakerkd, scored):
        speakerkd("score", "--trials", "list.txt", "--embeddings", "e.npz", "--out", "o")
        table = dict(zip(*np.load("e.npz").values(), strict=True))
        for line in Path("o/scores/list.whole.txt").read_text().splitlines()[-50:]:
            a, b, score, label = line.split()
            x, y = table[a], table[b]
            assert float(score) == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-14)
            assert label == ("target" if a.split("/")[0] == b.split("/")[0] else "nontarget")

    def test_several_lists_and_priors(self, speakerkd, scored):
        Path("second.txt").write_text("".join(Path("list.txt").read_text().splitlines(True)[:300]))
        arguments = (
            "--trials",
            "list.txt",
            "second.txt",
            "--embeddings",
            "e.npz",
            "--out",
            "o",
            "--prior",
            "0.001",
            "0.2",
        )
        status, out, _ = speakerkd("score", *arguments)
        assert status == 0 and set(results("o")) == {"list.whole", "second.whole"}
        assert set(results("o")["second.whole"]["min_dcf"]) == {"0.001", "0.2"}
        assert out.count("minDCF(p=0.001)") == 2

    def test_without_labels_scores_are_written(self, speakerkd, scored):
        Path("plain.txt").write_text("id0/v/0 id1/v/0\nid0/v/1.wav id0/v/2.flac\n")
        status, out, _ = speakerkd("score", "--trials", "plain.txt", "--embeddings", "e.npz", "--out", "o")
        assert status == 0 and "figures undefined: the list has no labels" in out
        assert len([x for x in Path("o/scores/plain.whole.txt").read_text().splitlines() if x[0] != "#"]) == 2

    def test_one_class_only(self, speakerkd, scored):
        Path("ones.txt").write_text("1 id0/v/0 id0/v/1\n1 id0/v/1 id0/v/2\n")
        status, out, _ = speakerkd("score", "--trials", "ones.txt", "--embeddings", "e.npz", "--out", "o")
        assert status == 0 and "undefined: the list has no non-target trials" in out
        assert results("o")["ones.whole"]["eer_percent"] is None

    def test_a_missing_recording(self, speakerkd, scored):
        text = Path("list.txt").read_text().splitlines(True)
        Path("holed.txt").write_text("".join([*text[:9], "1 id0/v/0.wav id0/v/gone.wav\n", *text[9:]]))
        common = ("score", "--trials", "holed.txt", "--embeddings", "e.npz", "--out", "o")
        status, _, err = speakerkd(*common)
        assert status == 1 and len(err.splitlines()) == 1
        assert "'id0/v/gone.wav'" in err and "1 recordings are missing, which 1 of 781 trials name" in err
        assert "holed.txt:10" in err and not Path("o").exists()
        status, out, _ = speakerkd(*common, "--skip-missing")
        assert status == 0 and "1 skipped, 1 recordings missing" in out
        assert read_header("o/scores/holed.whole.txt")["skipped"] == "1 trials of 1 missing recordings"
        assert results("o")["holed.whole"]["trials"] == 780

    def test_a_broken_line(self, speakerkd, scored):
        Path("broken.txt").write_text("1 id0/v/0 id0/v/1\n1 id0/v/0\n")
        status, _, err = speakerkd("score", "--trials", "broken.txt", "--embeddings", "e.npz")
        assert status == 1 and "broken.txt:2" in err and len(err.splitlines()) == 1

    def test_an_embedding_that_is_not_finite(self, speakerkd, scored):
        np.savez("bad.npz", utterance=["a", "b"], embedding=[[1.0, 2.0], [np.nan, 1.0]])
        Path("l.txt").write_text("1 a b\n")
        status, _, err = speakerkd("score", "--trials", "l.txt", "--embeddings", "bad.npz")
        assert status == 1 and "'b' is not finite" in err

    def test_back_ends_are_named(self, speakerkd, scored):
        common = ("score", "--trials", "list.txt", "--embeddings", "e.npz", "--out", "o")
        for extra, name in (
            (("--norm", "s-norm", "--cohort", "e.npz"), "list.whole.s-norm"),
            (("--norm", "as-norm", "--cohort", "e.npz", "--top", "7"), "list.whole.as-norm"),
            (("--subtract-mean", "e.npz"), "list.whole.centred"),
        ):
            status, _, err = speakerkd(*common, *extra)
            assert status == 0, err
            header = read_header(f"o/scores/{name}.txt")
            assert header["kind"] == ("cosine" if "centred" in name else "normalised")
        assert len(results("o")) == 3
        status, _, err = speakerkd(*common, "--norm", "as-norm")
        assert status == 1 and "--cohort" in err

    def test_enrolment_models(self, speakerkd, scored):
        models = [f"m{p} " + " ".join(f"id{p}/v/{i}" for i in range(3)) for p in range(8)]
        Path("enroll.map").write_text("\n".join(models))
        lines = [f"m{p} id{q}/v/{i}.wav {int(p == q)}\n" for p in range(8) for q in range(8) for i in (3, 4)]
        Path("models.lst").write_text("".join(lines))
        common = ("score", "--trials", "models.lst", "--embeddings", "e.npz", "--out", "o")
        status, _, err = speakerkd(*common, "--enrol", "enroll.map")
        assert status == 0, err
        table = dict(zip(*np.load("e.npz").values(), strict=True))
        unit = {k: v / np.linalg.norm(v) for k, v in table.items()}
        model = np.mean([unit[f"id2/v/{i}.wav"] for i in range(3)], axis=0)
        expected = model @ unit["id5/v/4.wav"] / np.linalg.norm(model)
        scores = {
            tuple(x.split()[:2]): float(x.split()[2])
            for x in Path("o/scores/models.whole.txt").read_text().splitlines()
            if x[0] != "#"
        }
        assert scores["m2", "id5/v/4.wav"] == pytest.approx(expected, abs=1e-14)
        Path("enroll.map").write_text("\n".join([*models, "m0 id0/v/0"]))
        status, _, err = speakerkd(*common, "--enrol", "enroll.map")
        assert status == 1 and "duplicate model 'm0'" in err and "enroll.map:9" in err

    def test_calibration_on_a_development_list(self, speakerkd, scored):
        lines = Path("list.txt").read_text().splitlines(True)
        Path("dev.txt").write_text("".join(lines[::2]))
        Path("test.txt").write_text("".join(lines[1::2]))
        common = ("score", "--trials", "test.txt", "--embeddings", "e.npz", "--out", "o")
        status, out, err = speakerkd(*common, "--calibrate", "dev.txt", "--quality", "magnitude")
        assert status == 0, err
        assert "actDCF(p=0.01)" in out and "Cllr" in out
        entry = results("o")["test.whole.calibrated"]
        assert entry["cllr"] < entry["min_cllr"] + 0.1 and "dev.txt" in entry["made"]["calibration"]
        status, _, err = speakerkd(*common, "--calibrate", "test.txt")
        assert status == 1 and "390 trials of the development list are in the test list" in err

    def test_fusion(self, speakerkd, scored):
        other = np.random.default_rng(1)
        keys, values = np.load("e.npz").values()
        write_embeddings("f.npz", Embeddings(keys.tolist(), values + other.normal(size=values.shape)))
        for name in ("e", "f"):
            speakerkd("score", "--trials", "list.txt", "--embeddings", f"{name}.npz", "--out", name)
        files = ["e/scores/list.whole.txt", "f/scores/list.whole.txt"]
        status, out, err = speakerkd("score", "--trials", "list.txt", "--scores", *files, "--out", "o")
        assert status == 0 and out.startswith("list.fused"), err
        assert read_header("o/scores/list.fused.txt")["kind"] == "distance"
        status, out, err = speakerkd("score", "--trials", "list.txt", "--scores", files[0], "--out", "o")
        assert results("o")["list.whole"]["eer_percent"] == results("e")["list.whole"]["eer_percent"]


class TestFromAModel:
    def test_a_data_directory_and_a_folder_give_the_same(self, speakerkd, corpus, model_dir):
        common = ("score", "--trials", corpus.trials, "--model", model_dir)
        status, out, err = speakerkd(*common, "--data", corpus.data)
        assert status == 0 and out.startswith("trials_o.crops"), err
        from_data = results(model_dir)["trials_o.crops"]
        assert read_header(model_dir / "scores/trials_o.crops.txt")["kind"] == "distance"
        status, _, err = speakerkd(*common, "--audio-root", corpus.root, "--out", "o")
        assert status == 0, err
        assert results("o")["trials_o.crops"]["eer_percent"] == pytest.approx(from_data["eer_percent"], abs=3)

    def test_the_same_every_time(self, speakerkd, corpus, model_dir):
        texts = []
        for out in "ab":
            speakerkd("score", "--trials", corpus.trials, "--model", model_dir, "--data", corpus.data, "--out", out)
            texts.append((Path(out) / "scores/trials_o.crops.txt").read_bytes())
        assert texts[0] == texts[1]

    def test_embedding_first_gives_the_same(self, speakerkd, corpus, model_dir):
        speakerkd("score", "--trials", corpus.trials, "--model", model_dir, "--data", corpus.data, "--out", "a")
        for name in ("e.npz", "e.scp"):
            status, out, err = speakerkd("embed", corpus.data, "--model", model_dir, "--out", name)
            assert status == 0 and "24 in, 24 out" in out, err
            status, _, err = speakerkd("score", "--trials", corpus.trials, "--embeddings", name, "--out", name + ".o")
            assert status == 0, err
            lines = [
                [x for x in Path(d, "scores/trials_o.crops.txt").read_text().splitlines() if x[0] != "#"]
                for d in ("a", name + ".o")
            ]
            assert lines[0] == lines[1]
            assert read_header(name + ".o/scores/trials_o.crops.txt")["model"].startswith(str(model_dir))

    def test_noise(self, speakerkd, corpus, model_dir, tmp_path):
        for category in ("noise", "music"):
            folder = tmp_path / "musan" / category / "here"
            folder.mkdir(parents=True)
            generator = np.random.default_rng(len(category))
            soundfile.write(folder / "one.wav", 0.1 * generator.normal(size=20_000), 16000)
        common = ("score", "--trials", corpus.trials, "--model", model_dir, "--data", corpus.data, "--bootstrap", "0")
        status, out, err = speakerkd(*common, "--noise", "musan", "--db", "15", "5", "--category", "all", "music")
        assert status == 0, err
        names = {f"trials_o.crops.{c}-{level}dB" for c in ("all", "music") for level in (15, 5)}
        assert set(results(model_dir)) == names
        table = out.split("\n\n")[1].splitlines()
        assert table[0].split()[-4:] == ["15", "dB", "5", "dB"] and [row.split()[0] for row in table[1:3]] == [
            "all",
            "music",
        ]
        scores = {name: (model_dir / f"scores/{name}.txt").read_text() for name in names}
        assert len(set(scores.values())) == 4
        status, _, _ = speakerkd(*common, "--noise", "musan", "--db", "15,5", "--category", "music", "--out", "again")
        assert status == 0
        again = Path("again/scores/trials_o.crops.music-5dB.txt").read_text()
        assert again == scores["trials_o.crops.music-5dB"]
        assert speakerkd(*common, "--noise", "musan")[0] == 2
        status, _, err = speakerkd(*common, "--noise", "musan", "--db", "5", "--category", "speech")
        assert status == 1 and "no recordings of speech" in err

    def test_concatenated_enrolment(self, speakerkd, corpus, model_dir):
        Path("map").write_text(f"m {corpus.keys[1]}.wav {corpus.keys[2]}.wav\n")
        Path("list").write_text(f"m {corpus.keys[3]}.wav 1\nm {corpus.keys[9]}.wav 0\n")
        common = ("score", "--trials", "list", "--enrol", "map", "--model", model_dir, "--data", corpus.data)
        values = []
        for way in ("average", "concatenate"):
            status, _, err = speakerkd(*common, "--protocol", "whole", "--enrol-by", way, "--out", way)
            assert status == 0, err
            assert read_header(f"{way}/scores/list.whole.txt")["enrolment"] == f"map, {way}"
            values.append(Path(way, "scores/list.whole.txt").read_text().splitlines()[-1])
        assert values[0] != values[1]

    def test_a_recording_that_cannot_be_read(self, speakerkd, corpus, model_dir, tmp_path):
        (tmp_path / "wav").mkdir()
        for name in ("a", "b"):
            (tmp_path / f"wav/{name}.wav").write_bytes((corpus.root / f"{corpus.keys[1]}.wav").read_bytes())
        (tmp_path / "wav/c.wav").write_bytes(b"")
        Path("list").write_text("1 a.wav b.wav\n0 a.wav c.wav\n0 a.wav d.wav\n")
        common = ("score", "--trials", "list", "--model", model_dir, "--audio-root", "wav")
        status, _, err = speakerkd(*common)
        assert status == 1 and "list:2" in err and "empty file" in err and "2 recordings are missing" in err
        assert len(err.splitlines()) == 1
        status, out, _ = speakerkd(*common, "--skip-missing")
        assert status == 0 and "2 skipped" in out
        listed = (model_dir / "scores/list.crops.missing").read_text().splitlines()
        assert [line.split("\t")[0] for line in listed] == ["c.wav", "d.wav"] and "empty file" in listed[0]

    def test_where_the_model_comes_from(self, speakerkd, corpus, model_dir, monkeypatch):
        arguments = ("score", "--trials", corpus.trials, "--data", corpus.data, "--out", "o", "--bootstrap", "0")
        Path("elsewhere").mkdir()
        monkeypatch.chdir("elsewhere")
        status, _, err = speakerkd(*arguments)
        assert status == 1 and "no model" in err and "egs/mini/run.sh" in err and len(err.splitlines()) == 1
        Path("exp").mkdir()
        Path("exp/latest").symlink_to(model_dir)
        assert speakerkd(*arguments)[0] == 0
        monkeypatch.setenv("SPEAKERKD_MODEL", "nowhere")
        status, _, err = speakerkd(*arguments)
        assert status == 1 and "SPEAKERKD_MODEL" in err

    def test_embed_lists_what_it_refused(self, speakerkd, corpus, model_dir, tmp_path):
        data = tmp_path / "data"
        data.mkdir()
        (tmp_path / "empty.wav").write_bytes(b"")
        lines = [f"{key} {corpus.root}/{key}.wav\n" for key in corpus.keys[:3]]
        (data / "wav.scp").write_text("".join([*lines, f"zz {tmp_path}/empty.wav\n"]))
        common = ("embed", data, "--model", model_dir, "--out", "e.npz")
        status, _, err = speakerkd(*common)
        assert status == 1 and "1 of 4 refused" in err and not Path("e.npz").exists()
        status, out, _ = speakerkd(*common, "--max-rejected", "0.3")
        assert status == 0 and "4 in, 3 out, 1 refused" in out
        assert len(read_embeddings("e.npz")) == 3 and Path("e.npz.rejected").read_text().startswith("zz\t")


@pytest.mark.skipif(
    not os.environ.get(VOX1), reason=f"{VOX1} names no folder with the VoxCeleb1-O lists and embeddings"
)
@pytest.mark.parametrize(
    "name,eer,cost_1,cost_5", [("veri_test2", 0.8987, 0.1104, 0.0694), ("veri_test", 1.0392, 0.1131, 0.0723)]
)
def test_figures_of_voxceleb1(speakerkd, name, eer, cost_1, cost_5):
    """ECAPA-TDNN on VoxCeleb1-O. 0.8987 is the mean of FPR .89851 and FNR .89884 where they are nearest; they cross at
    FPR .89851."""
    folder = Path(os.environ[VOX1])
    arguments = ("--trials", folder / f"{name}.txt", "--embeddings", folder / "ecapa_embeddings.npz", "--out", "o")
    status, _, err = speakerkd("score", *arguments)
    assert status == 0, err
    entry = results("o")[f"{name}.whole"]
    assert entry["eer_percent"] == pytest.approx(eer, abs=2.5e-4)
    assert entry["min_dcf"]["0.01"] == pytest.approx(cost_1, abs=5e-5)
    assert entry["min_dcf"]["0.05"] == pytest.approx(cost_5, abs=5e-5)


def test_a_recording_whose_end_is_missing_is_kept_where_that_is_asked_for(tmp_path, corpus, model_dir, capsys, caplog):
    """Every verb that hears recordings takes --truncated keep, as fbank and prepare do."""
    whole = (corpus.root / f"{corpus.keys[1]}.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "whole.wav").write_bytes(whole)
    (tmp_path / "list").write_text("1 cut.wav whole.wav\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wav.scp").write_text(f"cut {tmp_path}/cut.wav\n")
    model = ["--model", str(model_dir)]
    for words in (
        ["verify", f"{tmp_path}/cut.wav", f"{tmp_path}/whole.wav", *model],
        ["score", "--trials", f"{tmp_path}/list", "--audio-root", str(tmp_path), *model, "--out", str(tmp_path / "o")],
        ["embed", f"{tmp_path}/data", *model, "--out", f"{tmp_path}/e.npz"],
        ["enroll", f"{tmp_path}/g.db", *model, "--name", "A", "--audios", f"{tmp_path}/cut.wav"],
    ):
        with pytest.raises(SystemExit) as end:
            run(words)
        shown = capsys.readouterr().err
        assert end.value.code == 1 and "truncated: " in shown and "--truncated keep" in shown, words
        caplog.clear()
        with pytest.raises(SystemExit) as end:
            run([*words, "--truncated", "keep"])
        assert not end.value.code and "truncated and kept, 2.75 s missing" in caplog.text, words
