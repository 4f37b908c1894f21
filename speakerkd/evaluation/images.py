"""From a trained image model and an image directory to figures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speakerkd.config import parse
from speakerkd.data.bands import read_channels
from speakerkd.data.images import PAIRED, ImageSet, Sensor, read_sensor
from speakerkd.errors import InputError
from speakerkd.evaluation.classify import classification_figures, matching_figures, top_k
from speakerkd.evaluation.done import current_entries, files_of_model, record_origin
from speakerkd.evaluation.results import update_results
from speakerkd.frontend.corruptions import CORRUPTIONS, corrupt
from speakerkd.frontend.images import ImageViewSettings, network_input
from speakerkd.models.image import ImageSettings
from speakerkd.models.trained_model import TrainedModel, load_trained_model
from speakerkd.teachers.text_table import TextTable, near, read_text_table
from speakerkd.work.origin import origin_digest

BLOCK = 256  # pictures a batch


def image_figures(
    package: TrainedModel,
    pictures: ImageSet,
    table: TextTable | None = None,
    *,
    robustness: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """Figures of a model on one split, in percent: top1, top5, f1_weighted, ece; with a table, matching and retrieval.

    Parameters
    ----------
    package: an image classifier of K classes.
    pictures: N pictures, and their labels.
    table: the teacher's, in the order of the pictures' classes; left out where its size does not fit the model.
    robustness: also top1 under each corruption, the mean of its five strengths, and over all as `corrupted_top1`.
    seed: of the corruptions.

    Raises
    ------
    InputError: for a model of another task, and for a class that it does not know.
    """
    label = model_labels(package, pictures)
    logits, embeddings = _run(package, pictures)
    figures = classification_figures(logits, label)
    figures["parameters"] = sum(p.numel() for p in package.student.parameters()) / 1e6
    if table is not None and (texts := _texts(package, table)) is not None:
        figures |= matching_figures(embeddings, texts, pictures.labels)
    if robustness:
        figures |= _robustness(package, pictures, label, seed)
    return figures


def classify_split(
    model: Path | str,
    directory: Path | str,
    split: str,
    *,
    teacher: Path | None = None,
    robustness: bool = False,
    device: str = "cpu",
) -> bool:
    """Put a model's figures on a split into its results.json; True where an earlier run did so from the same files.

    Parameters
    ----------
    model: its experiment directory, whose results.json is written.
    directory, split: the image directory, and which of its splits.
    teacher: text table for matching; None: `teacher.npz` of the directory, where there is one.
    robustness: see `image_figures`.

    Raises
    ------
    InputError: where one of the files is missing or damaged, or the model lacks a class of the pictures.
    """
    folder, directory = Path(model), Path(directory)
    results = folder / "results.json"
    inputs = [*files_of_model(folder), directory / "images.json", directory / "classes.txt"]
    inputs += [*sorted(directory.glob(f"{split}/*")), *sorted(directory.glob(f"{PAIRED}/{split}/*"))]
    inputs.append(teacher or directory / "teacher.npz")
    record = origin_digest(inputs, {"robustness": robustness, "teacher": teacher is not None})
    if split in current_entries(results, "classify", record):
        return True
    package = load_trained_model(folder, device)
    pictures, table = open_pictures(directory, split, teacher, image_view(package).sensor)
    figures = image_figures(package, pictures, table, robustness=robustness)
    entry = {"figures": figures, "pictures": len(pictures), "data": str(directory), "model": package.digest}
    record_origin(record, {split: entry})
    update_results(results, "classify", {split: entry})
    return False


def open_pictures(
    directory: Path | str, split: str, teacher: Path | str | None, sensor: Sensor = "first"
) -> tuple[ImageSet, TextTable | None]:
    """A split of an image directory, and its teacher's table: `teacher`, or `teacher.npz` there, or None.

    Parameters
    ----------
    sensor: whose pictures, of a directory of two sensors.

    Raises
    ------
    InputError: where the directory lacks the split or the sensor, and for a table that lacks a class.
    """
    pictures = read_sensor(directory, split, sensor)
    inside = Path(directory) / "teacher.npz"
    path = Path(teacher) if teacher is not None else inside if inside.is_file() else None
    return pictures, None if path is None else read_text_table(path).for_classes(pictures.classes, where=path)


def model_labels(package: TrainedModel, pictures: ImageSet) -> np.ndarray:
    """The pictures' labels in the model's numbering (N,). Raises InputError for a class that the model lacks."""
    if package.task not in ("image", "paired_images", "sensors"):
        raise InputError(f"a model of task {package.task}", package.directory or "--model", "give one of task image")
    for name in pictures.classes:
        if name not in package.labels:
            fix = f"{near(name, package.labels)}; evaluate on the classes that it was trained on"
            raise InputError(f"the model does not know class '{name}'", package.directory or "--model", fix)
    return np.array([package.labels.index(name) for name in pictures.classes])[pictures.labels]


def classify_files(package: TrainedModel, files: list[Path]) -> Iterator[tuple[Path, str, float]]:
    """The most probable class of picture files, and its probability in [0, 1]; nothing is damaged on purpose here."""
    view = image_view(package).model_copy(update={"degrade": None})
    side = round(view.size / view.test_crop)
    assert isinstance(package.settings, ImageSettings)
    for file in files:
        raw = torch.from_numpy(read_channels(file, side, package.settings.channels))[None]
        probability = package.outputs(network_input(raw, view, [str(file)])).scores[0].float().softmax(0)
        best = int(probability.argmax())
        yield file, package.labels[best], float(probability[best])


def _texts(package: TrainedModel, table: TextTable) -> np.ndarray | None:
    """The table as the student was taught it, (K, P, D) of unit rows; None where its size is another."""
    wanted = package.dim if package.teacher is None else package.teacher.dim
    if table.dim != wanted or (package.head is None and table.dim != package.dim):
        return None
    flat = torch.from_numpy(table.embeddings).flatten(0, 1)
    return package.project(flat).cpu().numpy().reshape(*table.embeddings.shape[:2], -1)


def _run(
    package: TrainedModel, pictures: ImageSet, damage: Callable[[Tensor], Tensor] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) and embeddings (N, D) of all pictures, damaged before they are normalised."""
    view = image_view(package)
    logits, embeddings = [], []
    for start in range(0, len(pictures), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(pictures)))
        raw = torch.from_numpy(pictures.read(rows)).to(package.device)
        keys = pictures.keys[rows[0] : rows[-1] + 1]
        output = package.outputs(network_input(raw, view, keys, damage))
        logits.append(output.scores.float().cpu())
        embeddings.append(output.embedding.float().cpu())
    return torch.cat(logits).numpy(), torch.cat(embeddings).numpy()


def _robustness(package: TrainedModel, pictures: ImageSet, label: np.ndarray, seed: int) -> dict[str, float]:
    figures = {}
    for name in CORRUPTIONS:
        accuracies = []
        for strength in range(1, 6):
            draw = torch.Generator().manual_seed(seed)
            damage = functools.partial(corrupt, name=name, strength=strength, generator=draw)
            logits, _ = _run(package, pictures, damage)
            accuracies.append(top_k(logits, label))
        figures[f"top1_{name}"] = float(np.mean(accuracies))
    return {**figures, "corrupted_top1": float(np.mean(list(figures.values())))}


def image_view(package: TrainedModel) -> ImageViewSettings:
    """How a model sees pictures, as it was trained to."""
    where = package.directory or "the model"
    return parse(ImageViewSettings, package.frontend or {}, where)
