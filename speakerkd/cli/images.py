"""Verbs for pictures taught by text: prepare images, embed-text, classify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speakerkd.cli.prepare import Jobs, MaxRejected, Output, Root, prepare


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command("embed-text")(embed_text)
    app.command()(classify)


@prepare.command()
def images(
    output: Output,
    root: Root = None,
    kind: Annotated[
        str,
        typer.Option(
            help="cifar10, cifar100, stl10, fashion_mnist, tiny_imagenet, imagenet, folder, digits; auto looks"
        ),
    ] = "auto",
    download: Annotated[
        bool, typer.Option(help="fetch CIFAR, STL-10, Fashion-MNIST or Tiny-ImageNet into the root first")
    ] = False,
    classes: Annotated[
        Path | None, typer.Option(help="text file of the classes to take, one a line (ImageNet-100)")
    ] = None,
    teacher_root: Annotated[
        Path | None, typer.Option(help="two sensors: the teacher's tree, with the same relative names as --root")
    ] = None,
    sensors: Annotated[
        str, typer.Option(help="or two folder names in the paths below --root, the student's first: 'radar optical'")
    ] = "",
    channels: Annotated[int | None, typer.Option(help="1 for grey, 3 for RGB; the pictures' own")] = None,
    size: Annotated[int | None, typer.Option(help="pixels a side to keep; the pictures' own, at most 256")] = None,
    store: Annotated[str, typer.Option(help="array (memory-mapped), files, or auto: array where it fits")] = "auto",
    test_share: Annotated[float, typer.Option(help="share kept for a test where the corpus has no test split")] = 0.2,
    seed: Annotated[int, typer.Option(help="of that choice")] = 0,
    jobs: Jobs = 1,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Pictures by class into an image directory: decoded once, with labels and class names.

    Takes CIFAR-10, CIFAR-100, STL-10, Fashion-MNIST, Tiny-ImageNet-200 and ImageNet as shipped, scikit-learn's 8x8
    digits, and any tree with a folder a class, below train/ and test/ or without them. Pictures of two sensors are
    paired by their relative names. Arrays (.npy) and TIFF may have any number of channels. What cannot be read, and
    what has no partner, is listed in OUTPUT.rejected.

    Example: speakerkd prepare images data/cifar100 --kind cifar100 --root downloads --download

    Two sensors: speakerkd prepare images data/ships --root ships --sensors "radar optical"
    """
    from speakerkd.corpora.image_store import store_images
    from speakerkd.corpora.images import find_corpus

    corpus = find_corpus(
        root,
        kind,
        test_share=test_share,
        seed=seed,
        download=download,
        classes=classes,
        teacher_source=teacher_root,
        sensors=sensors.split(),
    )
    rejected = store_images(
        corpus, output, size=size, channels=channels, store=store, jobs=jobs, max_rejected=max_rejected
    )
    unit = " pairs" if corpus.paired else ""
    counts = ", ".join(f"{len(split.labels)} {name}{unit}" for name, split in corpus.splits.items())
    done = "is up to date" if rejected is None else str(rejected)
    print(f"images {output}: {corpus.kind}, {len(corpus.classes)} classes, {counts}; {done}")


def classify(
    models: Annotated[list[Path], typer.Argument(help="experiment folders of task image", show_default=False)],
    data: Annotated[Path | None, typer.Option(help="image directory; the one that each was trained on")] = None,
    split: Annotated[str, typer.Option(help="split of it")] = "test",
    teacher: Annotated[Path | None, typer.Option(help="text table for matching; teacher.npz of the data")] = None,
    robustness: Annotated[bool, typer.Option(help="also accuracy under noise, blur and other damage")] = False,
    published: Annotated[bool, typer.Option(help="put the paper's figures beside ours")] = False,
    picture: Annotated[list[Path] | None, typer.Option(help="classify this file instead (repeatable)")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
) -> None:
    """Evaluate image models: accuracy, F1, calibration, matching of pictures with texts. Prints one table.

    The figures of each model also go into its results.json; `speakerkd report` reads them there. Runs named x-seed1,
    x-seed2 share one row.

    Example: speakerkd classify exp/digits/baseline exp/digits/margin
    """
    from speakerkd.evaluation.images import classify_files, image_figures, open_pictures
    from speakerkd.evaluation.results import update_results
    from speakerkd.models.trained_model import load_trained_model
    from speakerkd.report.results import read_result
    from speakerkd.report.summary import result_table
    from speakerkd.report.tables import as_text

    device = _device(device)
    if picture:
        for folder in models:
            for file, name, probability in classify_files(load_trained_model(folder, device), picture):
                print(f"{file}: {name} ({probability:.0%}, {folder})")
        return
    for folder in models:
        package = load_trained_model(folder, device)
        directory = data or _trained_on(folder)
        pictures, table = open_pictures(directory, split, teacher)
        figures = image_figures(package, pictures, table, robustness=robustness)
        entry = {"figures": figures, "pictures": len(pictures), "data": str(directory), "model": package.digest}
        update_results(folder / "results.json", "classify", {split: entry})
    print(as_text(result_table([read_result(folder) for folder in models], with_published=published)))


def embed_text(
    directory: Annotated[Path, typer.Argument(help="image directory", show_default=False)],
    *,
    teacher: Annotated[str, typer.Option(help="clip, ngrams, auto, or a table (.npz, .npy)", show_default=False)],
    weights: Annotated[Path | None, typer.Option(help="weights file of clip")] = None,
    prompts: Annotated[str, typer.Option(help="prompt set that the text teacher reads")] = "imagenet_80",
    alias: Annotated[
        list[str] | None, typer.Option(help="CLASS=NAME, a class's name in the table (repeatable)")
    ] = None,
    names: Annotated[Path | None, typer.Option(help="class names of a .npy table, one a line")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Run the frozen text teacher once over the class names of an image directory.

    Writes teacher.npz: a text embedding for every class in every prompt.

    Example: speakerkd embed-text data/cifar100 --teacher clip
    """
    from speakerkd.errors import InputError
    from speakerkd.models.text import STAND_IN
    from speakerkd.teachers.text import embed_text as run

    aliases = dict(text.partition("=")[::2] for text in alias or [])
    if empty := [name for name, other in aliases.items() if not other]:
        raise InputError(f"'{empty[0]}' is not of the form CLASS=NAME", "--alias", "write --alias 'automobile=car'")
    table = run(
        directory, teacher, weights=weights, prompts=prompts, aliases=aliases, names=names, device=_device(device)
    )
    shape = f"{len(table.classes)} classes x {len(table.templates)} prompts, {table.dim} dimensions"
    note = f" ({STAND_IN})" if table.source["name"] == "ngrams" else ""
    print(f"embed-text {directory}: {table.source['name']}{note}, {shape}")


def _device(name: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _trained_on(folder: Path) -> Path:
    from speakerkd.config import read_yaml
    from speakerkd.errors import InputError

    values = read_yaml(folder / "config.yaml").get("data", {})
    if not isinstance(values, dict) or "train" not in values:
        raise InputError("no data is named there", folder / "config.yaml", "give the image directory with --data")
    return Path(values["train"])
