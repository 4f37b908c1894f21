"""What a user loses if these fail: noisy test sets that differ between machines, or at another level than said."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from speakerkd.errors import InputError
from speakerkd.frontend.noise import FLOORS, NoiseBank, mix_noise


@pytest.fixture(scope="module")
def musan(tmp_path_factory):
    root = tmp_path_factory.mktemp("musan")
    rng = np.random.default_rng(0)
    for category, source, count in (("noise", "free-sound", 5), ("music", "jamendo", 4), ("speech", "librivox", 3)):
        (root / category / source).mkdir(parents=True)
        (root / category / "ANNOTATIONS").write_text("not audio")
        for number in range(count):
            samples = rng.normal(0, 0.1, 16000 + 4000 * number)
            soundfile.write(root / category / source / f"{category}-{number:04d}.wav", samples, 16000, subtype="FLOAT")
    return root


@pytest.mark.parametrize("snr", [20, 5, 0, -5])
@pytest.mark.parametrize("loudness", [0.3, 1e-4])
def test_the_level_difference_is_the_one_asked_for_at_any_loudness(snr, loudness):
    rng = np.random.default_rng(1)
    speech, noise = rng.normal(0, loudness, 8000), rng.normal(0, 0.2, 8000)
    added = mix_noise(speech, noise, snr) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(snr, abs=1e-6)


def test_voxceleb_trainers_floor_turns_5_db_into_more_for_quiet_signals():
    # speech at -26 dBFS, noise at -40: levels -25.83 and -36.99 dB with the floor, so the noise is raised by 6.16 dB to
    # -33.84 and lies 7.84 dB below the speech
    speech, noise = np.full(100, 10 ** (-26 / 20)), np.full(100, 10 ** (-40 / 20))
    added = mix_noise(speech, noise, 5, FLOORS["voxceleb_trainer"]) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(7.84, abs=0.02)


def test_silence_is_left_as_it_is():
    silence = np.zeros(100)
    np.testing.assert_array_equal(mix_noise(silence, np.ones(100), 5), silence)
    np.testing.assert_array_equal(mix_noise(np.ones(100), silence, 5), np.ones(100))


def test_float32_stays_float32(musan):
    speech = np.full(100, 0.5, np.float32)
    assert NoiseBank(musan).mix("a", speech, 5).dtype == np.float32


def test_the_draw_is_the_same_in_another_process(musan):
    keys = [f"id{n:05d}/vidéo/00001" for n in range(12)]
    bank = NoiseBank(musan, seed=3)
    here = [(s.category, s.file, s.offset) for s in (bank.segment(key, 8000) for key in keys)]
    code = (
        "import sys; from speakerkd.frontend.noise import NoiseBank\n"
        "bank = NoiseBank(sys.argv[1], seed=3)\n"
        "print([(s.category, s.file, s.offset) for s in (bank.segment(key, 8000) for key in sys.argv[2:])])"
    )
    there = subprocess.run([sys.executable, "-c", code, str(musan), *keys], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == str(here)
    assert len(set(here)) == len(keys)


def test_the_draw_is_pinned(musan):
    """A change of these figures changes every noisy result that anyone has published."""
    segment = NoiseBank(musan, seed=1).segment("id10270/x6uYqmx31kE/00001", 8000)
    assert (segment.category, segment.file, segment.offset) == ("speech", "librivox/speech-0002.wav", 6670)


def test_seed_key_and_category_all_count(musan):
    def draws(seed, category=None):
        bank = NoiseBank(musan, seed=seed)
        return [(s.category, s.file, s.offset) for s in (bank.segment(str(n), 4000, category) for n in range(60))]

    assert draws(0) != draws(1)
    assert {category for category, _, _ in draws(0)} == {"noise", "music", "speech"}
    assert {(category, file) for category, file, _ in draws(0, "music")} == {
        ("music", f"jamendo/music-{n:04d}.wav") for n in range(4)
    }


def test_the_segment_is_that_part_of_the_file(musan):
    segment = NoiseBank(musan).segment("a", 5000)
    samples, _ = soundfile.read(musan / segment.category / segment.file, dtype="float32")
    np.testing.assert_array_equal(segment.samples, samples[segment.offset : segment.offset + 5000])


def test_shorter_noise_is_repeated_not_stretched(musan):
    segment = NoiseBank(musan).segment("a", 70_000, "noise")
    samples, _ = soundfile.read(musan / "noise" / segment.file, dtype="float32")
    assert len(samples) < 70_000
    expected = np.concatenate([samples[segment.offset :], *[samples] * 5])[:70_000]
    np.testing.assert_array_equal(segment.samples, expected)


def test_silent_stretches_are_not_drawn(tmp_path):
    (tmp_path / "noise").mkdir()
    samples = np.zeros(100_000)
    samples[50_000:] = 0.1 * np.sin(np.arange(50_000))
    soundfile.write(tmp_path / "noise" / "half.wav", samples, 16000)
    bank = NoiseBank(tmp_path)
    assert all(np.ptp(bank.segment(str(n), 500).samples) > 0 for n in range(40))


def test_faults_are_named(musan, tmp_path):
    with pytest.raises(InputError, match="no recordings of noise or music or speech"):
        NoiseBank(tmp_path)
    with pytest.raises(InputError, match="unknown noise category 'musik', categories, did you mean 'music'"):
        NoiseBank(musan, categories=["musik"])
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="no recordings of speech"):
        NoiseBank(tmp_path, categories=["music", "speech"])
    with pytest.raises(InputError, match=r"not a readable recording.*a\.wav"):
        NoiseBank(tmp_path).segment("a", 100)


def test_a_damaged_noise_costs_no_utterance(musan, tmp_path, caplog):
    """Another file is drawn in its place, the same for every run, and it is said once which was left out."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "music" / "._b.wav").write_bytes(b"x")
    soundfile.write(tmp_path / "music" / "b.wav", np.sin(np.arange(4000)), 16000)
    banks = NoiseBank(tmp_path), NoiseBank(tmp_path)
    heard = [[bank.segment(str(n), 100) for n in range(20)] for bank in banks]
    assert {one.file for one in heard[0]} == {"b.wav"}
    assert [one.offset for one in heard[0]] == [one.offset for one in heard[1]]
    assert len([line for line in caplog.messages if "left out" in line and "music/a.wav" in line]) == 1
