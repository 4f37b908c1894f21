"""The figures that the papers print, to stand beside ours."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

# our config's name -> the row's name in the first paper's tables
PAPER_NAMES = {
    "baseline": "ResNet34 (w/o dist.)",
    "kd": "KD",
    "fitnet": "FitNet",
    "pkt": "PKD",
    "sp": "SP",
    "ickd": "ICKD",
    "ccl": "CCL",
    "margin": "Ours (feature)",
    "classifier": "Ours (classifier)",
    "margin_quality": "Ours (feature+quality)",
}

PAPER = "widely_differing_modalities"
_OURS = {"acc": "top1", "acc_match_image_to_text": "image_to_text_top1"}
_STUDENT = {"eer_student": "eer_vox1_o", "mindcf_student": "mindcf_vox1_o"}


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with resources.files("speakerkd.report").joinpath("published.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def published(paper: str, tables: tuple[str, ...], setting: str | None = None) -> dict[str, dict[str, float]]:
    """{row name: {metric: value}} of some tables of one paper.

    paper: `widely_differing_modalities`, `dimensional_structure` or `discom_kd`. tables: their numbers, as text.
    setting: keep the rows whose setting contains this text. Percentages are in percent; values that a paper
    prints as text are left out.
    """
    result: dict[str, dict[str, float]] = {}
    for row in _rows():
        if row["paper"] != paper or row["table"] not in tables or (setting and setting not in row["setting"]):
            continue
        try:
            value = float(row["value"])
        except ValueError:
            continue
        result.setdefault(row["method"], {})[row["metric"]] = value
    return result


def published_for(system: str) -> dict[str, float]:
    """The first paper's figures for one of our systems (see `published_row`); {} if it has none."""
    found = published_row(system)
    return {} if found is None else found[1]


def published_row(system: str) -> tuple[str, dict[str, float]] | None:
    """The first paper's row for one of our systems: its label, and its figures under our names; None where it has none.

    Voices: Tables 1, 3 and 4, by the name of the config; Tables 2, 5 and 6, by those of its `ablation` folder.
    Pictures: Tables 7 to 12, by `dataset-network-variant`, such
    as `cifar100-resnet18-fitnet`, `cifar100-resnet34-margin_alpha0.2`.
    """
    row = PAPER_NAMES.get(system)
    if row is not None:
        figures = published(PAPER, ("1", "3", "4")).get(row, {})
        return (row, figures) if figures else None
    return _published_ablation(system) or _published_pictures(system)


def _published_ablation(system: str) -> tuple[str, dict[str, float]] | None:
    share = "25%" if system.startswith("quarter_") else "100%"
    rest = system.removeprefix("quarter_")
    weak = rest.startswith("weak_")
    if (share == "25%" or weak) and (row := PAPER_NAMES.get(rest.removeprefix("weak_"))):
        teacher = "teacher -" if rest == "baseline" else "teacher ResNet34" if weak else "teacher IR-50"
        found = published(PAPER, ("2",), f"data {share}, {teacher}").get(row, {})
        label = row + (", 25 %" if share == "25%" else "") + (", teacher ResNet34" if weak else "")
        return label, {_STUDENT[name]: figure for name, figure in found.items() if name in _STUDENT}
    kind, _, value = system.partition("_")
    if kind == "alpha":
        found = published(PAPER, ("5",), f"alpha {value}")
    elif kind == "margin" and value:
        angle = value.removeprefix("cos")
        found = published(PAPER, ("6",), f"margin cos({angle}deg)" if value.startswith("cos") else f"margin {value}")
    else:
        return None
    return (f"{kind} {value}", found["Ours (feature)"]) if found else None


def _published_pictures(system: str) -> tuple[str, dict[str, float]] | None:
    dataset, _, rest = system.partition("-")
    network, _, variant = rest.partition("-")
    student = network.replace("resnet", "ResNet")
    method, _, change = (variant, "", "") if variant in PAPER_NAMES else variant.partition("_")
    row = {**PAPER_NAMES, "baseline": "Baseline (w/o dist.)", "clip": "CLIP"}.get(method)
    if row is None:
        return None
    sources: list[tuple[str, str, str]] = []  # table, setting, row
    if dataset == "tiny_imagenet" and not change:
        sources = [("9", f"Tiny-ImageNet, student {student}", row.replace("Baseline", student))]
    elif dataset == "cifar100" and change:
        for table, key, text in (("10", "alpha", "alpha {}"), ("11", "beta", "beta {}"), ("12", "m", "margin {}^2")):
            if change.startswith(key) and (value := change.removeprefix(key)).replace(".", "").isdigit():
                setting = f"CIFAR-100, {student}, " + text.format(value).replace("margin 0^2", "margin 0")
                sources = [(table, setting, row)]
    elif dataset == "cifar100":
        matching = f"CIFAR-100 test images to class texts, student {student}"
        sources = [("7", f"CIFAR-100, student {student}", row), ("8", matching, row.replace("(feature)", "(features)"))]
    figures = {
        _OURS[found["metric"]]: float(found["value"])
        for found in _rows()
        if found["paper"] == PAPER and (found["table"], found["setting"], found["method"]) in sources
    }
    return (f"{sources[0][1]}, {row}", figures) if figures else None
