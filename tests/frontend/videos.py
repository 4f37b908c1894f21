"""Videos for tests, through FFmpeg's encoder."""

import av
import numpy as np


def write_video(path, frames, rate=25, **options):
    """frames: uint8 (H, W, 3) each."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
