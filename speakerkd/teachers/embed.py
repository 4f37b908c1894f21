"""The frozen face teacher runs once over a data directory: aligned.scp -> teacher.scp, teacher.json."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from speakerkd.data.archive import write_vectors
from speakerkd.data.datadir import read_table
from speakerkd.errors import InputError
from speakerkd.frontend.alignment import SIDE
from speakerkd.media.packed import container, read_placed
from speakerkd.models.device import choose_device
from speakerkd.teachers.load import TeacherFile, find_teacher, load_teacher
from speakerkd.work import shards
from speakerkd.work.arrays import read_array
from speakerkd.work.files import whole_file, write_json
from speakerkd.work.ledger import Ledger, write_batch
from speakerkd.work.lock import working_in
from speakerkd.work.origin import Stamp, signature, summary
from speakerkd.work.records import read_json
from speakerkd.work.rejected import Rejected

if TYPE_CHECKING:
    from speakerkd.models.disentangled import DisentangledBranch
    from speakerkd.models.face_network import FaceNetwork

BATCH = 512  # crops a batch on disk; a killed run loses no more
Precision = Literal["auto", "float32", "bfloat16"]


def embed_teacher(
    directory: Path | str,
    teacher: str,
    weights: Path | str | None = None,
    *,
    name: str | None = None,
    replace: bool = False,
    flip: bool = False,
    batch: int = 32,
    device: str = "auto",
    precision: Precision = "auto",
    max_rejected: float = 0.01,
) -> Rejected:
    """Make `teacher.scp` (key -> the teacher's embedding of its face, not normalised) and `teacher.json`.

    name: of one among several teachers; its files are `teacher.NAME.scp` and so on. Another teacher's embeddings are
    not overwritten unless `replace`: the same network from the same weights file or experiment, trained anew, may be.
    Each picture of `aligned.scp` goes through the network once; the utterances that share it share its embedding. flip:
    mean over the picture and its mirror image. batch: pictures at once. precision: auto takes bfloat16 where the
    machine is fast at it. Only pictures that are new or changed, or not yet seen by these weights, are embedded.

    Pictures that cannot be read are listed in `teacher.rejected`. Raises InputError where the teacher does not load, or
    more than the share `max_rejected` was lost; teacher.scp is then left as it was.
    """
    directory, base = Path(directory), archive_name(name)
    aligned = read_table(directory / "aligned.scp")
    if not aligned:
        raise InputError("no aligned faces", directory / "aligned.scp", "make them with `speakerkd faces`")
    file = find_teacher(teacher, weights)
    if not replace:
        _refuse_another(directory / f"{base}.json", file)
    resolved = choose_device(device)
    dtype = "float32" if file.onnx else _dtype(precision, resolved)
    settings = {"teacher": file.name, "digest": file.digest, "flip": flip, "dtype": dtype}
    folder = directory / base
    with working_in(folder, "speakerkd embed-teacher"):
        signatures = {path: signature([container(path)]) for path in dict.fromkeys(aligned.values())}
        ledger: Ledger[int] = Ledger(folder, settings, int)
        pending = ledger.pending(signatures)
        if pending:
            network = load_teacher(file.name, file.weights).to(resolved)
            groups = [pending[start : start + BATCH] for start in range(0, len(pending), BATCH)]
            batches = list(zip(ledger.next_batches(len(groups)), groups, strict=True))
            embed = functools.partial(_embed, network, flip=flip, batch=batch, dtype=dtype)
            work = functools.partial(_embed_batch, embed=embed, signatures=signatures, origin=ledger.origin)
            for (path, _), result in shards.each(work, batches, label="embed-teacher"):
                if isinstance(result, InputError):
                    raise result
                ledger.add(path)

        rejected = Rejected(directory / base, max_rejected)
        done = [crop for crop, sign in signatures.items() if crop in ledger.done and ledger.done[crop][0] == sign]
        for crop in signatures.keys() - set(done):
            rejected.refuse(crop, ledger.refused[crop][1])
        rejected.take(len(done))
        rejected.close()
        settings["crops"] = summary(signatures)
        _publish(directory, base, file, settings, aligned, _collect(ledger, done))
        ledger.sweep(signatures)
    return rejected


def _dtype(precision: Precision, device: str) -> str:
    from speakerkd.models.precision import inference_dtype

    return precision if precision != "auto" else str(inference_dtype(device)).removeprefix("torch.")


def _embed(
    network: FaceNetwork | DisentangledBranch, crops: np.ndarray, flip: bool, batch: int, dtype: str
) -> np.ndarray:
    """Embeddings (N, D) float32 of crops uint8 (N, 112, 112, 3)."""
    import torch

    from speakerkd.models.face_network import embed_pictures
    from speakerkd.models.precision import channels_last

    channels_last(network)
    device = next(itertools.chain(network.parameters(), network.buffers())).device.type
    with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
        parts = [embed_pictures(network, part, flip).float().cpu() for part in torch.from_numpy(crops).split(batch)]
    return torch.cat(parts).numpy()


def _embed_batch(
    item: tuple[Path, list[str]],
    embed: Callable[[np.ndarray], np.ndarray],
    signatures: Mapping[str, str],
    origin: dict[str, Any],
) -> None:
    """Embed some crops and record them."""
    path, sources = item
    with ThreadPoolExecutor(8) as pool:  # Pillow decodes outside the interpreter's lock
        crops = list(pool.map(_read, sources))
    good = [(source, crop) for source, crop in zip(sources, crops, strict=True) if not isinstance(crop, InputError)]
    refused = {s: (signatures[s], str(c)) for s, c in zip(sources, crops, strict=True) if isinstance(c, InputError)}
    done: dict[str, tuple[str, Any]] = {}
    file = path.with_suffix(".npy")
    if good:
        vectors = embed(np.stack([crop for _, crop in good]))
        for row, (source, _) in enumerate(good):
            if np.isfinite(vectors[row]).all() and vectors[row].any():
                done[source] = (signatures[source], row)
            else:
                refused[source] = (signatures[source], f"the teacher's embedding is zero or not finite, {source}")
        with whole_file(file, "wb") as stream:
            np.save(stream, vectors)
    write_batch(path, origin, done, refused, [file] if good else [])


def _read(path: str) -> np.ndarray | InputError:
    try:
        crop = read_placed(path)
    except InputError as error:
        return error
    if crop.shape != (SIDE, SIDE, 3):
        return InputError(f"{crop.shape[1]} x {crop.shape[0]} pixels, not {SIDE}", path, "run `speakerkd faces` again")
    return crop


def _collect(ledger: Ledger[int], done: Sequence[str]) -> dict[str, np.ndarray]:
    """{crop: embedding (D,)} from the batches on disk."""
    files = {path: ledger.file(path, ".npy") for path in done}
    fix = f"remove {ledger.folder} and run `speakerkd embed-teacher` again"
    rows = {file: read_array(file, fix, "f", ("crops", "D")) for file in dict.fromkeys(files.values())}
    if any(not 0 <= ledger.done[path][1] < len(rows[file]) for path, file in files.items()):
        raise InputError("a batch names a row that its vectors do not have", ledger.folder, fix)
    return {path: rows[file][ledger.done[path][1]] for path, file in files.items()}


def archive_name(name: str | None) -> str:
    """`teacher`, or `teacher.NAME` for one of several; raises InputError for a name that is no part of a file name."""
    if name is None:
        return "teacher"
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise InputError(f"'{name}' cannot be the name of a teacher", "--name", "give letters, digits, dots and dashes")
    return f"teacher.{name}"


def _refuse_another(record: Path, file: TeacherFile) -> None:
    """Raises InputError where `record` says that the archive beside it is of another network or of other weights."""
    if not record.is_file():
        return
    theirs = read_json(record, dict[str, Any], "remove it, and embed again")
    if theirs.get("digest") == file.digest or theirs.get("weights") == str(file.weights):
        return
    what = f"the embeddings of another teacher ({theirs.get('name')}, {theirs.get('weights')}) would be overwritten"
    raise InputError(what, record, "give this one files of its own with --name, or overwrite with --replace")


def _publish(
    directory: Path,
    base: str,
    file: TeacherFile,
    settings: Mapping[str, Any],
    aligned: Mapping[str, str],
    vectors: Mapping[str, np.ndarray],
) -> None:
    stamp = Stamp(directory / f"{base}.scp", [directory / "aligned.scp"], [f"{base}.ark"], **settings)
    dim = len(next(iter(vectors.values())))
    if not stamp.is_current():
        first: dict[str, str] = {}  # crop -> the key that its vector is stored under
        alias: dict[str, str] = {}
        for key, path in aligned.items():
            if path in vectors and first.setdefault(path, key) != key:
                alias[key] = first[path]
        write_vectors(directory, base, list(first.values()), np.stack([vectors[p] for p in first]), alias)
        stamp.write()
    # beside the stamp, since the weights may have moved without a change
    record = {"name": file.name, "dim": dim, "weights": str(file.weights), "digest": file.digest}
    write_json(
        directory / f"{base}.json",
        record
        | {"flip": settings["flip"], "dtype": settings["dtype"], "source": str(directory.absolute() / "aligned.scp")},
    )
