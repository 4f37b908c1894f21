"""Pictures by class into an image directory: decoded once, with labels and class names.

Takes CIFAR-10, CIFAR-100, STL-10, Fashion-MNIST, Tiny-ImageNet-200 and ImageNet as shipped, scikit-learn's 8x8 digits,
and any tree with a folder a class, below train/ and test/ or without them. Pictures of two sensors are paired by their
relative names. Arrays (.npy) and TIFF may have any number of channels. What cannot be read, and what has no partner, is
listed in OUTPUT.rejected.

Sets of two sensors as shipped, divided 70/10/20 by --seed: sunrgbd (Kinect v2, RGB and depth), eurosat (EuroSAT_MS and
EuroSAT-SAR), tristar (thermal and depth). They are kept as measured, in 16 bits or floats; pixels without a measurement
take their band's median and are counted; GeoTIFF needs `pip install "speakerkd[raster]"`.

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
from speakerkd.errors import InputError


class ImagesOptions(Rejection, Output):
    """Where the pictures are, and how they are kept."""

    root: Path | None = Field(None, description="root of the corpus")
    kind: str = Field(
        "auto",
        description="cifar10, cifar100, stl10, fashion_mnist, tiny_imagenet, imagenet, folder, digits, sunrgbd, "
        "eurosat, tristar; auto looks (not for the last three)",
    )
    download: bool = Field(False, description="fetch CIFAR, STL-10, Fashion-MNIST or Tiny-ImageNet into the root first")
    classes: Path | None = Field(None, description="text file of the classes to take, one a line (ImageNet-100)")
    teacher_root: Path | None = Field(
        None, description="two sensors: the teacher's tree, with the same relative names as --root"
    )
    sensors: str = Field(
        "", description="or two folder names in the paths below --root, the student's first: 'radar optical'"
    )
    second: Literal["edges"] | None = Field(
        None, description="one sensor: make a second one from its pictures; edges: how steeply the luminance rises"
    )
    channels: int | None = Field(None, ge=1, description="1 for grey, 3 for RGB [default: the pictures' own]")
    size: int | None = Field(
        None, ge=1, le=4096, description="pixels a side to keep [default: the pictures' own, at most 256]"
    )
    store: Literal["auto", "array", "files"] = Field(
        "auto", description="a memory-mapped array, or files; auto: array where it fits"
    )
    test_share: float = Field(0.2, description="share kept for a test where the corpus has no test split")
    shares: str = Field(
        "",
        description="percentages for training, validation and test into which all is divided anew, class by class: "
        "'70 10 20' [default: the corpus's own splits; of sunrgbd, eurosat and tristar 70 10 20]",
    )
    absent: Literal["refuse", "redraw"] = Field(
        "refuse", description="a class too small for all three: refuse, or redraw so that each has one of its pictures"
    )
    seed: int = Field(0, ge=0, description="of that choice")
    jobs: int = Field(1, ge=0, le=10_000, description="processes on this machine; 0: one a core")


@verb("output", cost="output")
def images(settings: ImagesOptions) -> None:
    """Make the image directory and say what it holds."""
    from speakerkd.corpora.image_corpus import left_out
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
        shares=_shares(settings.shares),
        absent=settings.absent,
        second=settings.second,
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
    for text in left_out(corpus, *(root for root in (settings.root, settings.teacher_root) if root is not None)):
        print(text)


def _shares(text: str) -> list[float]:
    """`70 10 20` as shares of 1."""
    try:
        return [float(word) / 100 for word in text.replace("/", " ").split()]
    except ValueError as error:
        raise InputError(f"shares '{text}'", "--shares", "give three percentages, such as '70 10 20'") from error
