"""A trained speech model as ONNX files that need neither torch nor speakerkd to be run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.config import parse
from speakerkd.errors import InputError
from speakerkd.frontend.fbank import FLOOR, SCALE, fbank
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.frontend.mel import kaldi_filters
from speakerkd.models.trained_model import TrainedModel
from speakerkd.work.files import digest, whole_dir, write_json

MODEL, HEAD, FBANK, RECORD = "model.onnx", "head.onnx", "fbank.onnx", "onnx.json"
OPSET = 17
LEAST_COSINE = {"float32": 0.9999, "int8": 0.98}
TRIALS = ((1, 1.2), (2, 2.0), (1, 4.015))  # batch and seconds of the sounds that are compared


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. cosine: the least between torch's embedding and the file's, over the sounds compared."""

    directory: Path
    cosine: float
    megabytes: float


class KaldiFbank(nn.Module):
    """Kaldi's Fbank as one convolution, a square and a product, which every runtime has: (B, N) -> (B, T, F).

    Mean removal, pre-emphasis, window and Fourier transform of a frame are linear: their product is the kernel.
    """

    def __init__(self, settings: FbankSettings) -> None:
        super().__init__()
        size, fft = settings.window_size, settings.fft_size
        window = {
            "hamming": lambda: torch.hamming_window(size, False, 0.54, 0.46, dtype=torch.float64),
            "hanning": lambda: torch.hann_window(size, False, dtype=torch.float64),
            "povey": lambda: torch.hann_window(size, False, dtype=torch.float64).pow(0.85),
        }[settings.window]()
        centred = torch.eye(size, dtype=torch.float64) - 1 / size
        emphasised = torch.eye(size, dtype=torch.float64) - settings.preemphasis * torch.diag(
            torch.ones(size - 1, dtype=torch.float64), -1
        )
        emphasised[0, 0] -= settings.preemphasis
        angle = 2 * math.pi / fft * torch.outer(torch.arange(fft // 2), torch.arange(size)).double()
        frame = window[:, None] * (emphasised @ centred)
        kernel = torch.cat([angle.cos() @ frame, angle.sin() @ frame]) * SCALE
        self.kernel: Tensor
        self.register_buffer("kernel", kernel.float()[:, None])
        mel = kaldi_filters(settings.mels, fft, settings.rate, settings.low, settings.high)
        self.mel: Tensor
        self.register_buffer("mel", torch.cat([mel, mel], 1).T.contiguous())
        self.shift = settings.window_shift

    def forward(self, waves: Tensor) -> Tensor:
        spectrum = functional.conv1d(waves[:, None], self.kernel, stride=self.shift)
        return (spectrum.square().transpose(1, 2) @ self.mel).clamp(min=FLOOR).log()


class _Deployed(nn.Module):
    def __init__(self, network: nn.Module, frontend: nn.Module | None) -> None:
        super().__init__()
        self.network, self.frontend = network, frontend

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.frontend is None else self.frontend(x)
        return functional.normalize(self.network(x).embedding.float(), dim=1)


class _Head(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(self.head(x), dim=1)


def export_onnx(
    package: TrainedModel,
    directory: Path | str,
    *,
    reads: Literal["waveform", "fbank"] = "fbank",
    int8: bool = False,
    record: dict[str, Any] | None = None,
    more: Callable[[Path], dict[str, Any]] | None = None,
    check: Callable[[Path], dict[str, Any]] | None = None,
) -> Exported:
    """Write model.onnx (and head.onnx, where the model was taught) and onnx.json, all or none.

    model.onnx: `fbank` (B, T, F), or `waveform` (B, N) in [-1, 1] at the model's rate, to `embedding` (B, D) of length
    1; batch and length are free. fbank.onnx, beside one that reads Kaldi's Fbank: `waveform` to `fbank`. head.onnx:
    `teacher` (B, D_T) to `projected` (B, D) of length 1. int8: weights in 8 bits, a quarter of the size. record:
    further content of onnx.json. more: writes further files into the folder; check: sees the folder as it will be, and
    raises InputError where it is not to stay; both return what else onnx.json is to say.

    What the files give is compared with torch, at several lengths: InputError where the cosine is below .9999 (.98 in
    int8), where onnx or onnxruntime is missing, and for waveform input of a front end other than Kaldi's.
    """
    directory = Path(directory)
    try:
        import onnx  # noqa: F401  (both are wanted before anything is done)
        import onnxruntime  # noqa: F401  (the same)
    except ImportError as error:
        raise InputError("onnx and onnxruntime are not installed", "--onnx", "pip install 'speakerkd[onnx]'") from error
    settings = parse(FbankSettings, package.frontend or {}, "the model's front end")
    if reads == "waveform" and settings.kind != "kaldi":
        raise InputError(f"a waveform front end of kind '{settings.kind}'", "--reads waveform", "export --reads fbank")
    network = package.student.cpu().float().eval()
    frontend = KaldiFbank(settings) if reads == "waveform" else None
    deployed = _Deployed(network, frontend).eval()
    sounds = [_sound(batch, seconds, settings.rate) for batch, seconds in TRIALS]
    inputs = [sound if reads == "waveform" else fbank(sound, settings) for sound in sounds]
    directory.parent.mkdir(parents=True, exist_ok=True)
    with whole_dir(directory) as part:
        sizes = {reads: {0: "batch", 1: "length"}, "embedding": {0: "batch"}}
        write_onnx(deployed, inputs[1], part / MODEL, reads, sizes)
        if int8:
            _quantise(part / MODEL)
        least = min(
            _compared(part / MODEL, network, fbank(s, settings), x) for s, x in zip(sounds, inputs, strict=True)
        )
        wanted = LEAST_COSINE["int8" if int8 else "float32"]
        if not least >= wanted:
            what = f"the exported network differs from torch's (cosine {least:.5f}, at least {wanted} is asked for)"
            raise InputError(what, directory, "export without --int8" if int8 else "report this network")
        if reads == "fbank" and settings.kind == "kaldi":
            sizes = {"waveform": {0: "batch", 1: "length"}, "fbank": {0: "batch", 1: "frames"}}
            write_onnx(KaldiFbank(settings), sounds[1], part / FBANK, "waveform", sizes)
        if package.head is not None and package.teacher is not None:
            example = torch.randn(2, package.teacher.dim, generator=torch.Generator().manual_seed(0))
            sizes = {"teacher": {0: "batch"}, "projected": {0: "batch"}}
            write_onnx(_Head(package.head.cpu().eval()), example, part / HEAD, "teacher", sizes)
        about: dict[str, Any] = {"reads": reads, "int8": int8, "frontend": settings.model_dump(), "dim": package.dim}
        about |= {"model": package.digest, "protocol": package.protocol, "weights": digest(part / MODEL)}
        about |= {"teacher": package.teacher.elsewhere().model_dump() if package.teacher is not None else None}
        about |= (record or {}) | (more(part) if more is not None else {})
        write_json(part / RECORD, about)
        if check is not None:
            write_json(part / RECORD, about | check(part))
    size = (directory / MODEL).stat().st_size / 1e6
    package.to(package.device, package.dtype)
    return Exported(directory, least, size)


def _sound(batch: int, seconds: float, rate: int) -> Tensor:
    """Noise that swells and fades, with a buzz, (B, N)."""
    generator = torch.Generator().manual_seed(int(100 * seconds))
    time = torch.arange(int(seconds * rate)) / rate
    buzz = sum(torch.sin(2 * math.pi * 110 * k * time) / k for k in range(1, 20))
    level = 0.3 + 0.7 * torch.sin(2 * math.pi * 2 * time).square()
    return 0.05 * level * buzz + 0.01 * torch.randn(batch, len(time), generator=generator)


def write_onnx(network: nn.Module, example: Tensor, path: Path, reads: str, sizes: dict[str, dict[int, str]]) -> None:
    """Write a network of one input as an ONNX file.

    reads: the input's name. sizes: {name: {axis: name}} of the sizes that may change, of the input and, in the
    network's order, of every output.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=[reads],
            output_names=[name for name in sizes if name != reads],
            dynamic_axes=sizes,
            opset_version=OPSET,
            dynamo=False,
        )


def _quantise(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_suffix(".int8")
    quantize_dynamic(str(path), str(small), weight_type=QuantType.QUInt8)
    small.replace(path)


def _compared(path: Path, network: nn.Module, features: Tensor, inputs: Tensor) -> float:
    """The least cosine between torch's embeddings of Fbank features and the file's of its own input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    with torch.no_grad():
        ours = functional.normalize(network(features).embedding.float(), dim=1).numpy()
    return float(np.min((ours * theirs).sum(1)))
