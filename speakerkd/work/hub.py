"""Models by their Hugging Face name, `owner/name`: from the local cache, else fetched into it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.work.records import read_text

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
FILES = ["*.json", "*.safetensors", "*.onnx", "README.md"]  # of a model's folder; nothing that runs code
COMMIT = re.compile(r"[0-9a-f]{40}")


def may_be_hub_name(name: Path | str) -> bool:
    """Whether `owner/name` can be a hub's name: below `exp`, or a folder `owner` that is here, a path is meant.

    >>> may_be_hub_name("somebody/ecapa-faces"), may_be_hub_name("exp/margin"), may_be_hub_name("../x")
    (True, False, False)
    """
    text = str(name)
    return NAME.fullmatch(text) is not None and not text.startswith("exp/") and not Path(text).parent.exists()


def hub_folder(name: str) -> Path:
    """The folder of a model of the hub: what the local cache holds of it, else fetched by huggingface_hub.

    Raises InputError where it is neither, saying why.
    """
    cached = _cached(name)
    if cached is not None:
        return cached
    where = f"no folder '{name}' here, none of that name in the cache {_cache()}"
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        fix = "check the path, or `pip install 'speakerkd[hub]'` to fetch it from Hugging Face"
        raise InputError(f"no model '{name}'", where, fix) from error
    try:
        return Path(snapshot_download(name, allow_patterns=FILES, cache_dir=_cache()))
    except Exception as error:  # its own kinds, those of the client below it, and of the socket below that
        message = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]:.150}"
        reason = f"Hugging Face did not give it ({message})"
        fix = "check the name and the connection, or copy the model's folder here and name that"
        raise InputError(f"no model '{name}'", f"{where}, and {reason}", fix) from error


def _cache() -> Path:
    """Where Hugging Face's tools keep what they fetched."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()


def _cached(name: str) -> Path | None:
    """The snapshot of the main branch in the cache: models--OWNER--NAME/snapshots/COMMIT, named by refs/main."""
    kept = _cache() / f"models--{name.replace('/', '--')}"
    if not (kept / "refs/main").is_file():
        return None
    commit = read_text(kept / "refs/main", "fetch the model again", 4096).strip()
    folder = kept / "snapshots" / commit
    return folder if COMMIT.fullmatch(commit) and folder.is_dir() else None
