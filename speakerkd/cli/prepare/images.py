"""Pictures by class into an image directory: decoded once, with labels and class names.

Takes CIFAR-10, CIFAR-100, STL-10, Fashion-MNIST, Tiny-ImageNet-200 and ImageNet as shipped, scikit-learn's 8x8 digits,
and any tree with a folder a class, below train/ and test/ or without them. Pictures of two sensors are paired by their
relative names. Arrays (.npy) and TIFF may have any number of channels. What cannot be read, and what has no partner, is
listed in OUTPUT.rejected.

Example: speakerkd prepare images data/cifar100 --kind cifar100 --root downloads --download

Example of two sensors: speakerkd prepare images data/ships --root ships --sensors "radar optical"
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import Output
from speakerkd.cli.shared import Rejection


class ImagesOptions(Rejection, Output):
    """Where the pictures are, and how they are kept."""

    root: Path | None = Field(None, description="root of the corpus")
    kind: str = Field(
        "auto",
        description="cifar10, cifar100, stl10, fashion_mnist, tiny_imagenet, imagenet, folder, digits; auto looks",
    )
    download: bool = Field(False, description="fetch CIFAR, STL-10, Fashion-MNIST or Tiny-ImageNet into the root first")
    classes: Path | None = Field(None, description="text file of the classes to take, one a line (ImageNet-100)")
    teacher_root: Path | None = Field(
        None, description="two sensors: the teacher's tree, with the same relative names as --root"
    )
    sensors: str = Field(
        "", description="or two folder names in the paths below --root, the student's first: 'radar optical'"
    )
    channels: int | None = Field(None, ge=1, description="1 for grey, 3 for RGB [default: the pictures' own]")
    size: int | None = Field(
        None, ge=1, le=4096, description="pixels a side to keep [default: the pictures' own, at most 256]"
    )
    store: Literal["auto", "array", "files"] = Field(
        "auto", description="a memory-mapped array, or files; auto: array where it fits"
    )
    test_share: float = Field(0.2, description="share kept for a test where the corpus has no test split")
    seed: int = Field(0, ge=0, description="of that choice")
    jobs: int = Field(1, ge=0, le=10_000, description="processes on this machine; 0: one a core")


@verb("output", cost="output")
def images(settings: ImagesOptions) -> None:
    """Make the image directory and say what it holds."""
    from speakerkd.corpora.image_store import store_images
    from speakerkd.corpora.images import find_corpus

    corpus = find_corpus(
        settings.root,
        settings.kind,
        test_share=settings.test_share,
        seed=settings.seed,
        download=settings.download,
        classes=settings.classes,
        teacher_source=settings.teacher_root,
        sensors=settings.sensors.split(),
    )
    rejected = store_images(
        corpus,
        settings.output,
        size=settings.size,
        channels=settings.channels,
        store=settings.store,
        jobs=settings.jobs,
        max_rejected=settings.max_rejected,
    )
    unit = " pairs" if corpus.paired else ""
    counts = ", ".join(f"{len(split.labels)} {name}{unit}" for name, split in corpus.splits.items())
    done = "is up to date" if rejected is None else str(rejected)
    print(f"images {settings.output}: {corpus.kind}, {len(corpus.classes)} classes, {counts}; {done}")
