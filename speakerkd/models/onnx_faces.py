"""What matching with faces takes beside a voice network, as ONNX files: the face detector and the teacher."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speakerkd.errors import InputError
from speakerkd.frontend.mtcnn import plain_network
from speakerkd.frontend.mtcnn_onnx import NETWORKS, SIDES
from speakerkd.models.disentangled import DisentangledBranch
from speakerkd.models.face_network import FaceNetwork, embed_pictures
from speakerkd.models.face_onnx import OnnxFace, onnx_digest
from speakerkd.models.onnx_export import write_onnx

FACE = "face.onnx"
LEAST_COSINE = 0.9999  # between torch's embeddings of pictures and the file's


def write_faces(teacher: FaceNetwork | DisentangledBranch, folder: Path) -> dict[str, Any]:
    """Write pnet.onnx, rnet.onnx, onet.onnx and face.onnx; returns what onnx.json says of them.

    A teacher that is an ONNX file already is copied; another becomes one that takes aligned RGB pictures as they are,
    uint8 (B, 112, 112, 3). Raises InputError where the file's embeddings differ from torch's.
    """
    for name in NETWORKS:
        side = SIDES.get(name, 24)
        axes = {0: "batch"} if name in SIDES else {0: "batch", 2: "height", 3: "width"}
        outputs = ["score", "box", "points"][: 3 if name == "onet" else 2]
        sizes = {output: axes for output in outputs if name in SIDES}
        sizes |= {"score": {0: "batch", 1: "h", 2: "w"}, "box": {0: "batch", 2: "h", 3: "w"}} if name == "pnet" else {}
        example = torch.zeros(2, 3, side, side)
        write_onnx(plain_network(name), example, folder / f"{name}.onnx", "pixels", {"pixels": axes} | sizes)
    if isinstance(teacher, OnnxFace):
        if "," in onnx_digest(teacher.path):
            raise InputError("weights in files beside it", teacher.path, "join them into one file")
        if isinstance(teacher.content, bytes):
            (folder / FACE).write_bytes(teacher.content)
        else:
            shutil.copyfile(teacher.path, folder / FACE)
        return {"pixels": str(teacher.pixels)}
    network = _Pictures(teacher.cpu().float()).eval()
    noise = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    pictures = torch.from_numpy(noise)
    write_onnx(network, pictures, folder / FACE, "pictures", {"pictures": {0: "batch"}, "embedding": {0: "batch"}})
    _compare(teacher, pictures, folder / FACE)
    return {"pixels": None}


class _Pictures(nn.Module):
    """A face network from aligned pictures to its embedding, not normalised."""

    def __init__(self, network: FaceNetwork | DisentangledBranch) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network(self.network.preprocess(pictures)).embedding


def _compare(teacher: FaceNetwork | DisentangledBranch, pictures: Tensor, path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {session.get_inputs()[0].name: pictures.numpy()})
    ours = embed_pictures(teacher, pictures).numpy()
    least = float(((ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)).min())
    if not least >= LEAST_COSINE:
        what = f"the exported face teacher differs from torch's (cosine {least:.5f})"
        raise InputError(what, path, "export with --no-faces")
