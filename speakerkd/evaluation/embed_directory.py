"""Embeddings of all recordings of a data directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.evaluation.done import files_of_data, files_of_model, state_of_recordings
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.embeddings import write_embeddings
from speakerkd.evaluation.model import fbank_settings, find_model, load_speaker_model
from speakerkd.evaluation.protocol import Protocol
from speakerkd.evaluation.recordings import open_recordings
from speakerkd.evaluation.settings import ProtocolName
from speakerkd.frontend.truncation import Truncated
from speakerkd.work.origin import Stamp
from speakerkd.work.rejected import Rejected

FORMATS = (".npz", ".ark", ".scp")


def embed_directory(
    directory: Path | str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    protocol: ProtocolName | None = None,
    device: str = "auto",
    max_rejected: float = 0.01,
    truncated: Truncated = "refuse",
    vad: bool = False,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> tuple[Path, Rejected | None]:
    """Embed what feats.scp holds, else what wav.scp (and segments) name, into one file, whole or not at all.

    Parameters
    ----------
    directory: a Kaldi data directory.
    out: the file to write, .npz, .ark or .scp; what was refused stands in `<out>.rejected`.
    model: an experiment's folder; None: $SPEAKERKD_MODEL, then exp/latest.
    protocol: None takes the model's own.
    device: `auto`, `cpu`, `cuda` or `mps`.
    max_rejected: share of the recordings, in [0, 1], that may be refused.
    truncated: what is done with a file that ends before its header says.
    vad: leave out what is not speech; the recordings are then heard, whether there are features or not.
    progress: called with a label, returns what is told recordings done and in all.

    Returns
    -------
    The file, and the account of what was refused: None where an earlier run embedded the same recordings with the same
    model, settings and code.

    Raises
    ------
    InputError: for a directory or model that cannot be read, and where more than `max_rejected` is refused.
    """
    directory, out = Path(directory), Path(out)
    if out.suffix not in FORMATS:
        raise InputError("an unknown kind of file", out, f"let its name end in one of {' '.join(FORMATS)}")
    folder = find_model(model)
    inputs = [*files_of_model(folder), *files_of_data(directory)]
    recorded = state_of_recordings(directory, features=not vad) if (directory / "wav.scp").is_file() else ""
    written = out if out.suffix == ".npz" else out.with_suffix(".scp")
    beside = [] if out.suffix == ".npz" else [out.with_suffix(suffix).name for suffix in (".ark", ".json")]
    options = {"protocol": protocol, "max_rejected": max_rejected, "recordings": recorded}
    changed = ({"truncated": truncated} if truncated == "keep" else {}) | ({"vad": True} if vad else {})
    stamp = Stamp(written, inputs, beside, **options, **changed)
    if stamp.is_current():
        return written, None
    rejected = Rejected(out, max_rejected)
    package = load_speaker_model(folder, device)
    recordings = open_recordings(directory, fbank_settings(package), truncated, vad)
    embeddings = embed(
        package,
        recordings,
        Protocol(name=protocol or package.protocol),
        refuse=rejected.refuse,
        progress=progress("embed") if progress else None,
    )
    rejected.take(len(embeddings))
    rejected.close()
    stamp.clear()
    written = write_embeddings(out, embeddings)
    stamp.write()
    return written, rejected
