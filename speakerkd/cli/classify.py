"""Evaluate image models: accuracy, F1, calibration, matching of pictures with texts. Prints one table.

The figures of each model also go into its results.json; `speakerkd report` reads them there. Runs named x-seed1,
x-seed2 share one row.

Example: speakerkd classify exp/digits/baseline exp/digits/margin

Example: speakerkd classify exp/digits/margin --picture a.png b.png
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import trained_on
from speakerkd.config import DeviceName, Settings
from speakerkd.errors import InputError


class ClassifyOptions(Settings):
    """Which models are evaluated, on what."""

    models: list[Path] = Field(min_length=1, description="experiment folders of task image")
    data: Path | None = Field(None, description="image directory [default: the one that each was trained on]")
    split: str = Field("test", description="split of it")
    teacher: Path | None = Field(None, description="text table for matching [default: teacher.npz of the data]")
    robustness: bool = Field(False, description="also accuracy under noise, blur and other damage")
    published: bool = Field(False, description="put the paper's figures beside ours")
    picture: list[Path] = Field(default_factory=list, description="classify these files instead")
    device: DeviceName = Field("auto", description="auto, cpu, cuda, cuda:N or mps")


@verb("models")
def classify(settings: ClassifyOptions) -> None:
    """Print the table of figures, or the class of each picture."""
    from speakerkd.evaluation.images import classify_files, classify_split
    from speakerkd.models.device import choose_device
    from speakerkd.models.trained_model import load_trained_model, read_description
    from speakerkd.report.results import read_result
    from speakerkd.report.summary import result_table
    from speakerkd.report.tables import as_text

    device = choose_device(settings.device)
    if settings.picture:
        for folder in settings.models:
            for file, name, probability in classify_files(load_trained_model(folder, device), settings.picture):
                print(f"{file}: {name} ({probability:.0%}, {folder})")
        return
    for folder in settings.models:
        task = read_description(folder).task  # says so where there is no model, before its config is looked for
        if task in ("speaker", "face"):
            raise InputError(f"a model of the task '{task}'", folder, "give one that classifies pictures")
        directory = settings.data or trained_on(folder)
        if classify_split(
            folder,
            directory,
            settings.split,
            teacher=settings.teacher,
            robustness=settings.robustness,
            device=device,
        ):
            print(f"{folder}: done already, from the same files, with the same settings and code")
    results = [read_result(folder) for folder in settings.models]
    print(as_text(result_table(results, with_published=settings.published)))
