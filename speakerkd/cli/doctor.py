"""What this machine and installation can do, checked by trying it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# torch, torchvision and torchaudio of one release work together; any other pair fails to import
MATCHED = {"torch": "2.11", "torchvision": "0.26", "torchaudio": "2.11"}
EXTRAS = {
    "mini": ("espeakng_loader", "skimage"),
    "text": ("open_clip",),
    "cluster": ("distributed",),
    "export": ("onnx", "onnxruntime", "onnxscript"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `ok` is None where it is only a fact."""

    name: str
    found: str
    ok: bool | None = None
    fix: str = ""


def examine() -> list[Check]:
    """Try every part that the verbs lean on; takes a few seconds, changes nothing."""
    checks = [
        Check("Python", sys.version.split()[0], (3, 11) <= sys.version_info[:2] <= (3, 13), "use Python 3.11 to 3.13"),
        *_versions(),
        *_compute(),
        _face_detector(),
        *_extras(),
    ]
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    checks.append(Check("free disk here", f"{free:.0f} GiB", free > 2, "free some disk space"))
    return checks


def _versions() -> list[Check]:
    checks = []
    for package, want in MATCHED.items():
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(package, "absent", False, "run bash tools/install.sh"))
            continue
        right = found.startswith(want)
        checks.append(
            Check(package, found, right, f"install {package} {want} (a matched set), or run bash tools/install.sh")
        )
    return checks


def _compute() -> list[Check]:
    import torch

    from speakerkd.models.trained_model import inference_dtype

    checks = [Check("CPU threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores")]
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        checks.append(Check("GPU", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()} ({memory:.0f} GiB)"))
    else:
        checks.append(Check("GPU", "none: everything runs on the CPU"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checks.append(Check("numbers for inference", str(inference_dtype(device)).removeprefix("torch.")))
    return checks


def _face_detector() -> Check:
    found = importlib.util.find_spec("facenet_pytorch")
    weights = [] if found is None else list((Path(found.origin or "").parent / "data").glob("?net.pt"))
    return Check("MTCNN weights", f"{len(weights)} of 3", len(weights) == 3, "install facenet-pytorch 2.5.3")


def _extras() -> list[Check]:
    checks = []
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        checks.append(Check(f"extra '{extra}'", f"lacks {', '.join(missing)}" if missing else "installed"))
    return checks
