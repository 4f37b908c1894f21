"""Parts without speech are left out before embedding, where that is asked for."""

import subprocess
import sys

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.frontend import vad


def test_the_parts_that_are_found_are_joined(monkeypatch):
    """By hand: windows 4 to 23 and 40 to 59 of 512 samples, 480 samples (30 ms) more on either side."""
    heard = np.zeros(80, np.float32)
    heard[4:24] = heard[40:60] = 1
    monkeypatch.setattr(vad, "_probabilities", lambda *_: heard)
    samples = np.arange(80 * 512, dtype=np.float32)
    kept = vad.speech_only(samples, 16000)
    first, second = samples[4 * 512 - 480 : 24 * 512 + 480], samples[40 * 512 - 480 : 60 * 512 + 480]
    assert kept.tolist() == [*first, *second]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_parts_are_those_that_the_package_itself_finds(rate):
    """silero-vad's own search over the same probabilities: runs, pauses near 100 ms, speech near 250 ms, both ends."""
    own = pytest.importorskip("silero_vad.utils_vad")
    generator = np.random.default_rng(3)
    for _ in range(60):
        runs = generator.integers(1, 14, 12)
        heard = np.repeat(generator.choice([0.1, 0.34, 0.4, 0.6, 0.9], 12), runs).astype(np.float32)
        length = len(heard) * vad.WINDOW[rate] - int(generator.integers(0, vad.WINDOW[rate]))
        theirs = own.get_speech_timestamps_from_probs(heard.tolist(), rate, audio_length_samples=length)
        assert vad.speech_parts(heard, length, rate) == [(part["start"], part["end"]) for part in theirs]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_network_is_heard_as_the_package_hears_it(rate):
    silero = pytest.importorskip("silero_vad")
    import torch

    samples = np.sin(np.arange(5 * rate + 77) ** 1.2 / 40).astype(np.float32) * np.linspace(0, 0.5, 5 * rate + 77)
    network, window = silero.load_silero_vad(onnx=True), vad.WINDOW[rate]
    padded = torch.from_numpy(np.pad(samples, (0, -len(samples) % window)).astype(np.float32))
    theirs = [network(part, rate).item() for part in padded.split(window)]
    np.testing.assert_allclose(vad._probabilities(samples.astype(np.float32), rate), theirs, atol=1e-5)


def test_a_recording_in_which_nobody_speaks_is_refused():
    pytest.importorskip("silero_vad")
    noise = 0.01 * np.random.default_rng(0).normal(size=32000).astype(np.float32)
    with pytest.raises(InputError, match=r"nobody speaks in it, noise.wav"):
        vad.speech_only(noise, 16000, "noise.wav")
    with pytest.raises(InputError, match="44100 Hz"):
        vad.speech_only(noise, 44100)


def test_it_needs_no_torch_and_says_what_is_missing():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from speakerkd.frontend.vad import speech_only\n"
        "speech_only(np.ones(16000, np.float32), 16000, 'a.wav')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pytest.importorskip("silero_vad")
    assert "nobody speaks in it, a.wav" in done.stderr
