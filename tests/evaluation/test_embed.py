"""An embedding belongs to its recording alone, and what cannot be embedded is named."""

import numpy as np
import pytest
import soundfile
import torch

from speakerkd.data.sounds import Sound
from speakerkd.errors import InputError
from speakerkd.evaluation import embed as module
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.protocol import Protocol
from speakerkd.evaluation.recordings import ArchivedRecordings, AudioRecordings, audio_in, audio_under
from speakerkd.frontend.fbank import FbankSettings

FBANK = FbankSettings(mels=8)


@pytest.fixture
def archived(corpus):
    return ArchivedRecordings(corpus.data / "feats.scp", FBANK)


def direct(package, rows):
    return package.student(torch.from_numpy(rows)[None]).embedding[0].detach().numpy()


def test_crops_are_evenly_spaced_and_short_recordings_repeat(package, archived, corpus):
    embedded = embed(package, archived, Protocol())
    assert embedded.values.shape == (24, 10, 16) and embedded.keys == archived.keys
    long = archived.keys.index("id10002/video1/00003")
    features = archived.features(long)
    assert len(features) == 548  # 5.5 s: starts linspace(0, 148, 10)
    for crop, start in enumerate([0, 16, 32, 49, 65, 82, 98, 115, 131, 148]):
        expected = direct(package, features[start : start + 400])
        np.testing.assert_allclose(embedded.values[long, crop], expected, rtol=1e-4, atol=1e-5)
    short = archived.keys.index("id10002/video0/00000")
    features = archived.features(short)
    assert len(features) == 198
    wrapped = np.concatenate([features, features, features])[:400]
    np.testing.assert_allclose(embedded.values[short, 0], direct(package, wrapped), rtol=1e-4, atol=1e-5)
    assert (embedded.values[short] == embedded.values[short, :1]).all()


def test_a_recording_is_embedded_alike_in_any_company(package, archived, monkeypatch):
    together = embed(package, archived, Protocol(name="mean"))
    monkeypatch.setattr(module, "CPU_BATCH", 7)
    alone = embed(package, archived, Protocol(name="mean"), places=[5])
    assert alone.keys == [archived.keys[5]]
    np.testing.assert_allclose(alone.values[0], together.values[5], rtol=1e-4, atol=1e-6)


def test_whole_recordings_are_not_padded(package, archived):
    embedded = embed(package, archived, Protocol(name="whole"))
    assert embedded.values.shape == (24, 16)
    for position in (0, 3):
        expected = direct(package, archived.features(position))
        np.testing.assert_allclose(embedded.values[position], expected, rtol=1e-4, atol=1e-5)
    assert embedded.seconds[3] == pytest.approx(5.48)


def test_audio_gives_what_the_archive_gives(package, archived, corpus):
    sounds, missing = audio_under(corpus.root, [f"{key}.wav" for key in corpus.keys])
    assert not missing
    audio = AudioRecordings({key: [sound] for key, sound in sounds.items()}, FBANK)
    one, other = embed(package, audio, Protocol(name="whole")), embed(package, archived, Protocol(name="whole"))
    rows = other.locate(one.keys)
    cosine = (one.values * other.values[rows]).sum(1)
    cosine /= np.linalg.norm(one.values, axis=1) * np.linalg.norm(other.values[rows], axis=1)
    assert cosine.min() > 0.9999  # the archive holds 16-bit features


def test_bf16_keeps_the_direction(package, archived):
    full = embed(package, archived, Protocol())
    half = embed(package.to("cpu", torch.bfloat16), archived, Protocol())
    unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (full.values, half.values)]
    cosine = (unit[0] * unit[1]).sum(-1)  # of a network of two channels; real ones keep .9999
    assert cosine.mean() > 0.998 and cosine.min() > 0.99


def test_an_embedding_that_is_not_finite_is_named(package, archived):
    key = archived.keys[2]
    whole = archived.features

    class Broken:
        keys = archived.keys

        def features(self, position):
            return np.full((500, 8), np.nan, np.float32) if position == 2 else whole(position)

        def __str__(self):
            return "broken"

    with pytest.raises(InputError, match=f"not finite, {key}"):
        embed(package, Broken(), Protocol())
    refused = []
    embedded = embed(package, Broken(), Protocol(), refuse=lambda k, error: refused.append(k))
    assert refused == [key] and key not in embedded.keys and len(embedded) == 23


def test_unreadable_audio_is_refused_and_the_rest_goes_on(package, corpus, tmp_path):
    good = corpus.root / f"{corpus.keys[1]}.wav"
    silent, short, cut = tmp_path / "silent.wav", tmp_path / "short.wav", tmp_path / "cut.wav"
    soundfile.write(silent, np.zeros(16000), 16000)
    soundfile.write(short, np.random.default_rng(0).normal(size=100) * 0.1, 16000)
    cut.write_bytes(good.read_bytes()[:30])
    files = {"good": [good], "silent": [silent], "short": [short], "cut": [cut], "gone": [tmp_path / "gone.wav"]}
    reasons = {}
    embedded = embed(
        package, AudioRecordings(files, FBANK), Protocol(), refuse=lambda k, error: reasons.update({k: str(error)})
    )
    assert embedded.keys == ["good"]
    assert set(reasons) == {"silent", "short", "cut", "gone"}
    assert "silent" in reasons["silent"] and "less than one window" in reasons["short"]


def test_a_machine_without_a_compiler_runs_without(package, archived, monkeypatch, caplog):
    expected = embed(package, archived, Protocol()).values

    def compiles_to_nothing():
        package._run = lambda x: (_ for _ in ()).throw(RuntimeError("no C++ compiler"))

    monkeypatch.setattr(type(package), "compile", lambda self: compiles_to_nothing())
    embedded = embed(package, archived, Protocol(), compile=True)
    np.testing.assert_allclose(embedded.values, expected, rtol=1e-4, atol=1e-5)
    assert "no C++ compiler" in caplog.text


def test_compiling_waits_until_enough_work_is_left(package, archived, monkeypatch):
    calls = []
    monkeypatch.setattr(type(package), "compile", lambda self: calls.append(1))
    embed(package, archived, Protocol())
    assert calls == []  # 24 recordings are done before a compiler would be
    monkeypatch.setattr(module, "COMPILE_SECONDS", 0.0)
    embed(package, archived, Protocol(name="whole"))
    assert calls == []  # no two recordings have one shape
    embed(package, archived, Protocol())
    assert calls == [1]


def test_progress_ends_with_all(package, archived):
    reports = []
    embed(package, archived, Protocol(), progress=lambda done, total: reports.append((done, total)))
    assert reports[-1] == (24, 24) and [d for d, _ in reports] == sorted(d for d, _ in reports)


def test_features_of_other_bands_are_refused(corpus):
    with pytest.raises(InputError, match="features of 8 bands, the model reads 64"):
        ArchivedRecordings(corpus.data / "feats.scp", FbankSettings(mels=64))


def test_features_of_other_settings_are_refused(corpus, tmp_path):
    scp = tmp_path / "feats.scp"
    scp.write_bytes((corpus.data / "feats.scp").read_bytes())
    for low, refused in ((20.0, False), (60.0, True)):
        (tmp_path / "feats.json").write_text(FbankSettings(mels=8, low=low).model_dump_json())
        if refused:
            with pytest.raises(InputError, match=r"features made with low 60\.0, the model reads low 20\.0"):
                ArchivedRecordings(scp, FBANK)
        else:
            ArchivedRecordings(scp, FBANK)


def test_names_find_their_audio_with_or_without_extension(corpus):
    key = corpus.keys[0]
    sound = {"path": str(corpus.root / f"{key}.wav")}
    for name in (key, f"{key}.wav", f"{key}.m4a"):
        assert audio_under(corpus.root, [name])[0] == {name: Sound(**sound)}
        assert audio_in(corpus.data, [name])[0] == {name: Sound(**sound)}
    base_name = key.rpartition("/")[2]
    assert list(audio_in(corpus.data, [base_name])[1]) == [base_name]  # never by base name


def test_names_below_a_folder_are_found_however_they_are_spelt(tmp_path):
    """Blanks as they are or encoded, accents in either Unicode form, folders included; nothing outside is opened."""
    (tmp_path / "root/Zoe\u0308 K").mkdir(parents=True)
    for name in ("1 a.wav", "2.wav", "2.flac"):
        (tmp_path / "root/Zoe\u0308 K" / name).write_bytes(b"x")
    (tmp_path / "out.wav").write_bytes(b"x")
    names = ["Zo\u00eb K/1 a.wav", "Zo%C3%AB%20K/1%20a", "Zoe\u0308 K/1%20a.flac"]
    sounds, missing = audio_under(tmp_path / "root", names)
    assert {sound.path for sound in sounds.values()} == {str(tmp_path / "root/Zoe\u0308 K/1 a.wav")} and not missing
    names = ["../out.wav", f"{tmp_path}/out.wav", "..%2fout", "Zo\u00eb K/2", "no/1"]
    sounds, missing = audio_under(tmp_path / "root", names)
    assert not sounds
    for name, why in zip(names, ["leads out", "an absolute path", "leads out", "2 recordings", "no such"], strict=True):
        assert why in missing[name]
