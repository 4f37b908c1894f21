"""The teacher's Output in a step: from cached embeddings, or from a network that runs along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from speakerkd.config import Settings
from speakerkd.distill.several import View
from speakerkd.errors import InputError
from speakerkd.models.disentangled import DisentangledBranch, build_disentangled
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.network import Network
from speakerkd.models.trained_model import is_speech_model, load_trained_model
from speakerkd.tensors import Output


class Teacher(nn.Module):
    """Gives the teacher's Output for its input: cached embeddings (B, D), or raw pictures for `network`.

    classifier: frozen linear layer over the embeddings, whose scores are the logits. trainable: `network` learns
    too; else it stays in eval mode and gives no gradients. settings: of a trainable network. scores: whether it gives
    logits of the student's classes; a network that does so by itself is told with `scores=True`.
    same_input: it sees what the student sees, so that positions of their maps correspond. branches: modalities that a
    trainable network is of; their rows come in turns.
    """

    def __init__(
        self,
        dim: int,
        network: Network | None = None,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        classifier: nn.Linear | None = None,
        settings: Settings | None = None,
        scores: bool = False,
        same_input: bool = False,
        branches: int = 1,
    ) -> None:
        super().__init__()
        self.same_input, self.branches = same_input, branches
        self.dim, self.settings, self.trainable = dim, settings, settings is not None
        self.network, self.classifier = network, classifier
        self.scores = scores or classifier is not None or self.trainable
        self._preprocess = preprocess
        if not self.trainable:
            self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Teacher:
        """A frozen teacher stays as it is deployed, whatever mode the run is in."""
        return super().train(mode and self.trainable)

    def forward(self, inputs: Tensor, maps: bool = False) -> Output:
        if self.network is None:
            output = Output(inputs)
        else:
            with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
                x = inputs if self._preprocess is None else self._preprocess(inputs)
                output = self.network(x, maps=maps)
        if output.logits is None and self.classifier is not None:
            output.logits = self.classifier(output.embedding.to(self.classifier.weight.dtype))
        return output


def build_teacher(settings: TeacherSettings, example: Tensor, names: Sequence[str], directory: str) -> Teacher:
    """The frozen teacher of a run.

    example: what the source gives for it, (B, D) or pictures (B, 112, 112, 3). names: the K classes, in the order of
    their numbers. directory: where a classifier without a path of its own is looked for. Raises InputError where an
    online teacher has no name or weights, or the classifier does not fit.
    """
    from speakerkd.teachers.load import load_teacher

    if settings.trainable:
        raise InputError(
            "a trainable teacher is for objectives that train both networks", "teacher.trainable", "set it to false"
        )
    network = None
    if settings.online:
        if settings.name is None:
            raise InputError("an online teacher needs a name", "teacher.name", "set it to ir50, mobilefacenet, ...")
        if is_speech_model(settings.name):
            speech = load_trained_model(settings.name, dtype=torch.float32)
            return Teacher(speech.dim, speech.student, same_input=True)
        network = load_teacher(settings.name, settings.weights)
    dim = example.shape[1] if network is None else network.dim
    classifier = None if settings.classifier is None else _classifier(settings.classifier, dim, names, directory)
    return Teacher(dim, network, None if network is None else network.preprocess, classifier)


class SeveralTeachers(Teacher):
    """The joint Output of several cached teachers: embeddings (B, sum of D), and the scores of those that classify.

    views: where each stands in it. main: the one whose head is published, set by what builds the run.
    """

    def __init__(self, dims: Mapping[str, int], classifiers: Mapping[str, nn.Linear]) -> None:
        super().__init__(sum(dims.values()))
        self.classifiers = nn.ModuleDict(classifiers).requires_grad_(False)
        self.views: dict[str, View] = {}
        column = score = 0
        for name, dim in dims.items():
            scores = None
            if name in classifiers:
                scores = slice(score, score + classifiers[name].out_features)
                score = scores.stop
            self.views[name] = View(slice(column, column + dim), scores)
            column += dim
        self.main = next(iter(dims))

    def forward(self, inputs: Tensor, maps: bool = False) -> Output:
        parts = []  # (B, K) of each that classifies
        for name, classifier in self.classifiers.items():
            assert isinstance(classifier, nn.Linear)
            parts.append(classifier(inputs[:, self.views[name].columns].to(classifier.weight.dtype)))
        return Output(inputs, torch.cat(parts, 1) if parts else None)


def build_several(settings: TeacherSettings, dims: Sequence[int], names: Sequence[str], directory: str) -> Teacher:
    """The teachers of `settings.several`; dims: sizes of their embeddings. Arguments else as `build_teacher`."""
    sizes = dict(zip(settings.several, dims, strict=True))
    classifiers = {
        name: _classifier(one.classifier, sizes[name], names, directory)
        for name, one in settings.several.items()
        if one.classifier is not None
    }
    return SeveralTeachers(sizes, classifiers)


def build_branches(student: Callable[[], Network], settings: TeacherSettings, classes: int) -> tuple[Network, Teacher]:
    """The two networks of DisCoM-KD, both trained from fresh weights: the student's, and one over face crops.

    student: makes one encoder. Raises InputError where the settings do not ask for a trainable face network.
    """
    if not (settings.online and settings.trainable):
        raise InputError(
            "`disentangled` trains the face network along with the student",
            "teacher",
            "set teacher.online and teacher.trainable to true, and teacher.name to resnet18",
        )
    branch = DisentangledBranch(student(), student(), classes)
    face = FaceSettings(name=settings.name or "resnet18", width=settings.width, embedding=branch.dim)
    if not face.name.startswith("resnet"):
        raise InputError(f"'{face.name}' cannot be trained here", "teacher.name", "set it to resnet18 or resnet34")
    network = build_disentangled(face, build_face, classes)
    return branch, Teacher(network.dim, network, network.preprocess, settings=face)


def _classifier(name: str, dim: int, names: Sequence[str], directory: str) -> nn.Linear:
    """The classifier with its rows in the order of the classes."""
    from speakerkd.teachers.classifier import load_classifier

    inside = Path(directory) / name
    classifier = load_classifier(inside if inside.is_file() else name)
    again = "run `speakerkd embed-teacher --classifier` on the training data"
    if classifier.in_features != dim:
        raise InputError(
            f"the classifier takes embeddings of {classifier.in_features} numbers, the teacher gives {dim}", name, again
        )
    row = {label: number for number, label in enumerate(classifier.labels)}
    unknown = [label for label in names if label not in row]
    if unknown:
        raise InputError(
            f"the classifier does not know {len(unknown)} of the {len(names)} classes ('{unknown[0]}')", name, again
        )
    order = torch.tensor([row[label] for label in names])
    ordered = nn.Linear(dim, len(names))
    ordered.load_state_dict({"weight": classifier.weight[order], "bias": classifier.bias[order]})
    return ordered


def map_shapes(network: nn.Module, x: Tensor) -> list[tuple[int, int, int]]:
    """(C, H, W) of each map that a network gives for input x (2, ...)."""
    training = network.training
    network.eval()
    with torch.no_grad():
        maps = network(x, maps=True).maps
    network.train(training)
    return [tuple(m.shape[1:]) if m.ndim == 4 else (*m.shape[1:], 1) for m in maps]


class OneOfSeveral(Settings):
    """One of several cached teachers."""

    archive: str | None = Field(None, description="its cached embeddings; null: teacher.NAME.scp")
    classifier: str | None = Field(None, description="linear classifier over them, as `teacher.classifier`")


class TeacherSettings(Settings):
    """Where the teacher's view of a sample comes from. Read only where `distill` names an objective."""

    archive: str | None = Field("teacher.scp", description="cached embeddings in the training directory; null: none")
    classifier: str | None = Field(
        None,
        description="linear classifier over them, of `embed-teacher --classifier`: its file in there, or a path",
    )
    online: bool = Field(False, description="run the teacher in every step, for methods that need its maps")
    trainable: bool = Field(False, description="train the online teacher too, from fresh weights (disentangled)")
    width: float = Field(1.0, gt=0, le=2, description="channels of a trainable one, as a share of the full network's")
    name: str | None = Field(None, description="the online teacher's network, as `speakerkd embed-teacher --teacher`")
    weights: str | None = Field(
        None,
        description="the online teacher's weights, as `speakerkd embed-teacher --weights`; of pairs its experiment",
    )
    several: dict[str, OneOfSeveral] = Field(
        default_factory=dict, description="several cached teachers by name, each objective names its own; `teachers:`"
    )
    maps: bool = Field(
        True, description="pairs of pictures, not online: keep the teacher's maps, not only embedding and scores"
    )
