"""Makes the pictures of all READMEs: what the papers printed, with ours beside where it was run, and mini's own.

.venv/bin/python tools/pictures.py [--exp exp] [--out .]

Mini's picture needs its experiments (`bash egs/mini/run.sh`); without them the one that is there stays.
"""

from __future__ import annotations

from pathlib import Path

import typer

from speakerkd.report.papers import our_runs
from speakerkd.report.pictures.published import published_dots
from speakerkd.report.published import all_published
from speakerkd.report.results import read_result
from speakerkd.report.sections import matching_picture
from speakerkd.report.summary import grouped

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
    mini = [read_result(file.parent) for file in sorted(exp.glob("mini-*/results.json"))]
    picture = matching_picture(grouped(mini), out / "egs/mini/matching.png") if mini else None
    print(picture.png if picture else f"egs/mini/matching.png stays: no mini in {exp}, run `bash egs/mini/run.sh`")


if __name__ == "__main__":
    typer.run(main)
