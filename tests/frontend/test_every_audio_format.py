"""Whatever libsndfile writes is read in full, or refused alone: telephone systems and old corpora hold such files."""

import numpy as np
import pytest
import soundfile

from speakerkd.corpora.probe import duration
from speakerkd.errors import InputError
from speakerkd.frontend.audio import read_audio

WAVE = (0.4 * np.sin(np.arange(8000) * 0.1)).astype(np.float32)
HEADERLESS = {"RAW", "SD2"}  # no header at all, or one in a file beside it
RATES = {
    "VOC": 8000,
    "WVE": 8000,
    "XI": 44100,
    "NMS_ADPCM_16": 8000,
    "NMS_ADPCM_24": 8000,
    "NMS_ADPCM_32": 8000,
    "VOX_ADPCM": 8000,
    "GSM610": 8000,
}


def written_by_libsndfile(folder):
    """(path, format, subtype, rate) of every format and subtype that libsndfile can write here."""
    for form in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(form):
            if not soundfile.check_format(form, subtype):
                continue
            path = folder / f"{form}.{subtype}.{form.lower()}"
            for rate in (RATES.get(form) or RATES.get(subtype, 16000), 8000, 48000):
                try:
                    soundfile.write(path, WAVE, rate, format=form, subtype=subtype)
                except (soundfile.SoundFileError, ValueError):
                    continue
                yield path, form, subtype, rate
                break


def test_every_format_and_subtype_of_libsndfile_is_read_in_full(tmp_path):
    read = 0
    for path, form, subtype, rate in written_by_libsndfile(tmp_path):
        if form in HEADERLESS:
            with pytest.raises(InputError, match="not a readable recording"):
                read_audio(path)
            continue
        samples = read_audio(path, rate)
        # codecs of blocks or frames end with a whole one
        assert 8000 <= len(samples) <= 8000 + 2304, (form, subtype, len(samples))
        best = max(np.corrcoef(samples[late : late + 6000], WAVE[:6000])[0, 1] for late in (0, 1, 2, 1105))
        assert best > 0.9, (form, subtype, best)
        assert duration(path) == pytest.approx(len(samples) / rate, abs=1e-6), (form, subtype)
        read += 1
    assert read >= 100
