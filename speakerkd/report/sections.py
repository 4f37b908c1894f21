"""What a report's page shows below its table: pictures with a caption each."""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from speakerkd.errors import InputError
from speakerkd.report.page import Section
from speakerkd.report.pictures.canvas import Picture, raster
from speakerkd.report.pictures.curves import curves_over, noise_levels, terms_over_epochs, weights_over_epochs
from speakerkd.report.pictures.det import Curve, det_curves
from speakerkd.report.pictures.histograms import score_histogram
from speakerkd.report.pictures.matching import Bar, matching_bars
from speakerkd.report.pictures.spaces import embedding_map
from speakerkd.report.results import (
    Result,
    list_order,
    noise_of,
    question_name,
    question_order,
    read_training,
    short_list,
    split_name,
)
from speakerkd.work.arrays import read_npz

EXAMPLES = "examples.png"  # of an experiment, where `match-test --examples` was told to put it there
Groups = Mapping[str, Sequence[Result]]
LIST_NAMES = {
    "vox1_o": "the original list (O)",
    "vox1_h": "the same-gender list (H)",
    "vox1_e": "the extended list (E)",
    "vox1_cleaned": "the cleaned list",
    "cnceleb": "CN-Celeb",
}


def with_pictures(groups: Groups, folder: Path) -> list[Section]:
    """Detection, noise, matching, embedding spaces and training, each where there is something to show."""
    return [
        _detection(groups, folder),
        _noise(groups, folder),
        _matching(groups, folder),
        _spaces(groups, folder),
        _training(groups, folder),
    ]


def _detection(groups: Groups, folder: Path) -> Section:
    """DET curves of every list, and the scores' histogram of each system on the first."""
    section = Section("Verification")
    lists = list(dict.fromkeys(name for runs in groups.values() for run in runs[:1] for name in run.scores))
    lists.sort(key=list_order)
    for name in lists:
        curves = [curve for system, runs in groups.items() if (curve := _curve(system, runs[0], name)) is not None]
        empty = [curve.name for curve in curves if not len(curve.accept)]
        if empty:
            section.notes.append(
                f"No DET curve on {list_name(split_name(name)[0])} of {', '.join(empty)}: the files of its points are "
                "empty; speakerkd score writes them again."
            )
        curves = [curve for curve in curves if len(curve.accept)]
        if curves:
            listed, protocol, _ = split_name(name)
            caption = (
                f"Detection errors on {list_name(listed)}, {protocol or 'own'} scores, one seed a system. A dot marks "
                "the EER, a cross the least cost at a prior of 1 % where it lies within; bands are 95 % intervals over "
                "speakers."
            )
            section.pictures.append(det_curves(curves, folder / f"det_{_file(name)}.png", caption, list(groups)))
    for position, (system, runs) in enumerate(groups.items()):
        if position >= 4 or not lists or (entry := runs[0].scores.get(lists[0])) is None or entry.histogram is None:
            continue
        counts = entry.histogram
        target, nontarget = np.asarray(counts.target, float), np.asarray(counts.nontarget, float)
        marks = {"EER": entry.eer_threshold} | {
            f"{100 * float(rate):g} % false accepts": point.threshold for rate, point in entry.thresholds.items()
        }
        caption = (
            f"{system}: scores on {list_name(split_name(lists[0])[0])}, {int(target.sum()):,} target and "
            f"{int(nontarget.sum()):,} non-target trials; dotted lines are thresholds found on this very list."
        )
        section.pictures.append(
            score_histogram(
                np.linspace(counts.low, counts.high, len(target) + 1),
                target,
                nontarget,
                {name: value for name, value in marks.items() if value is not None},
                folder / f"scores_{_file(system)}.png",
                caption,
            )
        )
    return section


def _curve(system: str, run: Result, name: str) -> Curve | None:
    path = run.path / "scores" / f"{name}.det"
    entry = run.scores.get(name)
    if entry is None or not path.is_file():
        return None
    try:
        with warnings.catch_warnings():  # an empty file is named on the page
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            points = np.loadtxt(path, usecols=(1, 2), ndmin=2, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise InputError("not the points of a DET curve", path, "remove it and run `speakerkd score` again") from error
    accept, reject = points.reshape(-1, 2).T
    eer, band = entry.eer_percent, entry.det_band
    return Curve(
        system,
        accept,
        reject,
        None if eer is None else eer / 100,
        _least_cost(accept, reject),
        None if band is None else (np.array(band.false_accept), np.array(band.low), np.array(band.high)),
    )


def _least_cost(accept: np.ndarray, reject: np.ndarray, prior: float = 0.01) -> tuple[float, float] | None:
    if not len(accept):
        return None
    best = int(np.argmin(prior * reject + (1 - prior) * accept))
    return float(accept[best]), float(reject[best])


def _noise(groups: Groups, folder: Path) -> Section:
    """EER over noise of each category that was scored."""
    section = Section("Noise")
    by_noise: dict[tuple[str, str], dict[str, dict[float | None, float]]] = {}
    for system, runs in groups.items():
        for name, entry in runs[0].raw.scores.items():
            noise, eer = noise_of(name), entry.eer_percent
            if noise is None or eer is None:
                continue
            listed, protocol, _ = split_name(name)
            levels = by_noise.setdefault((listed, noise[0]), {}).setdefault(system, {})
            levels[noise[1]] = eer
            clean = runs[0].scores.get(f"{listed}.{protocol}")
            if clean is not None and clean.eer_percent is not None:
                levels[None] = clean.eer_percent
    for (listed, category), curves in by_noise.items():
        kind = "noise of all kinds" if category == "all" else category
        caption = f"EER on {list_name(listed)} under {kind} at exact levels, one seed a system."
        section.pictures.append(
            noise_levels(curves, folder / f"noise_{_file(listed)}_{category}.png", caption, list(groups))
        )
    return section


def _matching(groups: Groups, folder: Path) -> Section:
    section = Section("Matching voices and faces")
    picture = matching_picture(groups, folder / "matching.png")
    if picture is not None:
        section.pictures.append(picture)
    shown = next((path for runs in groups.values() for run in runs if (path := run.path / EXAMPLES).is_file()), None)
    if shown is not None:
        caption = (
            f"Voices and the faces they chose from, by {shown.parent.name}, with cosines. Green: the right face; "
            "orange: a wrong one that was chosen."
        )
        section.pictures.append(raster(shown, caption))
    return section


def matching_picture(groups: Groups, path: Path) -> Picture | None:
    """Right answers of each system and question with intervals; None where nothing was matched."""
    bars: dict[str, dict[str, Bar]] = {}
    chance: float | None = None
    keys: dict[str, str] = {}
    people: list[str] = []
    seeds = max((len(runs) for runs in groups.values()), default=1)
    for system, runs in groups.items():
        for name, entry in runs[0].raw.match.items():
            question = question_name(name)
            if question is None or entry.accuracy_percent is None:
                continue
            keys[name] = question
            chance = entry.chance_percent if entry.chance_percent is not None else chance
            of_seeds = [run.raw.match[name] for run in runs if name in run.raw.match]
            values = [one.accuracy_percent for one in of_seeds if one.accuracy_percent is not None]
            ends = [one.interval_percent for one in of_seeds if one.interval_percent is not None]
            interval = (fmean(low for low, _ in ends), fmean(high for _, high in ends)) if ends else None
            bars.setdefault(system, {})[question] = (fmean(values), interval)
            if entry.people:
                people.append(f"{entry.people} people")
    if not bars:
        return None
    of = f" of {people[0]}" if people else ""
    caption = (
        f"Right answers in matching{of}: A-F voice to face, F-A face to voice; O any other people, H of the same "
        "gender; linear map: after the best linear map from training voices to their faces, which is fair to an "
        "untaught network. Lines are 95 % intervals over people; dotted: chance."
        + (f" Dots and ends are means over up to {seeds} seeds." if seeds > 1 else "")
    )
    questions = [keys[name] for name in sorted(keys, key=question_order)]
    return matching_bars(bars, questions, chance if chance is not None else 50.0, path, caption, list(groups))


def _spaces(groups: Groups, folder: Path) -> Section:
    section = Section("Where voices and faces lie")
    for position, (system, runs) in enumerate(groups.items()):
        path = runs[0].path / "spaces.npz"
        if position >= 4 or not path.is_file():
            continue
        stored = read_npz(path, fix="remove it and run `speakerkd match-test` again")
        kinds: tuple[str, ...] = ("face", "face projected", "voice")
        parts = {key: stored[key] for key in kinds if key in stored}
        genders = stored["gender"].tolist() if "gender" in stored else None
        caption = (
            f"{system}: faces, projected faces and voices of people it never saw (t-SNE, seed 0, cosine space). "
            "Matching needs voices that lie among the projected faces of the same people."
        )
        section.pictures.append(embedding_map(parts, folder / f"spaces_{_file(system)}.png", caption, genders))
    return section


def _training(groups: Groups, folder: Path) -> Section:
    section = Section("Training")
    trainings = {system: read_training(runs[0].path) for system, runs in groups.items()}
    for figure in dict.fromkeys(name for training in trainings.values() for name in training.evaluations):
        curves = {s: t.evaluations[figure] for s, t in trainings.items() if len(t.evaluations.get(figure, [])) > 1}
        if curves:
            accuracy = {s: trainings[s].accuracy_by_epoch() for s in curves} if figure == "eer" else {}
            accuracy = {s: points for s, points in accuracy.items() if points}
            caption = f"Early evaluation on the development data over training ({figure}), one seed a system" + (
                "; dotted: training samples that the task loss's classifier gets right." if accuracy else "."
            )
            unit = f"{figure.upper()}, %" if figure in ("eer", "top1", "f1_weighted") else figure
            path = folder / f"learning_{_file(figure)}.png"
            section.pictures.append(
                curves_over(curves, path, caption, x="epoch", y=unit, systems=list(groups), accuracy=accuracy)
            )
    for position, (system, training) in enumerate(trainings.items()):
        terms = {n: points for n, points in training.terms.items() if len(points) > 1 and n not in ("accuracy", "loss")}
        if terms and position < 4:
            caption = f"{system}: terms of the loss over training, means between rows of the log; logarithmic."
            section.pictures.append(terms_over_epochs(terms, folder / f"terms_{_file(system)}.png", caption))
        if position < 4 and len(training.quality.get("median", [])) > 1:
            caption = (
                f"{system}: weights that teaching gives to samples by the norm of their embeddings (Eq. 11), over "
                "training: median and, as a band, the middle 90 % of a batch. 1 is the weight of mean quality."
            )
            section.pictures.append(
                weights_over_epochs(training.quality, folder / f"quality_{_file(system)}.png", caption)
            )
    return section


def list_name(listed: str) -> str:
    """A trial list in words."""
    return LIST_NAMES.get(short_list(listed), f"the list {listed}")


def _file(name: str) -> str:
    """A name as part of a file's and of an SVG's; two different names never give the same."""
    plain = re.sub(r"[^\w.-]+", "_", name)
    return plain if plain == name else f"{plain}-{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}"
