"""What a user loses if these fail: silent garbage in training from recordings that should have been refused."""

import av
import numpy as np
import pytest
import soundfile

from speakerkd.errors import InputError
from speakerkd.frontend.audio import mix_down, read_audio, resample


def tone(seconds=1.0, rate=16000, frequency=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write_container(path, samples, rate, codec="aac", form=None, **options):
    """samples (C, N) through FFmpeg's encoder."""
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def peak(samples, rate=16000):
    """Frequency in Hz of the strongest component."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * rate / len(samples)


@pytest.mark.parametrize("name", ["a.wav", "deux mots à côté.wav", "голос.flac", "a.ogg"])
def test_reads_what_was_written(tmp_path, name):
    soundfile.write(tmp_path / name, tone(), 16000)
    samples = read_audio(tmp_path / name)
    assert samples.dtype == np.float32 and samples.shape == (16000,)
    np.testing.assert_allclose(samples, tone(), atol=0.05 if name.endswith("ogg") else 1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_other_rates_keep_pitch_and_length(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate=rate), rate)
    samples = read_audio(tmp_path / "a.wav")
    assert samples.shape == (16000,)
    assert abs(peak(samples) - 440) < 2
    np.testing.assert_allclose(samples[2000:-2000], tone()[2000:-2000], atol=0.01)


def test_what_lies_above_half_the_new_rate_is_removed():
    assert np.abs(resample(tone(rate=48000, frequency=15_000.0), 48000, 16000)[500:-500]).max() < 0.005


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mkv", "un été.m4a"])
@pytest.mark.parametrize("channels", [1, 2])
def test_containers_are_decoded(tmp_path, name, channels):
    write_container(tmp_path / name, np.stack([tone(2.0)] * channels), 16000)
    samples = read_audio(tmp_path / name)
    assert 32000 <= len(samples) <= 32000 + 3 * 1024
    assert abs(peak(samples) - 440) < 2
    assert abs(np.abs(samples[4000:20000]).max() - 0.5) < 0.03


def test_a_container_under_a_false_name_is_read(tmp_path):
    write_container(tmp_path / "a.wav", tone(2.0)[None], 16000, form="ipod")
    assert abs(peak(read_audio(tmp_path / "a.wav")) - 440) < 2


def test_channels_are_averaged_unless_they_cancel():
    left = tone(0.1)
    np.testing.assert_allclose(mix_down(np.stack([left, left / 2], 1)), left * 0.75, rtol=1e-6)
    np.testing.assert_allclose(mix_down(np.stack([left, 0 * left], 1)), left / 2, rtol=1e-6)
    np.testing.assert_array_equal(mix_down(np.stack([0.9 * left, -left], 1)), -left)


def test_faults_are_named(tmp_path):
    good = tmp_path / "good.wav"
    soundfile.write(good, tone(), 16000, subtype="PCM_16")
    (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:20_001])
    (tmp_path / "head.wav").write_bytes(good.read_bytes()[:44])
    soundfile.write(tmp_path / "good.flac", np.random.default_rng(0).normal(size=16000) * 0.1, 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "good.flac").read_bytes()[:9000])
    write_container(tmp_path / "good.m4a", tone(3.0)[None], 16000)
    (tmp_path / "cut.m4a").write_bytes((tmp_path / "good.m4a").read_bytes()[:-3000])
    write_container(tmp_path / "fast.m4a", tone(3.0)[None], 16000, movflags="faststart")
    (tmp_path / "cutfast.m4a").write_bytes((tmp_path / "fast.m4a").read_bytes()[:-6000])
    (tmp_path / "zero.wav").touch()
    (tmp_path / "zero.m4a").touch()
    (tmp_path / "text.wav").write_text("this is not audio" * 99)
    (tmp_path / "text.m4a").write_text("this is not audio" * 99)
    soundfile.write(tmp_path / "slow.wav", tone(), 100)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "offset.wav", np.full(16000, 0.25), 16000)
    bad = tone()
    bad[777] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad, 16000, subtype="FLOAT")
    bad[777] = np.inf
    soundfile.write(tmp_path / "inf.wav", np.stack([tone(), bad], 1), 16000, subtype="FLOAT")
    for name, fault in {
        "cut.wav": "truncated",
        "head.wav": "truncated",
        "cut.flac": "not a readable|truncated",
        "cut.m4a": "truncated",
        "cutfast.m4a": "truncated",
        "zero.wav": "empty file",
        "zero.m4a": "empty file",
        "text.wav": "not a readable",
        "text.m4a": "not a readable",
        "none.wav": "no samples",
        "silent.wav": "silent",
        "offset.wav": "silent",
        "slow.wav": "a sample rate of 100 Hz",
        "nan.wav": "not finite",
        "inf.wav": "not finite",
        "missing.wav": "no such recording",
        ".": "a folder in place of the",
    }.items():
        with pytest.raises(InputError, match=fault) as caught:
            read_audio(tmp_path / name)
        assert caught.value.where == str(tmp_path / name) and caught.value.fix


def test_a_video_without_sound_says_so(tmp_path):
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no sound"):
        read_audio(tmp_path / "mute.mp4")


def test_a_wav_streamed_without_a_length_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 16000, subtype="PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    start = data.index(b"data") + 4
    data[4:8] = data[start : start + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav")) == 16000


def test_damage_anywhere_never_ends_in_another_exception(tmp_path):
    """Bytes cut out or overwritten at random: either samples come back or an InputError."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", tone(0.3), 16000)
    soundfile.write(tmp_path / "a.flac", tone(0.3), 16000)
    soundfile.write(tmp_path / "a.ogg", tone(0.3), 16000)
    write_container(tmp_path / "a.m4a", tone(0.5)[None], 16000)
    for name in ("a.wav", "a.flac", "a.ogg", "a.m4a"):
        good = (tmp_path / name).read_bytes()
        for turn in range(25):
            bad = bytearray(good[: rng.integers(1, len(good))] if turn % 2 else good)
            for position in rng.integers(0, min(len(bad), 400 if turn % 3 else len(bad)), 8):
                bad[position] = rng.integers(256)
            path = tmp_path / f"{turn}{name}"
            path.write_bytes(bad)
            try:
                assert np.isfinite(read_audio(path)).all()
            except InputError as error:
                assert str(path) in str(error)
