"""What a user loses if these fail: a difference that is luck told as a gain, or a gain told as luck."""

import json

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from speakerkd.cli.main import run
from speakerkd.data.trials import read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation.compare import compare, system_name
from speakerkd.evaluation.match import Draws, save_outcomes
from speakerkd.evaluation.results import figures, update_results
from speakerkd.evaluation.scorefile import read_scores, write_scores
from speakerkd.work.files import digest

PEOPLE = 30


@pytest.fixture
def trials(tmp_path):
    """Ten recordings of everyone: all pairs of neighbours and of one recording with the next person's."""
    lines = [f"1 p{p}/{r} p{p}/{r + 1}" for p in range(PEOPLE) for r in range(9)]
    lines += [f"0 p{p}/{r} p{(p + k) % PEOPLE}/{r}" for p in range(PEOPLE) for r in range(9) for k in (1, 2)]
    path = tmp_path / "trials_a"
    path.write_text("\n".join(lines) + "\n")
    return read_trials(path)


def experiment(folder, trials, apart, right, seed=0):
    """A system whose targets score `apart` higher than others on average, and that answers a share `right`."""
    rng = np.random.default_rng([7, seed])
    scores = rng.normal(size=len(trials)) + apart * trials.label
    entry = figures(scores, trials, replicates=0) | {"made": {"list": f"{trials.path} {digest(trials.path)}"}}
    write_scores(folder / "scores" / "trials_a.crops.txt", trials, scores, {})
    update_results(folder / "results.json", "scores", {"trials_a.crops": entry})
    asked = np.random.default_rng(0)
    identity = np.stack([asked.integers(PEOPLE, size=3000), asked.integers(PEOPLE, size=3000)], 1)
    answers = rng.random(3000) < right
    name = "acc_match_audio_to_face_o"
    people = [f"p{n}" for n in range(PEOPLE)]
    draws = Draws(identity[:, 0], identity, identity)
    save_outcomes(folder / "outcomes" / f"{name}.npz", draws, answers, people)
    update_results(folder / "results.json", "match", {name: {"accuracy_percent": 100 * answers.mean()}})
    return folder


def test_a_gain_a_loss_and_luck_are_told_apart(tmp_path, trials):
    base = experiment(tmp_path / "base", trials, 2.0, 0.6)
    same = experiment(tmp_path / "same", trials, 2.0, 0.6, seed=1)
    good = experiment(tmp_path / "good", trials, 3.0, 0.5, seed=2)
    differences = compare([same], [base])
    assert {one.verdict for one in differences.values()} == {"no difference"}
    differences = compare([good], [base])
    eer, answers = (
        differences["scores/trials_a.crops/eer_percent"],
        differences["match/acc_match_audio_to_face_o/accuracy_percent"],
    )
    assert eer.verdict == "better" and eer.value < 0 and eer.interval[1] < 0 and eer.unit == "people"
    assert answers.verdict == "worse" and answers.value == pytest.approx(-10, abs=4)
    assert eer.interval[0] < eer.value < eer.interval[1]
    kept = json.loads((good / "results.json").read_text())["differences"]["base"]
    assert kept["scores/trials_a.crops/eer_percent"]["verdict"] == "better"
    assert "differences" not in json.loads((base / "results.json").read_text())


def test_the_verb_prints_and_keeps_the_differences(tmp_path, trials, capsys):
    base, good = experiment(tmp_path / "base", trials, 2.0, 0.6), experiment(tmp_path / "good", trials, 3.0, 0.6)
    with pytest.raises(SystemExit) as end:
        run(["compare", str(good), "--baseline", str(base), "--out", str(tmp_path / "d.json")])
    assert end.value.code == 0
    row = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("scores/trials_a.crops/eer"))
    kept = json.loads((tmp_path / "d.json").read_text())["scores/trials_a.crops/eer_percent"]
    assert row.endswith("better") and f"{kept['value']:+.3f}" in row


def test_a_system_against_itself_differs_by_nothing(tmp_path, trials):
    base = experiment(tmp_path / "base", trials, 2.0, 0.6)
    for one in compare([base], [base]).values():
        assert one.value == 0 and one.interval == (0, 0) and one.verdict == "no difference"


def test_the_interval_covers_as_often_as_it_says(tmp_path, trials):
    """Of systems that are equally good, about one in twenty may be told apart."""
    base = [experiment(tmp_path / f"base{n}", trials, 2.0, 0.6, seed=2 * n) for n in range(12)]
    same = [experiment(tmp_path / f"same{n}", trials, 2.0, 0.6, seed=2 * n + 1) for n in range(12)]
    runs = [list(compare([a], [b], replicates=200).values()) for a, b in zip(same, base, strict=True)]
    assert sum(one.verdict != "no difference" for run in runs for one in run) <= 8  # of 48


def test_several_seeds_are_averaged_and_widen_the_interval(tmp_path, trials):
    base = [experiment(tmp_path / f"base-seed{n}", trials, 2.0, 0.6, seed=n) for n in (1, 2, 3)]
    rates = (0.6, 0.7, 0.8)
    ours = [experiment(tmp_path / f"ours-seed{n}", trials, 2.0, r, seed=9 + n) for n, r in enumerate(rates, 1)]
    difference = compare(ours, base)["match/acc_match_audio_to_face_o/accuracy_percent"]
    alone = compare(ours[1:2], base[1:2])["match/acc_match_audio_to_face_o/accuracy_percent"]
    assert difference.value == pytest.approx(10, abs=2) and difference.unit == "people and seeds"
    assert np.diff(difference.interval) > 1.3 * np.diff(alone.interval)
    assert system_name(ours) == "ours" and "base" in json.loads((ours[2] / "results.json").read_text())["differences"]


def test_folds_of_a_cross_validation_are_pooled_seed_by_seed(tmp_path, trials):
    """The figure is that of both folds' trials as one list, by scikit-learn, averaged over seeds."""
    other = tmp_path / "trials_b"
    other.write_text(trials.path.read_text().replace("p", "q"))
    folds = [trials, read_trials(other)]
    systems = {}
    for system, apart in (("base", 2.0), ("ours", 2.6)):
        systems[system] = [
            experiment(tmp_path / f"x-fold{k}-{system}-seed{n}", one, apart, 0.6, seed=10 * k + n)
            for k, one in enumerate(folds)
            for n in (1, 2)
        ]
    eer = compare(systems["ours"], systems["base"])["scores/trials_a.crops/eer_percent"]
    for system, value in (("ours", eer.ours), ("base", eer.baseline)):
        rates = []
        for n in (1, 2):
            scores = [
                read_scores(systems[system][2 * k + n - 1] / "scores/trials_a.crops.txt", folds[k]) for k in (0, 1)
            ]
            fpr, tpr, _ = roc_curve(np.concatenate([one.label for one in folds]), np.concatenate(scores))
            rates.append(100 * brentq(lambda x, fpr=fpr, tpr=tpr: 1 - x - np.interp(x, fpr, tpr), 0, 1))
        assert value == pytest.approx(np.mean(rates), abs=0.02)
    assert eer.folds == 2 and eer.value == eer.ours - eer.baseline and eer.verdict == "better"
    assert system_name(systems["ours"]) == "x-ours"
    assert "differences" not in json.loads((systems["ours"][0] / "results.json").read_text())
    with pytest.raises(InputError, match="folds of 1 and of 2 seeds"):
        compare(systems["ours"][1:], systems["base"])
    with pytest.raises(InputError, match="different lists"):
        compare(systems["ours"][:2], systems["base"][2:])


def test_what_cannot_be_paired_is_refused(tmp_path, trials):
    base = experiment(tmp_path / "base", trials, 2.0, 0.6)
    with pytest.raises(InputError, match="no results"):
        compare([tmp_path / "none"], [base])
    other = experiment(tmp_path / "other", trials, 2.0, 0.6)
    path = other / "outcomes" / "acc_match_audio_to_face_o.npz"
    stored = dict(np.load(path))
    np.savez(path, **stored | {"identity": stored["identity"][::-1]})
    with pytest.raises(InputError, match="different lists or questions"):
        compare([other], [base])
    trials.path.write_text("1 p0/0 p0/1\n")
    with pytest.raises(InputError, match="the list has changed"):
        compare([base], [base])


def test_best_names_the_experiment_with_the_lowest_eer(tmp_path, trials, capsys):
    for name, apart in (("weak", 1.0), ("strong=1", 3.0), ("middle", 2.0)):
        experiment(tmp_path / name, trials, apart, 0.5)
    folders = [str(tmp_path / name) for name in ("weak", "strong=1", "middle")]
    with pytest.raises(SystemExit):
        run(["best", *folders, "--trials", "a"])
    assert capsys.readouterr().out.strip() == folders[1]
    with pytest.raises(SystemExit):
        run(["best", *folders])
    assert "error: no EER on trials_original" in capsys.readouterr().err
