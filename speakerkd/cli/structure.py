"""How alike the dimensions of image networks' features are, and how evenly their intermediate features are spread.

The analysis that motivates the second paper. Each network sees the pictures of its own training data, damaged if it was
trained so. Writes OUT/similarity.png, OUT/intermediate.png (t-SNE of the first block's features) and
OUT/structure.json, and prints the numbers.

Example: speakerkd structure exp/cifar10-resnet32x4-teacher exp/cifar10-baseline exp/cifar10-dimensional
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import trained_on
from speakerkd.config import DeviceName, Settings


class StructureOptions(Settings):
    """Which networks are looked at, on what."""

    models: list[Path] = Field(
        min_length=1, description="experiment folders of image networks, such as teacher, baseline and taught student"
    )
    out: Path = Field(Path("exp/structure"), description="folder for the pictures and structure.json")
    split: str = Field("test", description="split of the data that each was trained on")
    pictures: int = Field(1000, ge=10, description="pictures to look at, of a fixed draw")
    device: DeviceName = Field("auto", description="auto, cpu, cuda, cuda:N or mps")


@verb("models")
def structure(settings: StructureOptions) -> None:
    """Write the pictures, and print a row a network."""
    from speakerkd.data.images import read_images
    from speakerkd.evaluation.structure import drawn_rows, structure_of
    from speakerkd.models.device import choose_device
    from speakerkd.models.trained_model import load_trained_model
    from speakerkd.report.structure import COLUMNS, feature_maps, similarity_matrices
    from speakerkd.report.tables import as_text, layout
    from speakerkd.work.files import write_json

    device, out = choose_device(settings.device), settings.out
    structures = {}
    for folder in settings.models:
        seen = read_images(trained_on(folder), settings.split)
        rows = drawn_rows(len(seen), settings.pictures)
        structures[folder.resolve().name] = structure_of(load_trained_model(folder, device), seen, rows)
    similarity_matrices({name: part.similarity for name, part in structures.items()}, out / "similarity.png")
    label = next(iter(structures.values())).label
    intermediate = {name: part.intermediate for name, part in structures.items()}
    feature_maps(intermediate, label, seen.classes, out / "intermediate.png")
    write_json(out / "structure.json", {name: part.figures for name, part in structures.items()})
    print(as_text(layout({name: [part.figures] for name, part in structures.items()}, COLUMNS, "network")))
    print(f"\nstructure: {out}")
