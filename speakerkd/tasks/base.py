"""What is trained: the contract of a task, which joins a student, its data and the figure that tells a good epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.data.sampler import classes_of, fraction_of
from speakerkd.errors import InputError
from speakerkd.models.network import Network
from speakerkd.tasks.online_speech import OnlineSettings
from speakerkd.tasks.source import Source
from speakerkd.teachers.module import Teacher, TeacherSettings

Embed = Callable[[Tensor], Tensor]


# of tasks over pictures
Split = Annotated[str, Field(description="split that is trained on")]
Fraction = Annotated[float, Field(gt=0, le=1, description="share of every class's pictures that is used")]
Resident = Annotated[
    Literal["auto", True, False], Field(description="keep the pictures in the GPU's memory; auto: where they fit")
]


class TrainingData(Settings):
    """What the `data:` of every task has; a task's own settings add the rest."""

    @property
    def directories(self) -> list[str]:
        """The directories that the samples come from."""
        raise NotImplementedError

    @property
    def epoch_limit(self) -> int | None:
        """Samples of a class and epoch at most; None: all."""
        return None


DataT = TypeVar("DataT", bound=TrainingData)
StudentT = TypeVar("StudentT", bound=Settings)


class Task(ABC, Generic[DataT, StudentT]):
    """Base of the tasks, each one kind of training. Making an instance checks paths and reads nothing large.

    Data, Student: the settings of `data:` and `student:`. metric: the figure of `evaluate` that names the best
    checkpoint; lower_is_better. latest: `exp/latest` may name such an experiment. loss: the one task loss that it is
    trained by, None for any.
    """

    Data: ClassVar[type[TrainingData]]
    Student: ClassVar[type[Settings]]
    metric: ClassVar[str]
    lower_is_better: ClassVar[bool]
    latest: ClassVar[bool]
    loss: ClassVar[str | None] = None

    def __init__(
        self,
        data: DataT,
        student: StudentT,
        teacher: TeacherSettings,
        *,
        loss: str | None = None,
        seed: int = 1,
        taught: bool = False,
    ) -> None:
        """data, student: settings of the kinds `Data` and `Student`. loss: the task loss's name, None for the task's
        own. taught: objectives follow, so that samples need a teacher's input. Raises InputError for a path that is
        missing, and for a loss that the task is not trained by."""
        if self.loss is not None and loss not in (None, self.loss):
            raise InputError(f"loss '{loss}' for pictures", "loss.name", f"set it to {self.loss}")
        self.data, self.settings, self.teacher = data, student, teacher
        self.seed, self.taught = seed, taught
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Check that the settings go together and that what they name is there; raises InputError."""

    @abstractmethod
    def student(self) -> Network:
        """The network with fresh weights."""

    @abstractmethod
    def example(self) -> Tensor:
        """An input of 2 samples for the student, of the training shape."""

    @abstractmethod
    def source(self, device: str, strong: bool) -> Source:
        """Open the training data; strong: views with a second, strongly augmented one."""

    @abstractmethod
    def frozen_teacher(self, inputs: Tensor, names: Sequence[str]) -> Teacher:
        """The teacher that objectives follow; inputs: what the source gives for it, of 2 samples. names: K classes."""

    @abstractmethod
    def evaluate(self, embed: Embed, classifier: nn.Linear | None) -> dict[str, float]:
        """Figures after an epoch, empty without development data.

        embed: the student, input (B, ...) to (B, D) on the CPU. classifier: the task loss's linear layer, or None.
        """

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What deployment needs beside student and head, such as the front end's settings."""

    @abstractmethod
    def deployed(self, student: Network, classifier: nn.Linear | None) -> tuple[Network, Settings]:
        """The network that is published, and its settings."""


@dataclass(frozen=True, slots=True)
class Package:
    """A network of a run as it is published.

    folder: below the experiment's, "" for itself. task: what loads it. settings: of the network, or of each encoder of
    a disentangled one. frontend: settings of what it reads. figure: the one of the evaluation that names its best
    checkpoint. partner: folder of the network that it is matched with.
    """

    folder: str
    task: str
    network: Network
    settings: Settings
    frontend: dict[str, Any] | None
    figure: str
    partner: str | None = None


@runtime_checkable
class TrainsTogether(Protocol):
    """A task whose networks, one a modality, learn side by side where an objective asks for it (`disentangled`)."""

    def branches(self, classes: int) -> tuple[Network, Teacher]:
        """The first modality's network, and a trainable teacher that holds the others'; all with fresh weights."""
        ...

    def evaluate_together(
        self, embed_with: Callable[[Network], Embed], student: Network, teacher: Teacher
    ) -> dict[str, float]:
        """Figures after an epoch of all networks; embed_with: a network as a function of its input."""
        ...

    def packages(self, student: Network, teacher: Teacher) -> list[Package]:
        """What is published of the run."""
        ...


class DataSettings(TrainingData):
    """Where the training data is and what a sample is made of (tasks `speaker` and `face`)."""

    train: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="data directory, or several: speakers of different directories count as different people"
    )
    dev: str | None = Field(None, description="data directory with trials_* for the early evaluation; null: none")
    crop_frames: int = Field(200, ge=8, le=10_000, description="frames of a training crop; 100 are a second")
    resident: Literal["auto", True, False] = Field(
        "auto", description="keep the features in the GPU's memory; auto: where they fit"
    )
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training data that is used")
    fraction_of: Literal["utterances", "speakers"] = Field(
        "utterances", description="a share of every speaker's utterances, or all utterances of a share of the speakers"
    )
    max_utterances: int | None = Field(None, ge=1, description="utterances of a speaker and epoch at most; null: all")
    copies: list[str] = Field(
        default_factory=list,
        description="augmented copies of the training directories (`speakerkd augment`): an utterance is drawn clean "
        "or as one of its copies",
    )
    online: OnlineSettings | None = Field(
        None,
        description="augment raw recordings while training, as `speakerkd augment` would; null: not. Decoding costs "
        "far more than cropping copies",
    )
    time_mask: int = Field(0, ge=0, description="SpecAugment: widest strip of masked frames")
    band_mask: int = Field(0, ge=0, description="SpecAugment: widest strip of masked bands")
    shift: int = Field(4, ge=0, le=32, description="face crops: moved by up to this many pixels")
    flip: bool = Field(True, description="face crops: half of them mirrored")

    @property
    def directories(self) -> list[str]:
        return [self.train] if isinstance(self.train, str) else list(self.train)

    @property
    def epoch_limit(self) -> int | None:
        return self.max_utterances

    def rows_used(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Ascending positions of the samples that are trained on, of labels (N,)."""
        draw = fraction_of if self.fraction_of == "utterances" else classes_of
        return draw(labels, self.fraction, seed)
