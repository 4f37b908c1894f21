"""Tables of embeddings: one vector, or a matrix of crop vectors, for each recording.

Files are Kaldi ark or scp (a vector, or a matrix crops x D), or `.npz` with the arrays `utterance` and `embedding`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.kaldi import read_records
from speakerkd.data.names import NameIndex
from speakerkd.data.scp import check_key, scp_lines
from speakerkd.data.tables import read_durations, write_table
from speakerkd.errors import InputError
from speakerkd.work.arrays import read_npz
from speakerkd.work.files import whole_file, whole_pair, write_json
from speakerkd.work.reading import check_file
from speakerkd.work.records import parse_json, read_json

MAKE = "make them with `speakerkd embed`"


@dataclass
class Embeddings:
    """Embeddings of N recordings.

    keys: N names. values: (N, D), or (N, C, D) with C crops each. origin: how (protocol, model, data), where known.
    """

    keys: list[str]
    values: NDArray
    origin: dict[str, Any] = field(default_factory=dict)
    seconds: NDArray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def index(self) -> NameIndex:
        """Finds recordings by any spelling of their names."""
        return NameIndex(self.keys)

    def locate(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Rows (n,) of names, -1 where there is none; `a/b/1.wav` and `a/b/1` are one recording (see `NameIndex`)."""
        return self.index.locate(names)


def read_embeddings(path: Path | str) -> Embeddings:
    """Read embeddings (float32 stays as stored in memory; nothing else is copied).

    Raises InputError naming file and recording for an embedding that is not finite or zero, a duplicate key, and
    where dimensions or numbers of crops differ.
    """
    path = Path(path)
    check_file(path, "embeddings", MAKE)
    if path.suffix == ".npz":
        keys, values, origin, seconds = _read_npz(path)
    else:
        keys, values = _read_kaldi(path)
        record = path.with_suffix(".json")
        origin = read_json(record, dict[str, Any], MAKE) if record.is_file() else {}
        lengths = path.with_suffix(".utt2dur")
        table = read_durations(lengths) if lengths.is_file() else {}
        seconds = np.array([table[key] for key in keys]) if table.keys() >= set(keys) else None
    double = next((key for key, n in Counter(keys).items() if n > 1), None) if len(set(keys)) < len(keys) else None
    if double is not None:
        raise InputError(f"duplicate key '{double}'", path, "keep one embedding a recording")
    check_finite(keys, values, path)
    return Embeddings(keys, values, origin, seconds)


def check_finite(keys: Sequence[str], values: NDArray, where: object) -> None:
    """Raises InputError naming the first recording whose embedding is not finite, or zero and so without direction."""
    step = max(1, (1 << 22) // max(1, int(np.prod(values.shape[1:]))))
    for first in range(0, len(values), step):
        part = values[first : first + step].reshape(len(values[first : first + step]), -1, values.shape[-1])
        is_finite, is_set = np.isfinite(part).all((1, 2)), (part != 0).any(2).all(1)
        for fault, what in ((~is_finite, "not finite"), (~is_set, "zero")):
            if fault.any():
                key = keys[first + int(np.argmax(fault))]
                raise InputError(
                    f"the embedding of '{key}' is {what}", where, "leave the recording out, or embed it again"
                )


def _read_npz(path: Path) -> tuple[list[str], NDArray, dict[str, Any], NDArray | None]:
    arrays = read_npz(path, ("utterance", "embedding", "made", "seconds"), MAKE)
    missing = {"utterance", "embedding"} - arrays.keys()
    if missing:
        fix = "write the arrays `utterance` (N,) and `embedding` (N, D) or (N, crops, D)"
        raise InputError(f"no array `{min(missing)}`", path, fix)
    keys, values, seconds = arrays["utterance"], arrays["embedding"], arrays.get("seconds")
    origin = parse_json(str(arrays["made"]), dict[str, Any], path, MAKE) if "made" in arrays else {}
    if keys.ndim != 1 or values.ndim not in (2, 3) or len(keys) != len(values) or values.size == 0:
        what = f"`utterance` {keys.shape} and `embedding` {values.shape} do not fit"
        raise InputError(what, path, "give (N,) names and (N, D) or (N, crops, D) embeddings")
    if keys.dtype.kind not in "US":
        raise InputError("`utterance` holds no text", path, "write names as text")
    if values.dtype.kind not in "iuf":
        raise InputError(f"`embedding` holds {values.dtype}, no numbers", path, "write float32 or float64")
    if seconds is not None and (seconds.shape != keys.shape or seconds.dtype.kind != "f"):
        raise InputError(f"`seconds` {seconds.shape} does not fit {len(keys)} recordings", path, MAKE)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32)
    try:
        names = [n.decode() for n in keys.tolist()] if keys.dtype.kind == "S" else keys.tolist()
    except UnicodeDecodeError:
        raise InputError("`utterance` holds names that are not UTF-8", path, "write names as UTF-8 text") from None
    return names, values, origin, seconds


def _read_kaldi(path: Path) -> tuple[list[str], NDArray]:
    keys: list[str] = []
    values: NDArray | None = None
    for key, value in read_records(path):
        if values is None:
            values = np.empty((_most_records(path, value.nbytes), *value.shape), value.dtype)
        if value.shape != values.shape[1:]:
            what = f"'{key}' has shape {value.shape} where the first has {values.shape[1:]}"
            raise InputError(what, path, "give vectors of one size, or the same number of crops for each recording")
        if len(keys) == len(values):
            values = np.concatenate([values, np.empty_like(values)])
        values[len(keys)] = value
        keys.append(key)
    if values is None:
        raise InputError("no embedding in the file", path, MAKE)
    return keys, values[: len(keys)]


def _most_records(path: Path, size: int) -> int:
    """How many records of so many bytes a file holds or names at most, so that they fit without a second copy."""
    if path.suffix == ".scp":
        with open(path, "rb") as stream:
            return sum(1 for _ in stream)
    return max(1, path.stat().st_size // size)


def write_embeddings(path: Path | str, embeddings: Embeddings) -> Path:
    """Write an .npz, or an .ark, .scp and .json for a path that ends in .ark or .scp; whole or not at all.

    Returns the file to give to `read_embeddings`. Raises InputError as that does.
    """
    path = Path(path)
    check_finite(embeddings.keys, embeddings.values, path)
    if path.suffix in (".ark", ".scp"):
        import kaldiio

        ark, scp = path.with_suffix(".ark").absolute(), path.with_suffix(".scp")
        places: dict[str, str] = {}
        with whole_pair(ark, scp) as (stream, table):
            for key, value in zip(embeddings.keys, embeddings.values, strict=True):
                check_key(key)
                places[key] = f"{ark}:{stream.tell() + len(key.encode()) + 1}"
                kaldiio.save_ark(stream, {key: value})
            table.writelines(scp_lines(places))
            write_json(path.with_suffix(".json"), embeddings.origin)
            if embeddings.seconds is not None:
                lengths = zip(embeddings.keys, embeddings.seconds.tolist(), strict=True)
                write_table(path.with_suffix(".utt2dur"), {key: f"{value:.3f}" for key, value in lengths})
        return scp
    path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    with whole_file(path, "wb") as stream:
        arrays: dict[str, Any] = {"utterance": np.array(embeddings.keys), "embedding": embeddings.values}
        arrays["made"] = np.array(json.dumps(embeddings.origin, sort_keys=True))
        if embeddings.seconds is not None:
            arrays["seconds"] = embeddings.seconds
        np.savez(stream, **arrays)
    return path


def average_models(models: Mapping[str, Sequence[str]], recordings: Embeddings, where: object = "") -> Embeddings:
    """One embedding an enrolment model: the mean of its recordings' L2-normalised embeddings, crop by crop.

    Parameters
    ----------
    models: {model: its recordings}.
    recordings: embeddings (N, D) or (N, crops, D).
    where: what an error names.

    Raises
    ------
    InputError: naming the model and the first recording without an embedding.
    """
    names = [name for recordings_of in models.values() for name in recordings_of]
    rows = recordings.locate(names)
    owner = np.repeat(np.arange(len(models)), [len(r) for r in models.values()])
    if (rows < 0).any():
        first = int(np.argmax(rows < 0))
        model = list(models)[owner[first]]
        what = f"no embedding of '{names[first]}', of model '{model}' ({int((rows < 0).sum())} are missing)"
        raise InputError(what, where, "embed it, or score the rest with --skip-missing")
    values = recordings.values
    total = np.zeros((len(models), *values.shape[1:]), values.dtype)
    for model_row, row in zip(owner.tolist(), rows.tolist(), strict=True):
        total[model_row] += values[row] / np.linalg.norm(values[row], axis=-1, keepdims=True)
    counts = np.bincount(owner, minlength=len(models)).reshape(-1, *[1] * (values.ndim - 1))
    seconds = recordings.seconds
    if seconds is not None:
        seconds = np.bincount(owner, seconds[rows], len(models))
    return Embeddings(list(models), total / counts.astype(values.dtype), recordings.origin, seconds)
