"""A frozen speech network runs once over a data directory as a teacher: wav.scp -> teacher.scp, teacher.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.datadir import read_table
from speakerkd.data.vectors import write_vectors
from speakerkd.errors import InputError
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.model import fbank_settings, load_speaker_model
from speakerkd.evaluation.protocol import Protocol
from speakerkd.evaluation.recordings import ArchivedRecordings, AudioRecordings
from speakerkd.frontend.audio import read_audio
from speakerkd.models.device import choose_device
from speakerkd.models.trained_model import WEIGHTS, is_speech_model
from speakerkd.teachers.embed import archive_name
from speakerkd.teachers.ssl import RATE, SslTeacher, is_ssl_folder
from speakerkd.work.files import digest, write_json
from speakerkd.work.origin import Stamp, signature, summary
from speakerkd.work.records import read_json
from speakerkd.work.rejected import Rejected

Progress = Callable[[int, int], None]


def is_speech_teacher(teacher: str) -> bool:
    """Whether `--teacher` names a speech network: an experiment directory, or a folder of a self-supervised one."""
    return is_speech_model(teacher) or is_ssl_folder(teacher)


def embed_speech_teacher(
    directory: Path | str,
    teacher: str,
    *,
    name: str | None = None,
    replace: bool = False,
    device: str = "auto",
    max_rejected: float = 0.01,
    progress: Progress | None = None,
) -> Rejected:
    """Make `teacher.scp` (key -> the speech teacher's embedding of the whole recording) and `teacher.json`.

    Parameters
    ----------
    directory: a data directory. The recordings of its wav.scp are read; features of feats.scp serve where they are what
        the teacher reads.
    teacher: an experiment directory (trained here or imported), or a local folder of WavLM, HuBERT or wav2vec 2.0.
    name: of one among several teachers, `teacher.NAME.scp`.
    replace: also embeddings of another teacher, which else stay.
    max_rejected: share of the recordings, in [0, 1], that may be lost.
    progress: called with recordings done and in all.

    Returns
    -------
    The recordings that could not be read, which `teacher.rejected` lists.

    Raises
    ------
    InputError: where the teacher does not load, or more was lost; teacher.scp is then left as it was.
    """
    directory, base = Path(directory), archive_name(name)
    weights = Path(teacher).absolute()
    known = read_table(directory / "wav.scp") if (directory / "wav.scp").is_file() else {}
    sign = digest(weights / WEIGHTS) if is_speech_model(weights) else _folder_digest(weights)
    record = directory / f"{base}.json"
    if record.is_file() and not replace:
        theirs = read_json(record, dict[str, Any], "remove it, and embed again")
        if sign != theirs.get("digest") and str(weights) != theirs.get("weights"):
            what = f"embeddings of another teacher, '{theirs.get('name')}'"
            raise InputError(what, directory / f"{base}.scp", "give --name, or --replace")
    recordings = {key: signature([path]) for key, path in known.items()}
    inputs = [] if known else [directory / "feats.scp"]
    settings = {"teacher": sign, "recordings": summary(recordings)}
    stamp = Stamp(directory / f"{base}.scp", inputs, [f"{base}.ark"], **settings)
    rejected = Rejected(directory / base, max_rejected)
    if stamp.is_current():
        rejected.take(len(read_table(directory / f"{base}.scp")))
        rejected.close()
        return rejected
    embedded = _by_model if is_speech_model(weights) else _by_ssl
    kind, keys, values = embedded(directory, weights, known, choose_device(device), rejected, progress)
    rejected.take(len(keys))
    rejected.close()
    if not keys:
        raise InputError("no recording could be embedded", directory, f"see {base}.rejected")
    write_vectors(directory, base, keys, values, {})
    stamp.write()
    described = {"name": kind, "dim": int(values.shape[1]), "weights": str(weights), "digest": sign}
    write_json(record, described | {"source": str(directory.absolute()), "kind": "speech"})
    return rejected


Embedded = tuple[str, list[str], NDArray[np.float32]]


def _by_model(
    directory: Path,
    weights: Path,
    known: dict[str, str],
    device: str,
    rejected: Rejected,
    progress: Progress | None,
) -> Embedded:
    package = load_speaker_model(weights, device)
    fbank = fbank_settings(package)
    recordings: ArchivedRecordings | AudioRecordings
    try:
        recordings = ArchivedRecordings(directory / "feats.scp", fbank)
    except InputError:  # absent, or not what the teacher reads
        if not known:
            raise
        recordings = AudioRecordings({key: [path] for key, path in known.items()}, fbank, name=str(directory))
    embeddings = embed(package, recordings, Protocol(name="whole"), refuse=rejected.refuse, progress=progress)
    return str(getattr(package.settings, "name", "speech")), embeddings.keys, embeddings.values


def _by_ssl(
    directory: Path,
    weights: Path,
    known: dict[str, str],
    device: str,
    rejected: Rejected,
    progress: Progress | None,
) -> Embedded:
    if not known:
        raise InputError("no recordings", directory / "wav.scp", "make it with `speakerkd prepare`")
    teacher = SslTeacher(weights, device)
    keys, values = [], []
    for number, (key, path) in enumerate(known.items(), 1):
        try:
            values.append(teacher.embed(read_audio(path, RATE)))
            keys.append(key)
        except InputError as error:
            rejected.refuse(key, error)
        if progress is not None:
            progress(number, len(known))
    return teacher.name, keys, np.stack(values) if values else np.empty((0, teacher.dim), np.float32)


def _folder_digest(folder: Path) -> str:
    """Of the weights that a folder of `transformers` holds."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError("no .safetensors in the folder", folder, "save the network as safetensors")
    return "+".join(digest(path) for path in files)
