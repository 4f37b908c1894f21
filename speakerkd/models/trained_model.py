"""A trained model as two files: `model.safetensors` (the weights) and `model.json` (all it takes to use them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from speakerkd.config import Settings, parse
from speakerkd.distill.projection import ProjectionHead, ProjectionSettings
from speakerkd.errors import InputError
from speakerkd.models.blocks import fold_batch_norms
from speakerkd.models.disentangled import DisentangledBranch, Uses, build_disentangled
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.face_network import FaceNetwork
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.network import Network
from speakerkd.models.precision import compile_network, inference_dtype
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.weights import load_foreign, load_into
from speakerkd.tensors import Output
from speakerkd.version import __version__
from speakerkd.work.files import digest, write_json
from speakerkd.work.records import read_json
from speakerkd.work.weights import write_tensors

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FORMAT = 1  # of model.json; raised when an older reader would misread it

# task -> settings of its network, and what builds it
TASKS: dict[str, tuple[type[Settings], Callable[[Any], Network]]] = {
    "speaker": (SpeakerSettings, build_speaker),
    "face": (FaceSettings, build_face),
    "image": (ImageSettings, build_image),
    "paired_images": (ImageSettings, build_image),
    "sensors": (ImageSettings, build_image),
}


class TeacherRecord(Settings):
    """Which teacher taught a model, so that matching runs the same one."""

    name: str = Field(description="the teacher's network, as `speakerkd embed-teacher --teacher`")
    dim: int = Field(ge=1, description="size of its embeddings")
    weights: str | None = Field(None, description="path of its weights when it was run")
    digest: str | None = Field(None, description="digest of that file")
    kind: str = Field("face", description="what it embeds: speech, or else faces (or text)")

    def elsewhere(self) -> TeacherRecord:
        """The record for other machines: the weights' name, without the folder that they lie in here."""
        return self.model_copy(update={"weights": self.weights and Path(self.weights).name})


class Origin(Settings):
    """Where an imported model comes from."""

    project: str = Field(description="the project that published it")
    file: str = Field(description="name of the file it was imported from")
    digest: str = Field(description="digest of that file")


class Description(Settings):
    """Content of `model.json`."""

    format: int = Field(description="version of this file's layout")
    version: str = Field(description="version of speakerkd that wrote it")
    task: str = Field(description="speaker, face or image")
    student: dict[str, Any] = Field(description="settings of the network, or of both encoders of a disentangled one")
    disentangled: int | None = Field(None, description="classes of a disentangled branch, null for a plain network")
    uses: Uses = Field("both", description="what a disentangled branch gives as its embedding")
    frontend: dict[str, Any] | None = Field(None, description="settings of the features it reads")
    projection: dict[str, Any] | None = Field(None, description="settings of the projection head, null without one")
    teacher: TeacherRecord | None = Field(None, description="its teacher, null without one")
    labels: list[str] = Field(default_factory=list, description="training classes, in the order of their numbers")
    protocol: Literal["crops", "whole", "mean"] = Field("crops", description="how it is scored unless told otherwise")
    origin: Origin | None = Field(None, description="where an imported model comes from, null for one trained here")
    weights: str = Field(description="digest of model.safetensors")


@dataclass(slots=True)
class TrainedModel:
    """A trained network and its projection head, in eval mode on one device.

    task: `speaker`, `face` or `image`. settings: of the network. frontend: of the features, as written, or None.
    head: maps teacher embeddings (B, D_T) to (B, D), or None. labels: training classes. protocol: how it is scored
    unless told otherwise.
    """

    task: str
    student: Network
    settings: Settings
    frontend: dict[str, Any] | None = None
    head: nn.Module | None = None
    teacher: TeacherRecord | None = None
    labels: list[str] = field(default_factory=list)
    protocol: Literal["crops", "whole", "mean"] = "crops"
    version: str = __version__
    directory: Path | None = None
    digest: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    _network: Any = None  # what computes: the student, or its fast copy
    _run: Any = None  # the same, perhaps under the compiler

    @property
    def dim(self) -> int:
        """Embedding size D."""
        return self.student.dim

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TrainedModel:
        """Move to a device, there to compute in `dtype`: by default bf16 where that is fast, else float32."""
        self.device = torch.device(device)
        self.dtype = dtype or inference_dtype(self.device)
        self.student.to(self.device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # stub lacks it
        self.head = None if self.head is None else self.head.to(self.device).eval()
        # in float32 the network stays as it was trained; in bf16 a BatchNorm folded in is one rounding less
        fast = self.dtype != torch.float32
        self._network = self._run = fold_batch_norms(self.student) if fast else self.student
        return self

    @property
    def compiled(self) -> bool:
        """True from `compile` until the next `to`."""
        return self._run is not self._network

    def compile(self) -> TrainedModel:
        """Compile the network: some ten seconds at the first batch of a shape, then faster; pays on long runs.

        On a processor the weights become constants of the compiled code; later changes of them are not seen.
        """
        constants = {"freezing": True} if self.device.type == "cpu" else None
        self._run = compile_network(self._network, constants)
        return self

    def outputs(self, x: Tensor, maps: bool = False) -> Output:
        """The network's `Output` of a batch: Fbank (B, T, F), aligned pictures uint8 (B, 112, 112, 3), or images.

        maps: its blocks' outputs too.
        """
        x = x.to(self.device, non_blocking=True)
        if self.task == "face" and x.dtype == torch.uint8:
            assert isinstance(self.student, FaceNetwork | DisentangledBranch)
            x = self.student.preprocess(x)
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self._run(x, maps=True) if maps else self._run(x)

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings (B, D) float32 of length 1 on the package's device; `x` as in `outputs`."""
        return functional.normalize(self.outputs(x).embedding.float(), dim=1)

    def project(self, teacher: Tensor) -> Tensor:
        """Teacher embeddings (B, D_T) as (B, D) float32 of length 1, comparable with `embed` by cosine.

        Through the projection head, or as they are without one. Raises InputError where the sizes do not fit.
        """
        width, wanted = teacher.shape[1], self.dim if self.teacher is None else self.teacher.dim
        if width != wanted or (self.head is None and width != self.dim):
            raise InputError(
                f"teacher embeddings of size {width}, the model compares with {wanted if self.head else self.dim}",
                self.directory or "the model",
                "use the teacher that taught this model, and train with an objective that projects it"
                if width == wanted
                else "use the teacher that taught this model",
            )
        with torch.inference_mode():
            teacher = teacher.to(self.device).float()
            return functional.normalize(teacher if self.head is None else self.head(teacher), dim=1)


def save_trained_model(
    directory: Path | str,
    *,
    task: str,
    student: Network,
    settings: Settings,
    frontend: Settings | dict[str, Any] | None = None,
    head: ProjectionHead | None = None,
    teacher: TeacherRecord | dict[str, Any] | None = None,
    labels: list[str] | None = None,
    protocol: Literal["crops", "whole", "mean"] = "crops",
    origin: Origin | None = None,
) -> None:
    """Write `model.safetensors` (`student.*`, `head.*`) and `model.json` into a directory, each whole or not at all.

    A network under torch.compile or DistributedDataParallel is unwrapped. The head's settings are its own `.settings`.
    """
    directory = Path(directory)
    network, projection = unwrapped(student), None if head is None else unwrapped(head)
    parts = {"student": network} | ({} if projection is None else {"head": projection})
    tensors = {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
    write_tensors(directory / WEIGHTS, tensors, {"format": "pt", "speakerkd": __version__})
    description = Description(
        format=FORMAT,
        version=__version__,
        task=task,
        student=settings.model_dump(mode="json", exclude={"weights"}),  # what it started from is no part of it
        disentangled=network.classes if isinstance(network, DisentangledBranch) else None,
        uses=network.uses if isinstance(network, DisentangledBranch) else "both",
        frontend=frontend.model_dump(mode="json") if isinstance(frontend, Settings) else frontend,
        projection=projection.settings.model_dump(mode="json") if isinstance(projection, ProjectionHead) else None,
        teacher=teacher,
        labels=labels or [],
        protocol=protocol,
        origin=origin,
        weights=digest(directory / WEIGHTS),
    )
    write_json(directory / DESCRIPTION, description.model_dump(mode="json"))


def unwrapped(module: nn.Module) -> nn.Module:
    """The network inside torch.compile's and DistributedDataParallel's wrappers."""
    while True:
        inner = getattr(module, "_orig_mod", None) or (
            module.module if isinstance(module, nn.parallel.DistributedDataParallel | nn.DataParallel) else None
        )
        if inner is None:
            return module
        module = inner


def load_trained_model(
    directory: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> TrainedModel:
    """Read what `save_trained_model` wrote, every key accounted for, in eval mode on a device (see `TrainedModel.to`).

    Raises InputError for a directory without a model, one of a later version, or files that do not belong together.
    """
    directory = Path(directory)
    description = read_description(directory)
    kind, build = TASKS[description.task]
    where = directory / DESCRIPTION
    settings = parse(kind, description.student, where)
    state = load_foreign(directory / WEIGHTS)
    if digest(directory / WEIGHTS) != description.weights:
        raise InputError(f"{WEIGHTS} is not the file that {DESCRIPTION} describes", directory, "write the model again")
    classes = description.disentangled
    package = TrainedModel(
        task=description.task,
        student=build(settings) if classes is None else build_disentangled(settings, build, classes, description.uses),
        settings=settings,
        frontend=description.frontend,
        teacher=description.teacher,
        labels=description.labels,
        protocol=description.protocol,
        version=description.version,
        directory=directory,
        digest=description.weights,
    )
    if description.projection is not None:
        if description.teacher is None:
            raise InputError("a projection head without a teacher", where, "write the model again")
        projection = parse(ProjectionSettings, description.projection, where)
        package.head = ProjectionHead(description.teacher.dim, package.dim, projection)
    load_into(nn.ModuleDict(_parts(package)), state, directory / WEIGHTS)
    return package.to(device, dtype)


def _parts(package: TrainedModel) -> dict[str, nn.Module]:
    return {"student": package.student} | ({"head": package.head} if package.head is not None else {})


def face_taught(model: Description | TrainedModel) -> bool:
    """Whether a model's own cosines with faces mean anything: none taught it, or only speech, and they do not."""
    head = model.projection if isinstance(model, Description) else model.head
    return head is not None if model.teacher is None else model.teacher.kind != "speech"


def is_speech_model(directory: Path | str) -> bool:
    """Whether a path is an experiment directory of a speech network."""
    path = Path(directory)
    return (path / DESCRIPTION).is_file() and read_description(path).task == "speaker"


def front_end_of(directory: Path | str) -> dict[str, Any]:
    """The settings of the features that a speech model reads; raises InputError for a model of another task."""
    description = read_description(directory)
    if description.task != "speaker":
        raise InputError(f"a model of the task '{description.task}'", directory, "give a speech model")
    return dict(description.frontend or {})


def read_description(directory: Path | str) -> Description:
    """The checked content of a model's `model.json`."""
    where = Path(directory) / DESCRIPTION
    if not where.is_file():
        raise InputError(
            "no trained model here", directory, "train one with `speakerkd train CONFIG`, or name its folder"
        )
    values = read_json(where, dict[str, Any], "train the model again, or copy its folder again")
    if isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise InputError(
            f"written by speakerkd {values.get('version')}, this is {__version__}", where, "update speakerkd"
        )
    description = parse(Description, values, where)
    if description.task not in TASKS:
        raise InputError(f"a model of an unknown task '{description.task}'", where, f"known: {', '.join(TASKS)}")
    return description
