"""Pictures and frames of videos as the face detector and the networks take them: RGB uint8 (H, W, 3)."""

from __future__ import annotations

from speakerkd.media.pictures import GREY, PictureSource, read_picture
from speakerkd.media.videos import POSITIONS, frames_of, is_video, video_frames

__all__ = ["GREY", "POSITIONS", "PictureSource", "frames_of", "is_video", "read_picture", "video_frames"]
