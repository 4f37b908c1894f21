"""One run of `speakerkd match-test`: a test set's figures, made once and kept in the model's results.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speakerkd.evaluation.done import (
    current_entries,
    files_of_data,
    files_of_model,
    record_origin,
    state_of_recordings,
)
from speakerkd.evaluation.match_directory import match_directory
from speakerkd.evaluation.model import find_model, load_speaker_model
from speakerkd.evaluation.results import update_results
from speakerkd.models.trained_model import face_taught, read_description
from speakerkd.work.origin import origin_digest

SPACES, OUTCOMES = "spaces.npz", "outcomes"  # for the report and `compare`


@dataclass(frozen=True, slots=True)
class MatchTest:
    """Figures by name, the file that keeps them, and whether an earlier run made them."""

    entries: dict[str, dict[str, Any]]
    path: Path
    already: bool


def match_test(
    directory: Path | str,
    model: Path | str | None = None,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> MatchTest:
    """Match voices and faces of a data directory, unless the same was done before, and keep figures and embeddings.

    options: those of `match_directory`. Raises InputError as that does.
    """
    folder = find_model(model)
    path = folder / "results.json"
    record = _record(Path(directory), folder, options)
    beside = [folder / OUTCOMES]
    if _is_taught(folder):  # only then are its voices drawn among faces
        examples = options.get("examples")
        beside += [folder / SPACES, *([Path(examples)] if examples else [])]
    there = all(file.exists() for file in beside)
    entries = current_entries(path, "match", record) if there else {}
    if entries:
        return MatchTest(entries, path, already=True)
    package = load_speaker_model(folder, device)
    entries = match_directory(
        directory, package, spaces=folder / SPACES, outcomes=folder / OUTCOMES, progress=progress, **options
    )
    record_origin(record, entries)
    update_results(path, "match", entries)
    return MatchTest(current_entries(path, "match", record), path, already=False)


def _is_taught(model: Path) -> bool:
    return face_taught(read_description(model))


def _record(directory: Path, model: Path, options: dict[str, Any]) -> str:
    """The digest of all that the figures are made from."""
    inputs = [*files_of_model(model)]
    recordings = []
    folders = [directory, *(value for value in options.values() if isinstance(value, Path) and value.is_dir())]
    for folder in folders:
        inputs += [*files_of_data(folder), folder / "spk2gender", *sorted(folder.glob("teacher*"))]
        recordings.append(state_of_recordings(folder, features=True))
    inputs += [v for name, v in options.items() if isinstance(v, Path) and name != "examples" and not v.is_dir()]
    inputs += [path for _, path in options.get("lists", ())]
    return origin_digest(inputs, options | {"recordings": recordings})
