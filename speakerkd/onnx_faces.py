"""Faces for an exported model: found, aligned and embedded through onnxruntime, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.frontend.faces import FaceDetector, seen_face
from speakerkd.frontend.pictures import PictureSource

FACE = "face.onnx"
TYPES: dict[str, type] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxFaces:
    """The detector and the face teacher of a folder that `speakerkd export --onnx` wrote.

    pixels: colours, mean and divisor by which the teacher takes pictures, as `rgb,127.5,127.5`; None: as they are.
    """

    def __init__(self, folder: Path, pixels: str | None, options: Any = None) -> None:
        import onnxruntime

        self._detector = FaceDetector(exported=folder)
        self._session = onnxruntime.InferenceSession(str(folder / FACE), options, providers=["CPUExecutionProvider"])
        node = self._session.get_inputs()[0]
        self._name, self._type = node.name, TYPES[node.type]
        self._batch = node.shape[0] if isinstance(node.shape[0], int) else None
        self._channels_last = pixels is None or node.shape[-1] == 3
        self._pixels = pixels.split(",") if pixels else None

    def embed(self, pictures: Sequence[PictureSource]) -> NDArray[np.float32]:
        """The teacher's embeddings (N, D) of the subjects of pictures or videos; InputError where one shows no face."""
        crops = np.stack([seen_face(picture, by=self._detector)[0].crop for picture in pictures])
        step = self._batch or len(crops)
        parts = []
        for start in range(0, len(crops), step):
            part = self._input(crops[start : start + step])
            missing = (self._batch or 0) - len(part)  # a graph of a fixed batch
            whole = np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing > 0 else part
            output = self._session.run(None, {self._name: whole})[0]
            parts.append(output.reshape(len(output), -1)[: len(part)])
        return np.concatenate(parts).astype(np.float32)

    def _input(self, crops: NDArray[np.uint8]) -> NDArray[Any]:
        x: NDArray[Any] = crops
        if self._pixels is not None:
            colours, mean, divisor = self._pixels
            x = crops[..., ::-1] if colours == "bgr" else crops
            x = (x.astype(np.float32) - float(mean)) / float(divisor)
        return np.ascontiguousarray(x if self._channels_last else x.transpose(0, 3, 1, 2), self._type)
