"""Parts without speech are left out before embedding, where that is asked for."""

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.frontend import vad


def test_the_parts_that_are_found_are_joined(monkeypatch):
    parts = [{"start": 10, "end": 20}, {"start": 50, "end": 55}]
    monkeypatch.setattr(vad, "_silero", lambda: (None, lambda *_, **__: parts))
    kept = vad.speech_only(np.arange(100, dtype=np.float32), 16000)
    assert kept.tolist() == [*range(10, 20), *range(50, 55)]


def test_a_recording_in_which_nobody_speaks_is_refused():
    pytest.importorskip("silero_vad")
    noise = 0.01 * np.random.default_rng(0).normal(size=32000).astype(np.float32)
    with pytest.raises(InputError, match=r"nobody speaks in it, noise.wav"):
        vad.speech_only(noise, 16000, "noise.wav")
    with pytest.raises(InputError, match="44100 Hz"):
        vad.speech_only(noise, 44100)
