"""The table of methods, and the list of objectives that a training run has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from speakerkd.config import Table, parse
from speakerkd.distill.afkd import AFKD
from speakerkd.distill.alkd import ALKD
from speakerkd.distill.at import AT
from speakerkd.distill.cc import CC
from speakerkd.distill.ccl import CCL
from speakerkd.distill.classifier import Classifier
from speakerkd.distill.clip import CLIP
from speakerkd.distill.crd import CRD
from speakerkd.distill.ctkd import CTKD
from speakerkd.distill.dimensional import Dimensional
from speakerkd.distill.disentangled import Disentangled
from speakerkd.distill.dkd import DKD
from speakerkd.distill.fitnet import FitNet
from speakerkd.distill.fop import FOP
from speakerkd.distill.fsp import FSP
from speakerkd.distill.ickd import ICKD
from speakerkd.distill.kd import KD
from speakerkd.distill.margin import Margin
from speakerkd.distill.mlkd import MLKD
from speakerkd.distill.nst import NST
from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.distill.pkt import PKT
from speakerkd.distill.projection import ProjectionHead, ProjectionSettings
from speakerkd.distill.quality import Quality
from speakerkd.distill.requirements import check_fit
from speakerkd.distill.rkd import RKD
from speakerkd.distill.semckd import SemCKD
from speakerkd.distill.several import OfOneTeacher, View
from speakerkd.distill.simkd import SimKD
from speakerkd.distill.sp import SP
from speakerkd.distill.vid import VID
from speakerkd.errors import InputError, nearest
from speakerkd.maths import unit
from speakerkd.tensors import Output, Samples

QUANTILES = (0.05, 0.5, 0.95)  # of the sample weights that the log shows

METHODS: Table[type[Objective]] = Table(
    {
        "margin": Margin,
        "classifier": Classifier,
        "dimensional": Dimensional,
        "disentangled": Disentangled,
        "kd": KD,
        "dkd": DKD,
        "ctkd": CTKD,
        "mlkd": MLKD,
        "fitnet": FitNet,
        "at": AT,
        "sp": SP,
        "cc": CC,
        "vid": VID,
        "rkd": RKD,
        "pkt": PKT,
        "fsp": FSP,
        "nst": NST,
        "crd": CRD,
        "semckd": SemCKD,
        "ickd": ICKD,
        "simkd": SimKD,
        "ccl": CCL,
        "clip": CLIP,
        "alkd": ALKD,
        "afkd": AFKD,
        "fop": FOP,
    },
    "speakerkd.objectives",
)


def parse_specs(specs: Iterable[Mapping[str, Any] | ObjectiveSettings | str]) -> list[ObjectiveSettings]:
    """The settings of a config's `distill:` list.

    Parameters
    ----------
    specs: a name, a mapping with `name`, or settings each.

    Raises
    ------
    InputError: that names the item and the nearest right name.
    """
    if isinstance(specs, (str, Mapping)) or not isinstance(specs, Iterable):
        raise InputError("not a list of objectives", "distill", "write `distill: [{name: margin}]`")
    parsed = []
    for position, spec in enumerate(specs):
        where = f"distill.{position}"
        if isinstance(spec, ObjectiveSettings):
            parsed.append(spec)
            continue
        values = {"name": spec} if isinstance(spec, str) else spec
        name = values.get("name") if isinstance(values, Mapping) else None
        if not isinstance(name, str):
            raise InputError("an objective is a mapping with a name", where, "write `- {name: margin}`")
        if name not in METHODS:
            raise InputError(f"unknown objective '{name}'", where, nearest(name, METHODS))
        parsed.append(parse(METHODS[name].Settings, dict(values), f"{where} ({name})"))
    return parsed


class ObjectiveList(nn.Module):
    """The objectives of a run, computed in the type of the Outputs (float32 or float64), and their projection head.

    head: the shared ProjectionHead, None where no objective uses it. needs: union of the objectives' needs.
    """

    def __init__(self, objectives: Iterable[Objective] = (), head: ProjectionHead | None = None) -> None:
        super().__init__()
        self.head = head
        self.objectives = nn.ModuleDict()
        for objective in objectives:
            name, count = objective.settings.name, 1
            while (key := name if count == 1 else f"{name}_{count}") in self.objectives:
                count += 1
            self.objectives[key] = objective
        self.needs: frozenset[str] = frozenset().union(*(objective.needs for _, objective in self._each()))
        self._projected: Tensor | None = None
        if head is not None:
            head.register_forward_hook(self._keep)

    def _each(self) -> Iterator[tuple[str, Objective]]:
        for key, objective in self.objectives.items():
            assert isinstance(objective, Objective)
            yield key, objective

    def _keep(self, _: nn.Module, __: tuple[Tensor, ...], projected: Tensor) -> None:
        self._projected = projected.detach()

    def projection_collapse(self) -> float | None:
        """Mean cosine between the projected teacher embeddings of the last batch; None without a head or a batch.

        Near 1 the head has learnt to answer every face with one vector, which meets a margin and teaches nothing.
        """
        if self._projected is None or len(self._projected) < 2:
            return None
        count = len(self._projected)
        return float((count * unit(self._projected.float()).mean(0).square().sum() - 1) / (count - 1))

    def quality_weights(self) -> dict[str, float]:
        """5 %, 50 % and 95 % quantiles of the last batch's sample weights; {} where no objective weighs samples."""
        weights = [module.last for module in self.modules() if isinstance(module, Quality) and module.last is not None]
        if not weights:
            return {}
        low, middle, high = torch.quantile(
            weights[0].float(), torch.tensor(QUANTILES, device=weights[0].device)
        ).tolist()
        return {"low": low, "median": middle, "high": high}

    def __len__(self) -> int:
        return len(self.objectives)

    def start_step(self, epoch: float) -> None:
        """Tell every objective the fractional epoch (from 0), before each step."""
        for _, objective in self._each():
            objective.start_step(epoch)

    @property
    def task_weight(self) -> float:
        """What the task loss is multiplied by in this step: the least that an objective asks for, 1 without any."""
        return min((objective.task_weight for _, objective in self._each()), default=1.0)

    def teacher_view(self, embedding: Tensor) -> Tensor:
        """Teacher embeddings (B, D_T) as they compare with the student's: through the head, where there is one."""
        return embedding if self.head is None else self.head(embedding)

    def forward(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        """Weighted scalar terms of B complete rows; the terms of a method's second use end in `_2`."""
        terms: dict[str, Tensor] = {}
        with torch.autocast(student.embedding.device.type, enabled=False):
            for key, objective in self._each():
                suffix = key[len(objective.settings.name) :]
                for name, value in objective(student, teacher, samples).items():
                    terms[name + suffix] = value
        return terms


def build(
    specs: Iterable[Mapping[str, Any] | ObjectiveSettings | str],
    pair: Pair,
    projection: Mapping[str, Any] | ProjectionSettings | None = None,
    views: Mapping[str, View] | None = None,
) -> ObjectiveList:
    """The objectives of a config's `distill:` list for a pair of networks.

    Parameters
    ----------
    specs: the list, as `parse_specs` takes it.
    pair: what the networks can give.
    projection: settings of the head that the objectives with `project: true` share; None: its defaults.
    views: of several teachers by name; each then has a head of its own, and the first that has one is the list's.

    Returns
    -------
    One module, whose `forward` gives the named, weighted terms of all of them.

    Raises
    ------
    InputError: with the reason and the nearest remedy, where a setting is wrong or the pair does not fit.
    """
    settings = parse_specs(specs)
    if views:
        return _of_several(settings, pair, projection, views)
    named = next((p for p, s in enumerate(settings) if s.teacher is not None), None)
    if named is not None:
        what = f"it names the teacher '{settings[named].teacher}', and there is one alone"
        raise InputError(what, f"distill.{named}.teacher", "leave it out, or list `teachers:`")
    head = None
    if any(s.project for s in settings):
        if not isinstance(projection, ProjectionSettings):
            projection = parse(ProjectionSettings, dict(projection or {}), "projection")
        head = ProjectionHead(pair.teacher_dim, pair.student_dim, projection)
    pair = replace(pair, head=head)
    for position, spec in enumerate(settings):
        check_fit(METHODS[spec.name], spec, pair, f"distill.{position}")
    return ObjectiveList([METHODS[spec.name](spec, pair) for spec in settings], head)


def _of_several(
    settings: Sequence[ObjectiveSettings],
    pair: Pair,
    projection: Mapping[str, Any] | ProjectionSettings | None,
    views: Mapping[str, View],
) -> ObjectiveList:
    """The objectives of several teachers."""
    if not isinstance(projection, ProjectionSettings):
        projection = parse(ProjectionSettings, dict(projection or {}), "projection")
    for position, spec in enumerate(settings):
        if spec.teacher not in views:
            what = f"no teacher '{spec.teacher}'" if spec.teacher else "it does not say which teacher it learns from"
            raise InputError(what, f"distill.{position}.teacher", nearest(spec.teacher or "", views))
    projecting = {s.teacher for s in settings if s.project}
    heads = {n: ProjectionHead(v.dim, pair.student_dim, projection) for n, v in views.items() if n in projecting}
    objectives = []
    for position, spec in enumerate(settings):
        view = views[str(spec.teacher)]
        classes = None if view.scores is None else pair.classes
        mine = replace(pair, teacher_dim=view.dim, teacher_classes=classes, head=heads.get(str(spec.teacher)))
        check_fit(METHODS[spec.name], spec, mine, f"distill.{position}")
        objectives.append(OfOneTeacher(METHODS[spec.name](spec, mine), view))
    several = list(heads.values())
    listed = ObjectiveList(objectives, several[0] if several else None)
    listed.other_heads = nn.ModuleList(several[1:])  # so that they are trained and saved
    return listed
