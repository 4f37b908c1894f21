"""Small media files, written with soundfile, Pillow and PyAV, and ways to break them."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from speakerkd.corpora.build import Work


def tone(seconds, rate, channels=1):
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat((0.3 * np.sin(2 * np.pi * 220 * time))[:, None], channels, 1).astype(np.float32)


class Media:
    """Writes small media files below a folder; every method gives the path back."""

    def __init__(self, root: Path):
        self.root = root

    def path(self, name):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def sound(self, name, seconds=0.5, rate=16000, channels=1, **options):
        path = self.path(name)
        if path.suffix in (".m4a", ".mp4"):
            with av.open(str(path), "w", format="mp4", options=options) as container:
                track = container.add_stream("aac", rate=rate, layout="mono" if channels == 1 else "stereo")
                samples = np.ascontiguousarray(tone(seconds, rate, channels).T)
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=track.layout.name)
                frame.rate, frame.pts = rate, 0
                container.mux(track.encode(frame))
                container.mux(track.encode(None))
        else:
            soundfile.write(path, tone(seconds, rate, channels), rate)
        return path

    def video(self, name, frames=3):
        path = self.path(name)
        with av.open(str(path), "w") as container:
            track = container.add_stream("libx264", rate=2)
            track.width = track.height = 32
            track.pix_fmt = "yuv420p"
            for level in range(frames):
                picture = np.full((32, 32, 3), 40 * level, np.uint8)
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(track.encode(None))
        return path

    def image(self, name, level=100):
        path = self.path(name)
        Image.new("RGB", (24, 24), (level, level, level)).save(path)
        return path

    def text(self, name, content):
        path = self.path(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def cut(path, share=0.5):
    """Keep the first part of a file, as an interrupted copy would."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.fixture
def media(tmp_path):
    return Media(tmp_path)


@pytest.fixture
def truncate():
    return cut


@pytest.fixture
def work():
    return Work(jobs=1)
