"""Verbs for pictures taught by text: prepare images, classify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command; `images` goes below `prepare`."""
    groups = [group.typer_instance for group in app.registered_groups if group.name == "prepare"]
    if not groups:
        groups = [typer.Typer(help="Make data directories of corpora.", no_args_is_help=True)]
        app.add_typer(groups[0], name="prepare")
    groups[0].command()(images)
    app.command()(classify)


def images(
    source: Annotated[Path, typer.Argument(help="folder of the corpus, or `digits`", show_default=False)],
    output: Annotated[Path, typer.Argument(help="image directory to make", show_default=False)],
    kind: Annotated[str, typer.Option(help="cifar10, cifar100, tiny_imagenet, folder, or auto")] = "auto",
    download: Annotated[bool, typer.Option(help="fetch CIFAR or Tiny-ImageNet into SOURCE first")] = False,
    size: Annotated[int | None, typer.Option(help="pixels a side to keep; the pictures' own, at most 256")] = None,
    store: Annotated[str, typer.Option(help="array (memory-mapped), files, or auto: array where it fits")] = "auto",
    test_share: Annotated[float, typer.Option(help="share kept for a test where the corpus has no test split")] = 0.2,
    seed: Annotated[int, typer.Option(help="of that choice")] = 0,
    jobs: Annotated[int, typer.Option(help="processes on this machine; 0 means one a core")] = 1,
    max_rejected: Annotated[float, typer.Option(help="largest share of the pictures that may be lost")] = 0.01,
) -> None:
    """Make an image directory of a corpus: pictures decoded once, labels, class names.

    Takes CIFAR-10 and -100 and Tiny-ImageNet-200 as shipped, and any tree with a folder a class (with train/ and
    test/ above them, or without). SOURCE `digits` is scikit-learn's 8x8 digits, which need no download. What cannot be read is listed in OUTPUT.rejected.

    Example: speakerkd prepare images downloads data/cifar100 --kind cifar100 --download
    """
    from speakerkd.corpora.image_store import store_images
    from speakerkd.corpora.images import find_corpus

    corpus = find_corpus(source, kind, test_share=test_share, seed=seed, download=download)
    rejected = store_images(corpus, output, size=size, store=store, jobs=jobs, max_rejected=max_rejected)
    counts = ", ".join(f"{len(split.labels)} {name}" for name, split in corpus.splits.items())
    done = "is up to date" if rejected is None else str(rejected)
    print(f"{output}: {corpus.kind}, {len(corpus.classes)} classes, {counts}; {done}")


def classify(
    models: Annotated[list[Path], typer.Argument(help="experiment folders of task image", show_default=False)],
    data: Annotated[Path | None, typer.Option(help="image directory; the one that each was trained on")] = None,
    split: Annotated[str, typer.Option(help="split of it")] = "test",
    teacher: Annotated[Path | None, typer.Option(help="text table for matching; teacher.npz of the data")] = None,
    robustness: Annotated[bool, typer.Option(help="also accuracy under noise, blur and other damage")] = False,
    published: Annotated[Path | None, typer.Option(help="CSV of published figures to stand beside ours")] = None,
    picture: Annotated[list[Path] | None, typer.Option(help="classify this file instead (repeatable)")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
) -> None:
    """Evaluate image models: accuracy, F1, calibration, matching of pictures with texts. Prints one table.

    The figures of each model also go into its results.json. Runs named x-seed1, x-seed2 share one row.

    Example: speakerkd classify exp/digits/baseline exp/digits/margin
    """
    import torch

    from speakerkd.evaluation.images import classify_files, image_figures, open_pictures
    from speakerkd.evaluation.results import update_results
    from speakerkd.models.package import load_package
    from speakerkd.report.classification import classification_table, read_published

    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    beside = read_published(published) if published else None
    if picture:
        for folder in models:
            for file, name, probability in classify_files(load_package(folder, device), picture):
                print(f"{file}: {name} ({probability:.0%}, {folder})")
        return
    found = []
    for folder in models:
        package = load_package(folder, device)
        directory = data or _trained_on(folder)
        pictures, table = open_pictures(directory, split, teacher)
        figures = image_figures(package, pictures, table, robustness=robustness)
        update_results(folder / "results.json", "classify", {split: {**figures, "data": str(directory)}})
        found.append((folder.resolve().name, figures))
    print_table(*classification_table(found, beside))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """A plain table, first column left, the others right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        others = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *others]))


def _trained_on(folder: Path) -> Path:
    from speakerkd.config import read_yaml
    from speakerkd.errors import InputError

    values = read_yaml(folder / "config.yaml").get("data", {})
    if not isinstance(values, dict) or "train" not in values:
        raise InputError("no data is named there", folder / "config.yaml", "give the image directory with --data")
    return Path(values["train"])
