"""The embedded corpus: what a newcomer sees comes from it, so it must be the same everywhere, and honest."""

import hashlib
import sys

import av
import numpy as np
import pytest
import soundfile

from speakerkd.config import parse
from speakerkd.corpora.mini import faces, noises, sentences, voices
from speakerkd.corpora.mini.corpus import MiniSettings, people, write_mini
from speakerkd.corpora.noises import prepare_musan
from speakerkd.corpora.voxceleb import prepare_vox1, prepare_vox2
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from speakerkd.errors import InputError

SMALL = MiniSettings(identities=8, videos=2, utterances=1)


def contents(root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini")
    write_mini(root, SMALL, jobs=1)
    return root


def test_layouts_are_those_of_the_real_corpora(small, tmp_path, work):
    (train, test), vox1 = prepare_vox2(tmp_path, small / "vox2", work), prepare_vox1(tmp_path, small / "vox1", work)
    musan = prepare_musan(tmp_path / "musan", small / "musan", work)
    assert [(b.utterances, b.speakers, b.faces) for b in (train, test, vox1)] == [(8, 4, 8), (8, 4, 8), (8, 4, 0)]
    assert set(DataDir(musan.path).speakers) == {"noise", "music", "speech"}
    for built in (train, test, vox1, musan):
        assert validate(built.path) == []
        assert "refused" not in built.account
    assert set(DataDir(train.path).speakers).isdisjoint(DataDir(test.path).speakers)
    for data in (DataDir(test.path), DataDir(vox1.path)):
        assert sorted(data.table("spk2gender").values()) == ["f", "f", "m", "m"]
    durations = [float(v) for v in DataDir(train.path).table("utt2dur").values()]
    assert 3 <= min(durations) <= max(durations) <= 6.1
    data = DataDir(vox1.path)
    gender = data.table("spk2gender")
    for line in data.trial_lists["hard"].read_text().splitlines():
        label, a, b = line.split()
        a, b = a.split("/")[0], b.split("/")[0]
        assert gender[a] == gender[b]
        assert (a == b) == (label == "1")


def test_the_same_seed_gives_the_same_bytes_whatever_the_processes(small, tmp_path):
    write_mini(tmp_path / "two", SMALL, jobs=2)
    assert contents(tmp_path / "two") == contents(small)


def test_another_seed_gives_others(small):
    other = people(MiniSettings(identities=8, seed=1))
    assert [p.number for p in other] != [p.number for p in people(SMALL)]
    assert [p.number for p in people(SMALL)] == [p.number for p in people(SMALL)]


def test_only_what_is_missing_is_made_again(small):
    before = contents(small)
    stamps = {p: p.stat().st_mtime_ns for p in small.rglob("*.m4a")}
    lost = next((small / "vox2/dev/mp4").rglob("*.mp4"))
    lost.unlink()
    (lost.parent / f".{lost.name}.x1.part").write_bytes(b"half a video")  # as a killed run leaves it
    write_mini(small, SMALL, jobs=1)
    assert contents(small) == before
    assert sum(p.stat().st_mtime_ns != time for p, time in stamps.items()) == 1  # the one beside the lost video


def test_other_settings_start_afresh_and_other_folders_are_left_alone(tmp_path):
    (tmp_path / "vox2/dev/aac/id99999").mkdir(parents=True)
    with pytest.raises(InputError, match="no mini corpus"):
        write_mini(tmp_path, SMALL)
    (tmp_path / "mini.json").write_text("{broken")
    write_mini(tmp_path, SMALL, jobs=1)
    assert not (tmp_path / "vox2/dev/aac/id99999").exists()


def test_places_are_those_of_the_training_people_alone():
    rng = np.random.default_rng(0)
    embeddings, fitted = rng.normal(size=(30, 16)), np.arange(30) < 20
    places = faces.places(embeddings, fitted)
    assert np.allclose(np.sort(places[:20], axis=0), np.linspace(-0.95, 0.95, 20)[:, None], atol=0.006)  # evenly spread
    other = embeddings.copy()
    other[20:] = rng.normal(size=(10, 16))
    assert np.array_equal(faces.places(other, fitted)[:20], places[:20])  # test people move nothing
    again = np.concatenate([embeddings[:20], embeddings[:10]])
    assert np.allclose(faces.places(again, fitted)[20:], places[:10], atol=0.011)  # a face is looked up where it stands


def test_voices_follow_what_the_recogniser_sees_in_a_face():
    """The same face in another light stands nearer to itself than to others on what its voice follows from."""
    everyone = faces.load_faces()[:12]
    plain = np.stack([faces.seen(face) for face in everyone])
    dim = np.stack([faces.seen(0.85 * face) for face in everyone[:3]])
    assert ((dim @ plain.T).argmax(1) == np.arange(3)).all()
    assert np.abs(np.linalg.norm(plain, axis=1) - 1).max() < 1e-5
    places = faces.places(np.concatenate([plain, dim]), np.arange(15) < 12)
    apart = np.linalg.norm(places[12:, None] - places[None, :12], axis=2)
    assert (apart.argmin(1) == np.arange(3)).all()


def test_a_voice_moves_smoothly_with_its_place():
    start = np.linspace(-0.8, 0.8, 6)
    for axis in range(6):
        step = np.zeros(6)
        step[axis] = 0.01
        here, there = voices.from_face(start), voices.from_face(start + step)
        assert here != there  # every component is heard
        assert abs(here.pitch / there.pitch - 1) < 0.01
        assert abs(here.rate / there.rate - 1) < 0.01
        assert np.allclose(here.formants, there.formants, rtol=0.01)


def pitch_of(samples):
    """Median fundamental frequency in Hz, from the autocorrelation of 40 ms frames."""
    pitches = []
    for start in range(0, len(samples) - 640, 640):
        frame = samples[start : start + 640]
        frame = frame - frame.mean()
        power = np.fft.irfft(np.abs(np.fft.rfft(frame, 2048)) ** 2)[:640]
        lags = power[40:230] / (power[0] + 1e-9)  # 70 to 400 Hz
        if lags.max() > 0.6:
            pitches.append(16000 / (40 + lags.argmax()))
    return np.median(pitches)


def test_the_voice_that_is_asked_for_is_heard():
    traits = np.zeros(6)
    text = "Her cousin carried seven yellow lanterns a week ago in the upper kitchen"
    low, high = (voices.from_face(np.array([a, *traits[1:]])) for a in (0.9, -0.9))
    for voice in (low, high):
        assert pitch_of(voices.speak(text, voice)) == pytest.approx(voice.pitch, rel=0.2)
    slow, fast = (voices.from_face(np.array([0, b, 0, 0, 0, 0])) for b in (-0.9, 0.9))
    assert len(voices.speak(text, slow)) > 1.15 * len(voices.speak(text, fast))


def test_speaking_leaves_no_trace():
    """What was said before must not change what is said now, or files would depend on the order of work."""
    voice = voices.from_face(np.zeros(6))
    first = voices.speak("A tall sailor sold several copper kettles", voice)
    voices.speak("Something else entirely", voices.from_face(np.full(6, 0.5)))
    assert np.array_equal(voices.speak("A tall sailor sold several copper kettles", voice), first)
    for name in noises.SPEECH:
        assert np.array_equal(voices.speak("Once again", name), voices.speak("Once again", name))


def test_channels_keep_full_scale_and_set_the_level():
    speech = voices.speak("A tall sailor sold several copper kettles", voices.from_face(np.zeros(6)))
    channel = voices.Channel((0, 0, 0, 0, 0), -25, 60)
    heard = channel.apply(speech, np.random.default_rng(0))
    assert 10 * np.log10(np.mean(heard**2)) == pytest.approx(-25, abs=0.5)
    loud = voices.Channel((9, 9, 9, 9, 9), -1, 0).apply(speech, np.random.default_rng(0))
    assert np.abs(loud).max() <= 1


def test_sentences_have_the_length_asked_for():
    rng = np.random.default_rng(0)
    lengths = [len(sentences.sentence(rng, words).split()) for words in (7, 12, 20) for _ in range(50)]
    for words, counts in zip((7, 12, 20), np.reshape(lengths, (3, 50)), strict=True):
        assert words <= counts.min() <= counts.max() <= words + 8
    assert len({sentences.sentence(rng, 12) for _ in range(200)}) > 190


def test_noises_are_sound():
    for name, make in noises.recipes().items():
        samples = make(np.random.default_rng(1))
        assert samples.ndim == 1, name
        assert len(samples) >= 5 * voices.RATE, name
        assert np.abs(samples).max() == pytest.approx(0.7)
        assert np.sqrt(np.mean(samples**2)) > 0.01, name


def test_media_are_what_the_layouts_promise(small):
    sound = next((small / "vox2/test/aac").rglob("*.m4a"))
    plain = next((small / "vox1/wav").rglob(f"{sound.parent.name}/*.wav"))
    with av.open(str(sound)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        decoded = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    samples, rate = soundfile.read(plain)
    assert rate == 16000
    assert np.corrcoef(samples, decoded[: len(samples)])[0, 1] > 0.98  # the same utterance
    with av.open(str(sound).replace("aac", "mp4").replace("m4a", "mp4")) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert pictures[0].shape == (160, 160, 3)
    assert len(pictures) >= 6


@pytest.mark.parametrize(
    "values", [{"identities": 7}, {"identities": 101}, {"videos": 1}, {"utterances": 0}, {"seed": -1}]
)
def test_sizes_out_of_range(values):
    with pytest.raises(InputError, match=next(iter(values))):
        parse(MiniSettings, values, "prepare mini")


def test_missing_packages_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"speakerkd\[mini\]"):
        voices.speak("hello", "en")
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(InputError, match=r"speakerkd\[mini\]"):
        faces.load_faces()


@pytest.mark.slow
def test_a_face_detector_finds_every_person():
    from facenet_pytorch import MTCNN

    detector = MTCNN(post_process=False)
    missed = []
    for number, face in enumerate(faces.load_faces()):
        rng = np.random.default_rng(number)
        pictures = faces.frames(face, faces.Scene.draw(rng), 20, rng)
        if all(detector.detect(picture)[0] is None for picture in pictures):
            missed.append(number)
    assert missed == []
