"""The tasks by the name that a config gives."""

from __future__ import annotations

from typing import Any

from speakerkd.tasks.base import Task
from speakerkd.tasks.face import FaceTask
from speakerkd.tasks.image import ImageTask
from speakerkd.tasks.paired_images import PairedImageTask
from speakerkd.tasks.sensors import SensorTask
from speakerkd.tasks.speaker import SpeakerTask

TASKS: dict[str, type[Task[Any, Any]]] = {
    "speaker": SpeakerTask,
    "face": FaceTask,
    "image": ImageTask,
    "paired_images": PairedImageTask,
    "sensors": SensorTask,
}
