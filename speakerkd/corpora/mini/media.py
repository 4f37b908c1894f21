"""Media files of mini: the same samples or pictures give the same bytes, and a file is whole or absent."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from speakerkd.work.files import whole_file

FRAMES_A_SECOND = 2
BIT_EXACT = {"fflags": "+bitexact"}  # leaves dates and library versions out of the container


def write_m4a(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write (samples,) float32 in [-1, 1] as AAC in an MP4 container, mono, 64 kbit/s."""
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4", options=BIT_EXACT) as container:
        # The `fast` coder takes a quarter of the default's time and is as good at this rate.
        track = container.add_stream(
            "aac", rate=rate, layout="mono", options={"aac_coder": "fast", "flags": "+bitexact"}
        )
        track.bit_rate = 64000
        track.codec_context.thread_count = 1
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.rate, frame.pts = rate, 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    _write(path, stream.getvalue())


def write_mp4(path: Path, pictures: np.ndarray) -> None:
    """Write (frames, height, width, 3) uint8 RGB as H.264, two frames a second."""
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4", options=BIT_EXACT) as container:
        # A fixed quantiser: the encoder's own rate control gave other bytes from run to run.
        options = {"preset": "veryfast", "qp": "24", "flags": "+bitexact"}
        track = container.add_stream("libx264", rate=FRAMES_A_SECOND, options=options)
        track.height, track.width = pictures.shape[1:3]
        track.pix_fmt = "yuv420p"
        track.codec_context.thread_count = 1  # with more, slices and so bytes depend on the machine
        for picture in pictures:
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(track.encode(None))
    _write(path, stream.getvalue())


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write (samples,) float32 in [-1, 1] as 16-bit WAV, mono."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="WAV", subtype="PCM_16")
    _write(path, stream.getvalue())


def _write(path: Path, content: bytes) -> None:
    with whole_file(path, "wb") as stream:
        stream.write(content)
