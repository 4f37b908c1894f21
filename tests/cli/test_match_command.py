"""`speakerkd match` and `verify` as a user types them, and the Python API beneath."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_tiny
from PIL import Image

from speakerkd import api
from speakerkd.cli.main import run
from speakerkd.data.datadir import read_table, write_table
from speakerkd.evaluation.calibration import Calibration, save_calibration
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.trained_model import save_trained_model
from speakerkd.work.files import digest

lfw = pytest.importorskip("skimage.data")


@pytest.fixture
def speakerkd(monkeypatch, tmp_path, capsys):
    """Run a command in a folder of its own: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Three pictures with a face each, and one without."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, face in enumerate(lfw.lfw_subset()[:3]):
        canvas = Image.new("L", (160, 160), 127)
        canvas.paste(
            Image.fromarray((face * 255).astype(np.uint8)).resize((100, 100), Image.Resampling.BICUBIC), (30, 30)
        )
        canvas.convert("RGB").save(folder / f"face {number}é.png")
    Image.new("RGB", (160, 160), (90, 120, 200)).save(folder / "sky.png")
    return folder


@pytest.fixture
def with_teacher(model_dir, tmp_path):
    """The tiny model beside an untrained face network of 12 dimensions, which its record names as its teacher."""
    torch.manual_seed(0)
    settings = FaceSettings(name="resnet18", width=0.03, embedding=12)
    save_trained_model(tmp_path / "exp/face", task="face", student=build_face(settings).eval(), settings=settings)
    path = model_dir / "model.json"
    described = json.loads(path.read_text())
    weights = tmp_path / "exp/face"
    described["teacher"] = {
        "name": "resnet18",
        "dim": 12,
        "weights": str(weights),
        "digest": digest(weights / "model.safetensors"),
    }
    path.write_text(json.dumps(described))
    return model_dir


class TestFiles:
    def test_which_face_belongs_to_a_voice(self, speakerkd, with_teacher, corpus, pictures):
        voice = corpus.root / f"{corpus.keys[1]}.wav"
        faces = [pictures / f"face {n}é.png" for n in range(3)]
        common = ("match", "--model", with_teacher, "--audio", voice, "--faces", *faces)
        status, out, err = speakerkd(*common, "--json")
        assert status == 0, err
        answer = json.loads(out)
        cosines = [c["similarity"] for c in answer["candidates"]]
        assert cosines == sorted(cosines, reverse=True) and all(-1 <= c <= 1 for c in cosines)
        assert {c["path"] for c in answer["candidates"]} == {str(f) for f in faces}
        assert answer["chosen"] == answer["candidates"][0]["path"] and answer["probe"] == str(voice)
        status, out, _ = speakerkd(*common)
        rows = out.splitlines()
        assert [float(row.split()[-1]) for row in rows[:3]] == [pytest.approx(c, abs=1e-4) for c in cosines]
        assert rows[3] == f"{voice}: {answer['chosen']}"

    def test_which_voice_belongs_to_a_face(self, speakerkd, with_teacher, corpus, pictures):
        voices = [corpus.root / f"{corpus.keys[k]}.wav" for k in (1, 9)]
        face = pictures / "face 0é.png"
        status, out, err = speakerkd("match", "--model", with_teacher, "--face", face, "--audios", *voices, "--json")
        assert status == 0, err
        model = api.load(with_teacher)
        expected = model.embed(voices, "mean") @ model.faces([face])[0]
        similarities = {c["path"]: c["similarity"] for c in json.loads(out)["candidates"]}
        np.testing.assert_allclose([similarities[str(v)] for v in voices], expected, atol=2e-3)

    def test_a_folder_of_faces_says_what_it_leaves_out(self, speakerkd, with_teacher, corpus, pictures, tmp_path):
        shutil.copytree(pictures, tmp_path / "album/below")
        (tmp_path / "album/notes.txt").write_text("no picture")
        voice = corpus.root / f"{corpus.keys[1]}.wav"
        common = ("match", "--model", with_teacher, "--audio", voice, "--faces", tmp_path / "album")
        status, out, err = speakerkd(*common)
        assert status == 0 and len(out.splitlines()) == 4
        assert err.splitlines() == [
            f"left out: no face found, {tmp_path}/album/below/sky.png, "
            "give one in which the face is clear and large enough",
            f"left out of {tmp_path}/album: 1 whose ending is not read (.txt 1)",
        ]
        (tmp_path / "empty").mkdir()
        assert "nothing to choose from" in speakerkd(*common[:-1], tmp_path / "empty")[2]

    def test_equal_options_are_undecided(self, speakerkd, with_teacher, corpus, pictures):
        voice, face = corpus.root / f"{corpus.keys[1]}.wav", pictures / "face 0é.png"
        common = ("match", "--model", with_teacher, "--audio", voice, "--faces", face, face)
        assert json.loads(speakerkd(*common, "--json")[1])["chosen"] is None
        assert "undecided" in speakerkd(*common)[1]

    @pytest.mark.parametrize("name,words", [("sky.png", "no face"), ("gone.png", "no such picture")])
    def test_a_picture_that_will_not_do(self, speakerkd, with_teacher, corpus, pictures, name, words):
        voice = corpus.root / f"{corpus.keys[1]}.wav"
        faces = (pictures / "face 0é.png", pictures / name)
        status, _, err = speakerkd("match", "--model", with_teacher, "--audio", voice, "--faces", *faces)
        assert status == 1 and words in err and name in err and len(err.splitlines()) == 1

    def test_the_teacher_must_be_the_one(self, speakerkd, with_teacher, corpus, pictures, tmp_path):
        common = ("match", "--model", with_teacher, "--audio", corpus.root / f"{corpus.keys[1]}.wav")
        common = (*common, "--faces", pictures / "face 0é.png")
        moved = (tmp_path / "exp/face").rename(tmp_path / "elsewhere")
        status, _, err = speakerkd(*common)
        assert status == 1 and "--teacher-weights" in err
        assert speakerkd(*common, "--teacher-weights", moved)[0] == 0
        torch.manual_seed(1)
        settings = FaceSettings(name="resnet18", width=0.03, embedding=12)
        save_trained_model(moved, task="face", student=build_face(settings), settings=settings)
        status, _, err = speakerkd(*common, "--teacher-weights", moved)
        assert status == 1 and "not the weights of the teacher" in err

    @pytest.mark.parametrize(
        "arguments",
        [(), ("--audio", "a"), ("--faces", "f"), ("--audio", "a", "--audios", "b"), ("--data", "d", "--audio", "a")],
    )
    def test_half_a_question_is_bad_usage(self, speakerkd, arguments):
        assert speakerkd("match", *arguments)[0] == 2


class TestDirectory:
    def test_both_directions_original_and_hard(self, speakerkd, model_dir, corpus):
        common = ("match-test", corpus.data, "--model", model_dir, "--triples", "400", "--hard")
        status, out, err = speakerkd(*common, "--options", "2", "3")
        assert status == 0, err
        entries = json.loads((model_dir / "results.json").read_text())["match"]
        for direction in ("audio_to_face", "face_to_audio"):
            for name in ("o", "h", "o_3", "h_3"):
                entry = entries[f"acc_match_{direction}_{name}"]
                assert entry["questions"] == 400 and 0 <= entry["accuracy_percent"] <= 100
                assert entry["chance_percent"] == pytest.approx(100 / entry["options"])
                assert 0 < entry["people"] <= len(set(Path(corpus.data, "spk2gender").read_text().splitlines()))
        rows = {row.split("  ")[0]: row for row in out.splitlines()}
        for label in ("A-F (O)", "F-A (O)", "A-F (H)", "F-A (H)", "A-F (O), 1 of 3"):
            assert label in rows
        assert f"{entries['acc_match_audio_to_face_o']['accuracy_percent']:.2f}" in rows["A-F (O)"]

    def test_the_seed_decides(self, speakerkd, model_dir, corpus):
        common = (
            "match-test",
            corpus.data,
            "--model",
            model_dir,
            "--triples",
            "300",
            "--bootstrap",
            "0",
            "--json",
        )
        one, same, other = (speakerkd(*common, "--seed", s)[1] for s in (1, 1, 2))
        assert one == same != other

    def test_a_model_that_knows_everyone_finds_everyone(self, speakerkd, model_dir, corpus, tmp_path):
        """Faces that are the voices' own mean embeddings are matched without fault."""
        from speakerkd.data.archive import write_vectors
        from speakerkd.evaluation.embed import embed
        from speakerkd.evaluation.match_directory import match_directory
        from speakerkd.evaluation.protocol import Protocol, vectors
        from speakerkd.evaluation.recordings import ArchivedRecordings
        from speakerkd.frontend.fbank import FbankSettings
        from speakerkd.models.trained_model import TeacherRecord, load_trained_model

        package = load_trained_model(model_dir, dtype=torch.float32)
        package.head, package.teacher = None, TeacherRecord(name="resnet18", dim=package.dim)
        recordings = ArchivedRecordings(corpus.data / "feats.scp", FbankSettings(mels=8))
        voices = vectors(Protocol(name="mean"), embed(package, recordings, Protocol(name="mean")).values)
        data = tmp_path / "data"
        data.mkdir()
        for name in ("utt2spk", "feats.scp"):
            (data / name).write_bytes((corpus.data / name).read_bytes())
        people = {key: key for key in recordings.keys}
        write_table(data / "utt2spk", people)  # each recording its own person
        write_vectors(data, "teacher", recordings.keys, voices)
        entries = match_directory(data, package, triples=500, spaces=tmp_path / "spaces.npz")
        with np.load(tmp_path / "spaces.npz") as spaces:  # for the report's map: row i of each is one utterance
            np.testing.assert_allclose(spaces["voice"], spaces["face projected"], atol=1e-5)
            assert len(spaces["voice"]) == len(recordings.keys)
        # what is added to every voice alike is taken off again, faces lose their own mean
        shifted = voices + 3 * np.ones(voices.shape[1], np.float32)
        write_vectors(data, "teacher", recordings.keys, shifted / np.linalg.norm(shifted, axis=1, keepdims=True))
        assert match_directory(data, package, triples=500)["acc_match_face_to_audio_o"]["accuracy_percent"] < 100
        centred = match_directory(data, package, triples=500, centre=data)
        assert centred["acc_match_audio_to_face_o_centred"]["accuracy_percent"] > 95
        assert entries["acc_match_audio_to_face_o"]["accuracy_percent"] == 100
        assert entries["acc_match_face_to_audio_o"]["auc_percent"] == 100

    def test_an_untaught_network_is_asked_what_a_linear_map_finds(self, speakerkd, corpus, tmp_path):
        untaught = save_tiny(tmp_path / "exp" / "untaught", head=False)
        train = tmp_path / "train"
        shutil.copytree(corpus.data, train)
        for name in ("utt2spk", "spk2gender"):  # the same recordings, said to be other people's
            write_table(train / name, {k: v.replace("id", "x") for k, v in read_table(train / name).items()})
        common = ("match-test", corpus.data, "--model", untaught, "--triples", "200", "--bootstrap", "0")
        status, _, err = speakerkd(*common)
        assert status == 1 and "no face taught this model" in err and "--fit" in err
        status, out, err = speakerkd(*common, "--fit", train)
        assert status == 0, err
        entries = json.loads((untaught / "results.json").read_text())["match"]
        assert all(
            name.endswith("_fit") and entry["fitted"] for name, entry in entries.items() if "left_out" not in entry
        )
        assert (
            entries["acc_match_audio_to_face_o_fit"]["accuracy_percent"] > 60
        )  # fitted to these very voices and faces
        assert "A-F (O), by a linear map" in out and "5 people" not in err
        kept = np.load(untaught / "outcomes" / "acc_match_audio_to_face_o_fit.npz")
        assert kept["right"].mean() == pytest.approx(entries["acc_match_audio_to_face_o_fit"]["accuracy_percent"] / 100)
        status, out, err = speakerkd(*common, "--fit", train, "--examples", untaught / "examples.png")
        assert "done already" not in out and not (untaught / "examples.png").exists()  # nothing to show: no cosines
        status, out, err = speakerkd(*common, "--fit", train, "--examples", untaught / "examples.png")
        assert status == 0 and "done already" in out
        status, _, err = speakerkd(*common, "--fit", corpus.data)
        assert status == 1 and "6 people are in both" in err

    def test_a_taught_network_gives_both_figures(self, speakerkd, model_dir, corpus, tmp_path):
        train = tmp_path / "train"
        shutil.copytree(corpus.data, train)
        write_table(train / "utt2spk", {k: v.replace("id", "x") for k, v in read_table(train / "utt2spk").items()})
        common = (
            "match-test",
            corpus.data,
            "--model",
            model_dir,
            "--triples",
            "50",
            "--bootstrap",
            "0",
            "--fit",
            train,
        )
        assert speakerkd(*common)[0] == 0
        entries = json.loads((model_dir / "results.json").read_text())["match"]
        assert {"acc_match_face_to_audio_o", "acc_match_face_to_audio_o_fit"} <= set(entries)

    def test_published_lists(self, speakerkd, model_dir, corpus):
        keys = corpus.keys
        Path("v2f.csv").write_text(f"{keys[0]}.wav {keys[0]}.jpg {keys[9]}.jpg\n{keys[5]} {keys[6]} {keys[1]}\n")
        Path("pairs.txt").write_text(f"1 {keys[0]} {keys[1]}\n0 {keys[0]} {keys[7]}\n")
        common = ("match-test", corpus.data, "--model", model_dir, "--triples", "10", "--bootstrap", "0")
        status, out, err = speakerkd(*common, "--voice-to-face", "v2f.csv", "--pairs", "pairs.txt")
        assert status == 0, err
        entries = json.loads((model_dir / "results.json").read_text())["match"]
        assert entries["acc_match_audio_to_face_v2f"]["questions"] == 2
        assert entries["auc_verification_pairs"]["pairs"] == 2
        Path("v2f.csv").write_text(f"{keys[0]} {keys[0]} {keys[9]}\n{keys[0]} {keys[0]} nobody/1\n")
        status, _, err = speakerkd(*common, "--voice-to-face", "v2f.csv")
        assert status == 1 and "'nobody/1'" in err and "v2f.csv:2" in err

    def test_without_faces_or_genders(self, speakerkd, model_dir, corpus, tmp_path):
        data = tmp_path / "data"
        data.mkdir()
        for path in corpus.data.iterdir():
            if path.is_file() and path.name != "spk2gender" and "teacher" not in path.name:
                (data / path.name).write_bytes(path.read_bytes())
        status, _, err = speakerkd("match-test", data, "--model", model_dir)
        assert status == 1 and "speakerkd embed-teacher" in err
        (data / "teacher.scp").write_bytes((corpus.data / "teacher.scp").read_bytes())
        status, out, _ = speakerkd("match-test", data, "--model", model_dir, "--triples", "10")
        assert status == 0 and out.count("left out: no gender of anyone") == 2
        entries = json.loads((model_dir / "results.json").read_text())["match"]
        assert "spk2gender" in entries["acc_match_audio_to_face_h"]["left_out"]
        status, _, err = speakerkd("match-test", data, "--model", model_dir, "--hard")
        assert status == 1 and "spk2gender" in err
        (data / "spk2gender").write_text("id10000 m\nid10002 m\nid10004 m\n")
        assert speakerkd("match-test", data, "--model", model_dir, "--triples", "10")[0] == 0
        entries = json.loads((model_dir / "results.json").read_text())["match"]
        assert entries["acc_match_audio_to_face_h"]["people_left_out"] == 3
        assert "accuracy_percent" in entries["acc_match_audio_to_face_h"]
        (data / "teacher.json").write_text('{"name": "ir50", "dim": 12, "digest": "t2"}')
        status, _, err = speakerkd("match-test", data, "--model", model_dir)
        assert status == 1 and "another teacher" in err


class TestVerify:
    @pytest.fixture
    def pair(self, corpus):
        return [corpus.root / f"{corpus.keys[k]}.wav" for k in (1, 2)]

    def test_a_recording_is_itself(self, speakerkd, model_dir, pair):
        status, out, _ = speakerkd("verify", pair[0], pair[0], "--model", model_dir, "--threshold", "-0.9", "--json")
        verdict = json.loads(out)
        assert status == 0 and verdict["same"] is True and verdict["source"] == "given"
        assert -0.9 < verdict["score"] < 0  # crops of one recording differ among each other

    def test_the_threshold_and_where_it_comes_from(self, speakerkd, model_dir, pair, corpus):
        common = ("verify", *pair, "--model", model_dir)
        status, out, _ = speakerkd(*common)
        assert status == 0 and "no verdict: no threshold is known" in out
        score = json.loads(speakerkd(*common, "--json")[1])["score"]

        speakerkd("score", "--trials", corpus.trials, "--model", model_dir, "--data", corpus.data)
        entry = json.loads((model_dir / "results.json").read_text())["scores"]["trials_o.crops"]
        verdict = json.loads(speakerkd(*common, "--json")[1])
        assert verdict["threshold"] == entry["eer_threshold"] and "trials_o" in verdict["source"]
        assert verdict["same"] is (score >= entry["eer_threshold"])

        fitted = Calibration(
            offset=5.0, scores=[10.0], development="dev.txt", digest="", trials=10, prior=0.5, protocol="crops"
        )
        save_calibration(model_dir / "calibration.json", fitted)
        verdict = json.loads(speakerkd(*common, "--json")[1])
        assert verdict["threshold"] == -0.5 and verdict["same"] is (score >= -0.5)
        assert verdict["probability"] == pytest.approx(1 / (1 + np.exp(-(10 * score + 5))))
        assert "calibration on dev.txt" in speakerkd(*common)[1]

    def test_a_calibration_of_another_model_is_not_used(self, speakerkd, model_dir, pair):
        fitted = Calibration(
            offset=5.0, scores=[10.0], development="d", digest="", trials=10, prior=0.5, protocol="crops", model="other"
        )
        save_calibration(model_dir / "calibration.json", fitted)
        assert "no verdict" in speakerkd("verify", *pair, "--model", model_dir)[1]

    def test_bad_recordings(self, speakerkd, model_dir, pair, tmp_path):
        (tmp_path / "empty.wav").write_bytes(b"")
        for name, words in (("empty.wav", "empty file"), ("gone.wav", "no such recording")):
            status, _, err = speakerkd("verify", pair[0], tmp_path / name, "--model", model_dir)
            assert status == 1 and words in err and name in err and len(err.splitlines()) == 1


class TestApi:
    def test_embeddings_have_length_one(self, model_dir, corpus):
        files = [corpus.root / f"{key}.wav" for key in corpus.keys[:2]]
        model = api.load(model_dir)
        for protocol, shape in (("whole", (2, 16)), ("mean", (2, 16)), ("crops", (2, 10, 16))):
            values = model.embed(files, protocol)
            assert values.shape == shape
            np.testing.assert_allclose(np.linalg.norm(values, axis=-1), 1, atol=1e-5)
        scores = api.similarity(*files, model=model_dir), api.similarity(*reversed(files), model=model_dir)
        assert scores[0] == pytest.approx(scores[1], abs=1e-6)

    def test_match_asks_for_a_probe_and_options(self, model_dir):
        with pytest.raises(Exception, match="give audio and faces"):
            api.match(audio="a.wav", model=model_dir)
