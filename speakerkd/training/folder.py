"""The experiment directory: whether a run may start there, what it leaves, and which experiment is the newest."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from speakerkd.config import read_yaml, to_yaml
from speakerkd.errors import InputError
from speakerkd.training.checkpoint import newest_step
from speakerkd.training.experiment import Experiment, changed, check_experiment, flat, flatten
from speakerkd.work.files import whole_file, write_json
from speakerkd.work.lock import working_in
from speakerkd.work.records import read_json

# what changes neither weights nor figures may differ between a run and its resumption
HARMLESS = (
    "name",
    "data.resident",
    "train.checkpoint_minutes",
    "train.keep_best",
    "train.keep_last",
    "train.log_every",
    "train.timeout_minutes",
)
FINISHED = "finished.json"
VERB = "speakerkd train"
Status = Literal["new", "resumed", "finished"]


def checkpoints(folder: Path) -> Path:
    return folder / "checkpoints"


def look_into_folder(folder: Path, experiment: Experiment, resume: bool) -> Status:
    """Decide what to do in an experiment directory; nothing is left behind in it.

    "finished": it holds this very experiment, trained to the end. Raises InputError where it holds another one (each
    setting that differs is named), an unfinished run without `resume`, or cannot be written to.
    """
    step = newest_step(checkpoints(folder))
    finished = summary_of(folder) is not None
    if step is not None or finished:
        _refuse_other_settings(folder, experiment)
        if finished:
            return "finished"
        if not resume:
            raise InputError(
                f"an unfinished run is there, at step {step}",
                folder,
                "add --resume to go on with it, or choose another --name",
            )
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error
    return "new" if step is None else "resumed"


def enter_folder(folder: Path, experiment: Experiment, resume: bool, held: contextlib.ExitStack) -> Status:
    """`look_into_folder`, with a folder that is there held until `held` closes.

    Raises InputError as that does, and where another process trains there.
    """
    status = look_into_folder(folder, experiment, resume)
    if status == "finished" or not folder.is_dir():
        return status
    held.enter_context(working_in(folder, VERB))
    return look_into_folder(folder, experiment, resume)  # what a process that held it has left


def begin_folder(folder: Path, experiment: Experiment, held: contextlib.ExitStack) -> None:
    """Make the directory of a new run, with the resolved config.yaml, and hold it.

    Raises InputError where another process has begun there.
    """
    if not folder.is_dir():
        held.enter_context(working_in(folder, VERB))
        if newest_step(checkpoints(folder)) is not None:
            raise InputError("another run has begun there", folder, "choose another --name")
    with whole_file(folder / "config.yaml") as stream:
        stream.write(to_yaml(experiment))


def _unwritable(folder: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(
        f"cannot write to the experiment folder ({reason})", folder, "see its rights and space, or choose another --exp"
    )


def _refuse_other_settings(folder: Path, experiment: Experiment) -> None:
    path = folder / "config.yaml"
    try:
        written = read_yaml(path)
    except InputError as error:
        raise InputError(
            f"the run there has no readable config ({error.what})", path, "choose another --name"
        ) from error
    try:
        old = flat(check_experiment(written, path))  # a setting that came after it began had its default there
    except InputError:
        old = flatten(written)
    differences = changed(old, flat(experiment), HARMLESS)
    if differences:
        raise InputError(
            f"the run there has other settings: {'; '.join(differences)}",
            folder,
            "give its own settings to resume it, or choose another --name",
        )


def finish(folder: Path, summary: dict[str, Any], latest: bool) -> None:
    """Mark an experiment as trained to the end; `latest`: let `exp/latest` name it."""
    write_json(folder / FINISHED, summary)
    if latest:
        point_latest(folder)


def point_latest(folder: Path) -> None:
    """Make `latest` beside the folder a link to it; where links cannot be made, a file that holds its name."""
    link = folder.parent / "latest"
    part = folder.parent / f".latest.{os.getpid()}.part"
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    try:
        part.symlink_to(folder.name)
    except OSError:
        part.write_text(folder.name + "\n", encoding="utf-8")
    with contextlib.suppress(OSError):  # a folder of that name was made by hand: it stays
        part.replace(link)
    part.unlink(missing_ok=True)


def summary_of(folder: Path) -> dict[str, Any] | None:
    """What `finish` wrote; None where it is absent or damaged: the run then ends anew from its last checkpoint."""
    try:
        summary = read_json(folder / FINISHED, dict[str, Any], "")
    except InputError:
        return None
    return summary if {"step", "seconds", "figures", "peak_gigabytes"} <= summary.keys() else None
