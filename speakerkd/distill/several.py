"""Several teachers at once: every objective sees the one that it names."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from speakerkd.distill.objective import Objective, ObjectiveSettings, silent
from speakerkd.tensors import Output, Samples


@dataclass(frozen=True, slots=True)
class View:
    """Where one of several teachers stands in their joint Output.

    columns: of the joint embedding. scores: of the joint logits, None where it has no classifier. classes: of those.
    """

    columns: slice
    scores: slice | None = None

    @property
    def dim(self) -> int:
        """Size of its embeddings."""
        return int(self.columns.stop - self.columns.start)


class OfOneTeacher(Objective[ObjectiveSettings]):
    """An objective over the samples that its own teacher knows: those whose embedding by it is not zero."""

    def __init__(self, inner: Objective, view: View) -> None:
        nn.Module.__init__(self)
        self.inner, self.view = inner, view
        self.settings, self.needs = inner.settings, inner.needs

    def start_step(self, epoch: float) -> None:
        self.inner.start_step(epoch)

    @property
    def factor(self) -> float:
        return self.inner.factor

    @property
    def task_weight(self) -> float:
        return self.inner.task_weight

    def forward(self, student: Output, teacher: Output, samples: Samples) -> dict[str, Tensor]:
        """The inner objective's terms; teacher: the joint Output of all teachers."""
        scores = self.view.scores
        logits = None if teacher.logits is None or scores is None else teacher.logits[:, scores]
        mine = Output(teacher.embedding[:, self.view.columns], logits)
        known = mine.embedding.any(1)
        if known.all():
            return self.inner(student, mine, samples)
        rows = known.nonzero()[:, 0]
        if not len(rows):
            return {self.settings.name: silent(student, self)}
        return self.inner(student.rows(rows), mine.rows(rows), Samples(samples.label[rows], samples.index[rows]))
