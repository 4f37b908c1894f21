"""Makes the pictures of all READMEs: what the papers printed, with ours beside where it was run, mini's own, and what
tables of the READMEs say.

.venv/bin/python tools/pictures.py [--exp exp] [--out .]

Mini's picture needs its experiments (`bash egs/mini/run.sh`); without them the one that is there stays.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import typer

from speakerkd.report.papers import our_runs
from speakerkd.report.pictures.canvas import Picture
from speakerkd.report.pictures.matching import Bar, matching_bars
from speakerkd.report.pictures.published import published_dots
from speakerkd.report.published import all_published
from speakerkd.report.results import read_result
from speakerkd.report.sections import matching_picture
from speakerkd.report.summary import grouped

ROOT = Path(__file__).parents[1]
EER = "EER, % (less is better)"
TOP1 = "top-1 accuracy, % (more is better)"
F1 = "weighted F1, % (more is better)"
# recipe: the paper, its table, how the rows' names begin, our figure, the picture's title and axis
PUBLISHED = {
    "voxceleb": ("widely_differing_modalities", "1", "", "eer_vox1_o", "VoxCeleb1 (O)", EER),
    "cnceleb": ("widely_differing_modalities", "3", "", "eer_cnceleb", "CN-Celeb", EER),
    "cifar": ("widely_differing_modalities", "7", "cifar100-resnet18-", "top1", "CIFAR-100, ResNet18", TOP1),
    "tiny_imagenet": ("widely_differing_modalities", "9", "", "top1", "Tiny-ImageNet, ResNet34", TOP1),
    "paired_images": (
        "dimensional_structure",
        "3",
        "cifar10-resnet32x4-resnet8x4-",
        "top1",
        "CIFAR-10, ResNet32x4 teaches ResNet8x4",
        TOP1,
    ),
    "disentangled": (
        "discom_kd",
        "1",
        "eurosat-ms_to_sar-",
        "f1_weighted",
        "EuroSAT, multi-spectral teaches radar",
        F1,
    ),
}


def main(exp: Path = Path("exp"), out: Path = Path()) -> None:
    """Draw them all; --exp: the folder of experiments, --out: the root of the checkout that gets the pictures."""
    runs = our_runs(exp)
    for name, of in runs.items():  # mini's figures are of another test
        runs[name] = [run for run in of if not run.path.name.startswith("mini-")]
    for recipe, (paper, table, begin, figure, title, unit) in PUBLISHED.items():
        rows = [
            row
            for row in all_published()
            if (row.paper, row.table, row.figure) == (paper, table, figure) and row.name.startswith(begin)
        ]
        ours = {name: [run.figures[figure] for run in of if figure in run.figures] for name, of in runs.items()}
        path = out / "recipes" / recipe / "published.png"
        print(published_dots(rows, ours, path, title, unit).png)
    print(people_matching(out / "recipes/folder/matching.png").png)
    print(challenge_baseline(out / "recipes/mavceleb/baseline.png").png)
    mini = [read_result(file.parent) for file in sorted(exp.glob("mini-*/results.json"))]
    picture = matching_picture(grouped(mini), out / "egs/mini/matching.png") if mini else None
    print(picture.png if picture else f"egs/mini/matching.png stays: no mini in {exp}, run `bash egs/mini/run.sh`")


def people_matching(path: Path) -> Picture:
    """What matching finds on SUR-2021's people, from the table in the README of recipes/voxceleb."""
    groups: dict[str, dict[str, Bar]] = {}
    for row in readme_table("voxceleb", "A-F, linear map %"):
        system = row[""].strip("`")
        if system in ("baseline", "margin", "margin_classifier"):
            groups[system] = {name.removesuffix(" %"): _bar(row[name]) for name in row if name[:3] in ("A-F", "F-A")}
    return matching_bars(groups, list(groups["baseline"]), 50.0, path, "Matching of 31 real people, by system")


def challenge_baseline(path: Path) -> Picture:
    """EERs of the FAME challenge's baseline, from the table in the README of recipes/mavceleb."""
    groups: dict[str, dict[str, Bar]] = {"test in the heard language": {}, "test in the other": {}}
    for row in readme_table("mavceleb", "trained on"):
        of_language = [float(row["English"]), float(row["the other"])]
        heard, unheard = of_language if row["trained on"] == "English" else reversed(of_language)
        for group, value in zip(groups.values(), (heard, unheard), strict=True):
            group[f"{row['version']}, trained on {row['trained on']}"] = value, None
    questions = list(groups["test in the other"])
    return matching_bars(groups, questions, 50.0, path, "EER of the challenge's baseline", axis=EER)


def readme_table(recipe: str, column: str) -> list[dict[str, str]]:
    """Rows, {heading: cell}, of the first table in a recipe's README that has this column."""
    lines = (ROOT / "recipes" / recipe / "README.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else [] for line in lines]
    head = next(number for number, row in enumerate(cells) if column in row)
    body = itertools.takewhile(bool, cells[head + 2 :])
    return [dict(zip(cells[head], row, strict=True)) for row in body]


def _bar(cell: str) -> Bar:
    """`74.1 (66.6-79.8)` as a figure and its interval."""
    value, low, high = re.findall(r"[\d.]+", cell)
    return float(value), (float(low), float(high))


if __name__ == "__main__":
    typer.run(main)
