"""EER by genre: a genre's figure over another's trials would mislead without a sign of it."""

import numpy as np
import pytest

from speakerkd.data.trials import read_trials
from speakerkd.evaluation.results import by_group


def test_groups_by_hand(tmp_path):
    path = tmp_path / "trials.txt"
    path.write_text(
        "m test/a-singing-1.wav 1\nm test/b-singing-1.wav 0\nm test/a-drama-1.wav 1\nm test/b-drama-1.wav 0\n"
        "m test/c-drama-2.wav 0\nm test/unknown.wav 1\n"
    )
    trials = read_trials(path)
    # singing: the target is above; drama: the target lies between two non-targets: EER where FNR meets FPR, 1/2
    scores = np.array([0.9, 0.1, 0.5, 0.7, 0.2, 0.3])
    groups = {"test/a-singing-1": "singing", "test/b-singing-1": "singing"}
    groups |= {"test/a-drama-1": "drama", "test/b-drama-1": "drama", "test/c-drama-2": "drama"}
    figures = by_group(scores, trials, groups)
    assert set(figures) == {"singing", "drama", "-"}
    assert figures["singing"] == {"trials": 2, "targets": 1, "eer_percent": 0.0, "min_dcf": 0.0}
    assert figures["drama"]["trials"] == 3 and figures["drama"]["eer_percent"] == pytest.approx(50)
    assert figures["-"] == {"trials": 1, "targets": 1, "eer_percent": None, "min_dcf": None}
