"""The teacher's own EER: a user compares it with the paper's .64 % before trusting a teacher."""

import numpy as np
import pytest

from speakerkd.data.archive import write_vectors
from speakerkd.data.datadir import write_table
from speakerkd.evaluation.face_trials import face_eer


def directory(path, vectors, people, shared=()):
    path.mkdir()
    keys = [f"{person}/{number}" for number, person in enumerate(people)]
    write_vectors(path, "teacher", keys, np.array(vectors, np.float32), {f"{k}x": k for k in shared})
    write_table(path / "utt2spk", {key: key.split("/")[0] for key in [*keys, *(f"{k}x" for k in shared)]})
    return path


def test_the_eer_by_hand(tmp_path):
    # angles in degrees: a at 0 and 10, b at 60 and 150. targets: cos 10, cos 90; non-targets a-b: 60, 150, 50, 140.
    # one target of two is above every non-target, the other (cos 90 = 0) lies below cos 60 and cos 50 and above two:
    # at a threshold between cos 60 and cos 90... FNR is 1/2 at FPR 0 to 1/2 and 0 from 1/2 on: they meet at 1/2
    angles = np.radians([0, 10, 60, 150])
    data = directory(tmp_path / "d", np.c_[np.cos(angles), np.sin(angles)] * 7, ["a", "a", "b", "b"])
    result = face_eer(data)
    assert (result.targets, result.faces, result.people) == (2, 4, 2)
    assert result.eer_percent == pytest.approx(50, abs=3)  # which of the four pairs are drawn how often is chance
    assert "between 4 faces of 2 people" in str(result)


def test_people_far_apart_make_no_errors_and_a_shared_face_is_one_face(tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 16))
    vectors = np.repeat(centres, 3, 0) + 0.01 * rng.normal(size=(15, 16))
    people = [f"p{n}" for n in range(5) for _ in range(3)]
    result = face_eer(directory(tmp_path / "d", vectors, people, shared=["p0/0", "p1/3"]))
    assert result.eer_percent == 0 and result.faces == 15 and result.targets == 15


def test_no_trials_can_be_drawn(tmp_path):
    assert face_eer(directory(tmp_path / "one", np.eye(3), ["a", "a", "a"])) is None
    assert face_eer(directory(tmp_path / "single", np.eye(3), ["a", "b", "c"])) is None


def test_many_faces_are_sampled_and_never_paired_with_themselves(tmp_path):
    rng = np.random.default_rng(1)
    people = [f"p{n:02d}" for n in range(20) for _ in range(20)]
    result = face_eer(directory(tmp_path / "d", rng.normal(size=(400, 8)), people), count=2000)
    assert (result.targets, result.nontargets) == (1000, 1000)
    assert result.eer_percent == pytest.approx(50, abs=5)  # a face paired with itself would score 1 and lower it
