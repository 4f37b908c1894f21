"""What an experiment directory says of itself: its figures under the names of the papers' tables, and how it ran."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speakerkd.config import read_yaml
from speakerkd.errors import InputError
from speakerkd.report.results_file import Record, Results, ScoredList, read_results
from speakerkd.work.records import read_json, read_rows

LISTS = {
    "trials_original": "vox1_o",
    "trials_cleaned": "vox1_cleaned",
    "trials_extended": "vox1_e",
    "trials_hard": "vox1_h",
    "trials_extended_cleaned": "vox1_e_cleaned",
    "trials_hard_cleaned": "vox1_h_cleaned",
    "trials_eval": "cnceleb",
    "trials_concat": "cnceleb_joined",
}
NOISY = {"vox1_o": "eer_noise", "vox1_cleaned": "eer_cleaned_noise"}
QUESTION = re.compile(r"acc_match_(audio_to_face|face_to_audio)_([oh])(?:_(\d+))?(_centred)?(_fit)?")
SEED_SUFFIX = re.compile(r"-seed\d+$")


@dataclass(frozen=True, slots=True)
class Result:
    """One experiment: folder, system (the name without `-seedN`), figures, and results.json as it stands."""

    path: Path
    system: str
    figures: dict[str, float]
    raw: Results

    @property
    def left_out(self) -> list[str]:
        """Why figures are missing, each reason once."""
        if not self.figures:
            return [f"all figures of {self.path.name}, which was not scored yet ({read_training(self.path).state})"]
        undefined = {f"figures of {name}: {entry.undefined}" for name, entry in self.scores.items() if entry.undefined}
        return sorted(undefined | {entry.left_out for entry in self.raw.match.values() if entry.left_out})

    @property
    def scores(self) -> dict[str, ScoredList]:
        """{list and protocol: entry} of scored lists without noise."""
        return {name: entry for name, entry in self.raw.scores.items() if split_name(name)[2] == ""}


class LogRow(Record):
    """A row of log.jsonl."""

    step: int = 0
    epoch: float = 0.0
    about: dict[str, Any] = {}
    terms: dict[str, float] = {}
    evaluation: dict[str, float] = {}
    quality_weight: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Training:
    """How an experiment was trained: settings, how it computed, and what the log says. Empty where nothing is there."""

    config: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    evaluations: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    quality: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def accuracy_by_epoch(self) -> list[tuple[float, float]]:
        """(epoch, percent) of the training samples that the task loss's classifier gets right, each epoch's mean."""
        of_epoch: dict[int, list[float]] = {}
        for epoch, value in self.terms.get("accuracy", []):
            of_epoch.setdefault(math.ceil(epoch), []).append(value)
        return [(epoch, 100 * sum(values) / len(values)) for epoch, values in sorted(of_epoch.items())]

    @property
    def state(self) -> str:
        """`finished`, `running or stopped at step N`, or `no training log`."""
        if self.summary:
            return "finished"
        return f"running, or stopped, at step {self.about['step']}" if "step" in self.about else "no training log"


def read_result(path: Path | str) -> Result:
    """Read `results.json` of an experiment directory; without figures where it has a training log alone.

    Raises InputError where neither is there.
    """
    path = Path(path)
    file = path / "results.json"
    if not file.is_file() and not (path / "log.jsonl").is_file():
        raise InputError(
            "no results here",
            file,
            "run `speakerkd score --model` and `speakerkd match-test` first, or `speakerkd classify` for pictures",
        )
    raw = read_results(file) if file.is_file() else Results()
    return Result(path, system_of(path), _figures(raw), raw)


def system_of(path: Path) -> str:
    """An experiment's name without `-seedN`; of a network that learnt with others its own name stands in it.

    `exp/eurosat-disentangled-seed2/sar` is `eurosat-sar-disentangled`, as the third paper's rows are named.
    """
    path = path.resolve()
    name = SEED_SUFFIX.sub("", path.name)
    if (path / "config.yaml").is_file() or not (path.parent / "config.yaml").is_file():
        return name
    front, _, method = SEED_SUFFIX.sub("", path.parent.name).rpartition("-")
    return "-".join(part for part in (front, name, method) if part)


def read_training(path: Path | str) -> Training:
    """Read config.yaml, log.jsonl and finished.json of an experiment, what there is of them.

    A last line of the log that a killed run cut short is left out.
    """
    path = Path(path)
    config: dict[str, Any] = {}
    if (path / "config.yaml").is_file():
        config = read_yaml(path / "config.yaml")
    summary: dict[str, Any] = {}
    if (path / "finished.json").is_file():
        summary = read_json(path / "finished.json", dict[str, Any], "remove it and run `speakerkd train --resume`")
    about: dict[str, Any] = {}
    terms: dict[str, list[tuple[float, float]]] = {}
    evaluations: dict[str, list[tuple[float, float]]] = {}
    quality: dict[str, list[tuple[float, float]]] = {}
    if (path / "log.jsonl").is_file():
        for row in read_rows(path / "log.jsonl", LogRow, "remove it; the report then leaves the curves out"):
            about |= row.about | {"step": row.step}
            for name, value in row.terms.items():
                terms.setdefault(name, []).append((row.epoch, value))
            for name, value in row.evaluation.items():
                evaluations.setdefault(name, []).append((row.epoch, value))
            for name, value in row.quality_weight.items():
                quality.setdefault(name, []).append((row.epoch, value))
    return Training(config, about, summary, terms, evaluations, quality)


def split_name(name: str) -> tuple[str, str, str]:
    """`trials_original.crops.all-15dB` as list, protocol (with its back-end) and noise, each "" where it has none."""
    first, _, rest = name.partition(".")
    protocol, _, condition = rest.partition(".")
    return first, protocol, condition


def noise_of(name: str) -> tuple[str, float] | None:
    """Category and level in dB of a noisy score's name; None of a clean one."""
    parts = re.search(r"\.(\w+)-(-?[\d.]+)dB(?:\.|$)", name)
    return (parts[1], float(parts[2])) if parts else None


def list_order(name: str) -> int:
    """Where a scored list stands on a page: the published ones as LISTS has them, then own lists."""
    listed = split_name(name)[0]
    return list(LISTS).index(listed) if listed in LISTS else len(LISTS)


def question_order(key: str) -> tuple[bool, bool, int, bool, bool]:
    """Where a question of matching stands: direct, centred, after a linear map; few options before many, O before H,
    A-F before F-A."""
    parts = QUESTION.fullmatch(key)
    if parts is None:
        return True, True, 0, True, True
    return bool(parts[5]), bool(parts[4]), int(parts[3] or 2), parts[2] == "h", parts[1] == "face_to_audio"


def short_list(name: str) -> str:
    """A list's short name, `vox1_o` for trials_original; own lists keep theirs."""
    return LISTS.get(name, name.removeprefix("trials_"))


def question_name(key: str) -> str | None:
    """`acc_match_audio_to_face_o_5` as the papers write it, `A-F (O), 1 of 5`; None for other keys."""
    parts = QUESTION.fullmatch(key)
    if parts is None:
        return None
    direction = "A-F" if parts[1] == "audio_to_face" else "F-A"
    return (
        f"{direction} ({parts[2].upper()})"
        + (f", 1 of {parts[3]}" if parts[3] else "")
        + (", centred" if parts[4] else "")
        + (", linear map" if parts[5] else "")
    )


def _figures(raw: Results) -> dict[str, float]:
    """EERs in percent, minDCF at p = 0.01, accuracies in percent; undefined ones are left out."""
    figures: dict[str, float | None] = {}
    for name, entry in raw.scores.items():
        listed, _, condition = split_name(name)
        short = short_list(listed)
        if not condition:
            figures[f"eer_{short}"] = entry.eer_percent
            figures[f"mindcf_{short}"] = (entry.min_dcf or {}).get("0.01")
        elif (noise := re.fullmatch(r"all-(-?[\d.]+)dB", condition)) and short in NOISY:
            figures[f"{NOISY[short]}_{noise[1]}db"] = entry.eer_percent
    for name, matching in raw.match.items():
        figures[name] = matching.accuracy_percent
    if "test" in raw.classify:
        figures |= raw.classify["test"].figures or {}
    return {key: float(value) for key, value in figures.items() if value is not None}
