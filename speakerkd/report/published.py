"""The figures that the papers print (published.csv), found by the name of an experiment here.

Every published row has a name of ours: `margin`, `alpha_0.4`, `quarter_margin` (voices), `cifar100-resnet18-fitnet`
(pictures taught by text), `cifar10-resnet32x4-resnet8x4-kd` (pairs of pictures), `eurosat-ms_to_sar-dkd` (two sensors).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

PAPERS = {
    "widely_differing_modalities": "Cross-Modal Distillation for Widely Differing Modalities",
    "dimensional_structure": "A Dimensional Structure based Knowledge Distillation Method for Cross-Modal Learning",
    "discom_kd": "DisCoM-KD",
}
# a method of the first paper's tables -> the config here
FIRST = {
    "ResNet34 (w/o dist.)": "baseline",
    "Baseline (w/o dist.)": "baseline",
    "KD": "kd",
    "FitNet": "fitnet",
    "PKD": "pkt",
    "SP": "sp",
    "ICKD": "ickd",
    "CCL": "ccl",
    "CLIP": "clip",
    "Ours": "margin",
    "Ours (feature)": "margin",
    "Ours (features)": "margin",
    "Ours (classifier)": "classifier",
    "Ours (feature+quality)": "margin_quality",
}
SECOND = {
    "Baseline-S": "baseline",
    "Baseline-T": "teacher",
    "Fitnets": "fitnet",
    "Ours": "dimensional",
    "Ours without SRM": "dimensional_without_sem",
}
THIRD = {"STUDENT": "baseline", "TEACHER": "teacher", "DisCoM-KD": "disentangled"}
DATA_SETS = {"radar-optical CML": "radar_optical", "STL-10": "stl10", "CIFAR-10": "cifar10", "CIFAR-100": "cifar100"}
METRICS = {
    "acc": "top1",
    "acc_match_image_to_text": "image_to_text_top1",
    "eer_student": "eer_vox1_o",
    "mindcf_student": "mindcf_vox1_o",
    "weighted_f1": "f1_weighted",
}


@dataclass(frozen=True, slots=True)
class Published:
    """One printed figure. table: its number. name: the experiment here that it stands beside, "" for none, such as
    chance. figure: the key of ours that it is compared with. value: as printed; number: None where that is text."""

    paper: str
    table: str
    setting: str
    method: str
    metric: str
    value: str
    name: str

    @property
    def figure(self) -> str:
        return METRICS.get(self.metric, self.metric)

    @property
    def number(self) -> float | None:
        try:
            return float(self.value)
        except ValueError:
            return None


@cache
def all_published() -> tuple[Published, ...]:
    """Every printed figure, in the papers' order."""
    text = resources.files("speakerkd.report").joinpath("published.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    return tuple(Published(**row, name=_name(row)) for row in rows)


@cache
def _by_name() -> dict[str, list[Published]]:
    rows: dict[str, list[Published]] = {}
    for row in all_published():
        if row.name:
            rows.setdefault(row.name, []).append(row)
    return rows


def published_of(system: str) -> list[Published]:
    """The printed figures of an experiment's name, also where it begins with a corpus's tag: `mini-margin`."""
    known = _by_name()
    return known.get(system) or known.get(system.partition("-")[2], [])


def same_as(name: str) -> list[str]:
    """Other names of the same experiment in the third paper's tables.

    A network of one sensor is the STUDENT of Table 2, and of Table 1 the TEACHER where it is the richer sensor's, else
    the STUDENT; what learnt together stands in both tables.
    """
    front, _, method = name.rpartition("-")
    data, _, sensor = front.partition("-")
    if method not in ("baseline", "disentangled") or "_to_" in sensor:
        return []
    others = []
    for other in _by_name():
        scenario = other.rpartition("-")[0].partition("-")[2]
        if other.startswith(f"{data}-") and "_to_" in scenario:
            rich, _, poor = scenario.partition("_to_")
            if (sensor == poor and other.endswith(f"-{method}")) or (
                sensor == rich and method == "baseline" and other.endswith("-teacher")
            ):
                others.append(other)
    return others


def published_for(system: str) -> dict[str, float]:
    """Those figures by our keys, {key: value}, in percent where they are percentages; {} where there are none."""
    return {row.figure: row.number for row in published_of(system) if row.number is not None}


def published_row(system: str) -> tuple[str, dict[str, float]] | None:
    """A label for those figures, and the figures; None where there are none."""
    rows = published_of(system)
    if not rows:
        return None
    first = rows[0]
    of_voices = first.paper == "widely_differing_modalities" and int(first.table) < 7
    label = first.method if of_voices and int(first.table) not in (2, 5, 6) else f"{first.setting}, {first.method}"
    return label, published_for(system)


def _name(row: dict[str, str]) -> str:
    name_of = {"widely_differing_modalities": _first, "dimensional_structure": _second, "discom_kd": _third}
    return name_of[row["paper"]](row["table"], row["setting"], row["method"])


def _first(table: str, setting: str, method: str) -> str:
    if table in ("1", "3", "4"):
        return FIRST.get(method, "")
    if table == "2":
        share, teacher = re.fullmatch(r"data (\d+)%, teacher (.+)", setting).groups()  # type: ignore[union-attr]  # Table 2's settings all read so
        name = FIRST.get(method, "")
        weak = "weak_" if teacher == "ResNet34" else ""
        return ("quarter_" if share == "25" else "") + weak + name
    if table in ("5", "6"):
        value = re.sub(r"cos\((\d+)deg\)", r"cos\1", setting.partition(" ")[2])
        return f"{setting.partition(' ')[0]}_{value}"
    return _first_pictures(table, setting, method)


def _first_pictures(table: str, setting: str, method: str) -> str:
    """Tables 7 to 12: `dataset-network-method`, with the changed setting behind it."""
    name = FIRST.get(re.sub(r"^ResNet\d+ ", "Baseline ", method), "")
    network = re.search(r"ResNet\d+", setting)
    if not name or network is None:
        return ""
    dataset = "tiny_imagenet" if "Tiny" in setting else "cifar100"
    change = re.search(r"(alpha|beta|margin) ([\d.]+)", setting)
    changed = "" if change is None else f"_{'m' if change[1] == 'margin' else change[1]}{change[2]}"
    return f"{dataset}-{network[0].lower()}-{name}{changed}"


def _second(table: str, setting: str, method: str) -> str:
    data, _, networks = setting.partition(", ")
    teacher, _, student = networks.partition(" -> ")
    words = [SECOND.get(part, part.lower().replace(" ", "_").replace("-", "")) for part in method.split("+")]
    name = "+".join(words).replace("ours_without", "dimensional_without")
    data_set = DATA_SETS.get(data, data.lower().replace("tiny-", "tiny_").replace("-", ""))
    return f"{data_set}-{teacher.lower()}-{student.lower()}-{name}"


def _third(table: str, setting: str, method: str) -> str:
    if setting == "average":
        return ""
    data, _, rest = setting.partition(" ")
    scenario = rest.strip("()").lower().replace(" -> ", "_to_").replace(" ", "_")
    words = THIRD.get(method) or method.lower().replace(" + lskd", "_lskd").replace("discom-kd", "disentangled")
    return f"{data.lower()}-{scenario}-{words.replace(' ', '_')}"
