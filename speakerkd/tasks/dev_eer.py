"""The quick figure after an epoch: EER over the development trials, from a few crops a recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speakerkd.data.names import NameIndex
from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation.metrics import eer, sort_scores


class EarlyTrials:
    """The shortest trial list of a data directory, over the recordings that are there.

    index: {key: position}. recordings: (U,) int64 positions that the trials name, each once.
    """

    def __init__(self, directory: Path | str, index: Mapping[str, int]) -> None:
        lists = sorted(Path(directory).glob("trials_*"), key=lambda p: (p.stat().st_size, p.name))
        if not lists:
            raise InputError("no trials_* for the early evaluation", directory, "add a list, or set data.dev to null")
        trials = read_trials(lists[0])
        if trials.label is None:
            raise InputError("trials without labels", lists[0], "give a labelled list, or set data.dev to null")
        known, positions = NameIndex(list(index)), np.array([*index.values(), -1], np.int64)  # -1: not there
        enrol, test = (positions[known.locate(names)] for names in (trials.enrol_names, trials.test_names))
        first, second = enrol[trials.enrol], test[trials.test]
        there = (first >= 0) & (second >= 0) & (first != second)
        self.labels = trials.label[there]
        if len(np.unique(self.labels)) < 2:
            raise InputError(
                "no target and non-target trials over recordings that are there",
                lists[0],
                "check that trials and features name the same recordings, or set data.dev to null",
            )
        both = np.stack([first[there], second[there]])
        self.recordings, rows = np.unique(both, return_inverse=True)
        self._rows = rows.reshape(2, -1)

    def figures(self, embeddings: Tensor) -> dict[str, float]:
        """EER in per cent, of embeddings (U, D) of `recordings`."""
        unit = torch.nn.functional.normalize(embeddings.float(), dim=1)
        scores = np.empty(len(self.labels), np.float32)
        for start in range(0, len(scores), 1 << 16):
            part = slice(start, start + (1 << 16))
            first, second = (torch.from_numpy(side[part]) for side in self._rows)
            scores[part] = (unit[first] * unit[second]).sum(1).numpy()
        if not np.isfinite(scores).all():
            return {"eer": float("nan")}
        return {"eer": 100 * eer(sort_scores(scores, self.labels))}
