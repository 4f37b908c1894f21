"""Say what this machine and installation can do; with --corpus, what of a corpus is on the disk.

Example: speakerkd doctor

Example: speakerkd doctor --corpus voxceleb --vox1 /corpora/voxceleb1 --vox2 /corpora/voxceleb2
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
from pydantic import Field

from speakerkd.cli.extras import NEEDS_TRAIN
from speakerkd.cli.options import verb
from speakerkd.config import Settings
from speakerkd.errors import InputError

# torch, torchvision and torchaudio of one release work together; any other pair fails to import
MATCHED = {"torch": "2.11", "torchvision": "0.26", "torchaudio": "2.11"}
EXTRAS = {
    "mini": ("espeakng_loader", "skimage"),
    "text": ("open_clip",),
    "cluster": ("distributed",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "vad": ("silero_vad", "onnxruntime"),
    "hub": ("huggingface_hub",),
    "gallery": ("faiss",),
    "demo": ("gradio",),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `ok` is None where it is only a fact."""

    name: str
    state: str
    ok: bool | None = None
    fix: str = ""


class DoctorOptions(Settings):
    """What is looked at."""

    corpus: Literal["voxceleb"] | None = Field(
        None, description="voxceleb: what of it is here, what is missing, and what the recipe will cost"
    )
    vox1: Path | None = Field(None, description="root of VoxCeleb1")
    vox2: Path | None = Field(None, description="root of VoxCeleb2")
    lists: Path | None = Field(None, description="folder of trial lists and meta tables")
    musan: Path | None = Field(None, description="root of MUSAN")
    weights: Path | None = Field(None, description="weights of the face teacher")
    systems: int = Field(2, ge=0, le=1000, description="networks to train, for the time that they take")
    work: Path | None = Field(None, description="where data/ and exp/ will go")
    left_out: Path | None = Field(None, description="file that records what is missing, for `report`")
    measure: float = Field(10.0, ge=0, le=3600, description="seconds of measuring; 0: no costs")


@verb()
def doctor(settings: DoctorOptions) -> None:
    """Print the checks; exit status 1 where something is amiss."""
    if settings.corpus is not None:
        _look_for_corpus(settings)
        return
    checks = examine()
    width = max(len(c.name) for c in checks)
    for check in checks:
        mark = {True: "ok ", False: "BAD", None: "   "}[check.ok]
        fix = f"  -> {check.fix}" if check.ok is False else ""
        print(f"{mark} {check.name.ljust(width)}  {check.state}{fix}")
    if any(c.ok is False for c in checks):
        raise click.exceptions.Exit(1)


def _look_for_corpus(settings: DoctorOptions) -> None:
    from speakerkd.cli.corpus_parts import show_voxceleb

    whole = show_voxceleb(
        settings.vox1,
        settings.vox2,
        settings.lists,
        settings.musan,
        settings.weights,
        systems=settings.systems,
        work=settings.work,
        left_out=settings.left_out,
        seconds=settings.measure,
    )
    if not whole:
        raise InputError("a required part is missing", "doctor --corpus", "see the table for where it is to be had")


def examine() -> list[Check]:
    """Try every part that the verbs lean on; takes a few seconds, changes nothing."""
    checks = [
        Check("Python", sys.version.split()[0], (3, 11) <= sys.version_info[:2] <= (3, 13), "use Python 3.11 to 3.13")
    ]
    if any(importlib.util.find_spec(package) for package in MATCHED):
        checks += [*_versions(), *_compute(), _face_detector()]
    else:
        checks.append(Check("torch", f"absent: exported models alone ({NEEDS_TRAIN} for the rest)"))
    checks += _extras()
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    checks.append(Check("free disk here", f"{free:.0f} GiB", free > 2, "free some disk space"))
    return checks


def _versions() -> list[Check]:
    checks = []
    for package, want in MATCHED.items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(package, "absent", False, "run bash tools/install.sh"))
            continue
        right = version.startswith(want)
        checks.append(
            Check(package, version, right, f"install {package} {want} (a matched set), or run bash tools/install.sh")
        )
    return checks


def _compute() -> list[Check]:
    import torch

    from speakerkd.models.device import choose_device
    from speakerkd.models.precision import inference_dtype

    checks = [Check("CPU threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores")]
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        checks.append(Check("GPU", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()} ({memory:.0f} GiB)"))
    else:
        checks.append(Check("GPU", "none: everything runs on the CPU"))
    checks.append(Check("numbers for inference", str(inference_dtype(choose_device())).removeprefix("torch.")))
    return checks


def _face_detector() -> Check:
    spec = importlib.util.find_spec("facenet_pytorch")
    weights = [] if spec is None else list((Path(spec.origin or "").parent / "data").glob("?net.pt"))
    return Check("MTCNN weights", f"{len(weights)} of 3", len(weights) == 3, "install facenet-pytorch 2.5.3")


def _extras() -> list[Check]:
    checks = []
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        checks.append(Check(f"extra '{extra}'", f"lacks {', '.join(missing)}" if missing else "installed"))
    return checks
