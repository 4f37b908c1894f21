"""Which trained model a command uses, and on which device."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from speakerkd.config import parse
from speakerkd.errors import InputError
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.work.files import below
from speakerkd.work.hub import hub_folder, may_be_hub_name
from speakerkd.work.records import read_text

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel

LATEST = Path("exp/latest")
GET_ONE = "train one (`bash egs/mini/run.sh` takes minutes), or name its folder with --model or SPEAKERKD_MODEL"


def find_model(path: Path | str | None = None) -> Path:
    """The experiment directory to use: the given one, else $SPEAKERKD_MODEL, else what `exp/latest` names.

    Where no such folder is there, `owner/name` is a model of Hugging Face's hub (see `work.hub`). Raises InputError,
    saying how to get a model, where none of them is there.
    """
    if path is not None:
        return _checked(Path(path), "--model")
    named = os.environ.get("SPEAKERKD_MODEL")
    if named:
        return _checked(Path(named), "SPEAKERKD_MODEL")
    if LATEST.is_dir():
        return LATEST.resolve()
    if LATEST.is_file():  # where links cannot be made, a file holds the name
        return _checked(below(LATEST.parent, read_text(LATEST, GET_ONE, 4096).strip()), LATEST)
    raise InputError("no model: --model is not given, SPEAKERKD_MODEL is not set", f"no {LATEST} here", GET_ONE)


def _checked(directory: Path, source: object) -> Path:
    if not directory.exists() and may_be_hub_name(directory):
        return hub_folder(str(directory))
    if not directory.is_dir():
        raise InputError(f"no such experiment directory '{directory}'", source, GET_ONE)
    return directory


def load_speaker_model(path: Path | str | None = None, device: str = "auto") -> TrainedModel:
    """Load a speech model for use; raises InputError where the folder holds none, or one of another task."""
    from speakerkd.models.device import choose_device
    from speakerkd.models.trained_model import load_trained_model

    directory = find_model(path)
    package = load_trained_model(directory, choose_device(device))
    if package.task != "speaker":
        raise InputError(f"a model of the task '{package.task}'", directory, "give a speech model")
    return package


def fbank_settings(package: TrainedModel) -> FbankSettings:
    """The settings of the features that a speech model reads."""
    return parse(FbankSettings, package.frontend or {}, f"{package.directory}/model.json")
